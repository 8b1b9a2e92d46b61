"""Features that somebody computed elsewhere, by file name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ltbench.backbones.base import Backbone, BackboneCard
from ltbench.backbones.options import ENCODER_VERSION, BackboneOptions
from ltbench.backbones.weights import file_sha256
from ltbench.data.feature_file import read_features
from ltbench.plugin.errors import UserError
from ltbench.plugin.past import unknown_past

if TYPE_CHECKING:
    from PIL.Image import Image


class PrecomputedBackbone(Backbone):
    """Rows of a feature file; encodes nothing.

    Args:
        card: facts for the record.
        files: file names, one a row.
        features: float32 [N, D].
    """

    def __init__(self, card: BackboneCard, files: Sequence[str], features: npt.NDArray[np.float32]) -> None:
        super().__init__(card, None, None)
        self._rows = {name: row for row, name in enumerate(files)}
        self._features = features

    def features_for(self, ids: Sequence[str]) -> npt.NDArray[np.float32]:
        """Features float32 [n, D] of the given file names, row by row.

        Raises:
            UserError: the file holds no features for some of them; the first ones and their number are named.
        """
        missing = [name for name in ids if name not in self._rows]
        if missing:
            shown = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
            raise UserError(
                f"{self.card.name} has no features for {len(missing)} of {len(ids)} images: {shown}",
                "add these rows to the feature file",
            )
        return self._features[[self._rows[name] for name in ids]]

    def preprocess(self, image: Image) -> Tensor:
        """Not offered: raises TypeError."""
        raise TypeError(f"backbone {self.card.name} has features only, it cannot encode images")

    def encode_global(self, images: Tensor) -> Tensor:
        """Not offered: raises TypeError."""
        raise TypeError(f"backbone {self.card.name} has features only, it cannot encode images")


def open_precomputed(name: str, options: BackboneOptions) -> PrecomputedBackbone:
    """``precomputed:FILE.npz``; float16 features are widened to float32.

    Raises:
        UserError: the file is missing or malformed, a file name occurs twice, or a feature is not finite (named).
    """
    path = Path(options.argument)
    shown = f"precomputed:{path.name}"
    if options.weights is not None:
        raise UserError(f"backbone {shown} has no weights to choose", "leave --weights out")
    if options.dtype != "float32":
        raise UserError(f"backbone {shown} computes nothing, so it has no dtype", "leave --dtype out")
    files, features = read_features(path)
    card = BackboneCard(
        name=shown,
        offers=("global",),
        dim=features.shape[1],
        weights=f"file {path.name}",
        weights_sha256=file_sha256(path),
        transform="unknown: features were computed elsewhere",
        revision=f"ltbench-encoder-{ENCODER_VERSION} precomputed",
        pretraining=unknown_past("feature", path.name),
    )
    return PrecomputedBackbone(card, files, features)
