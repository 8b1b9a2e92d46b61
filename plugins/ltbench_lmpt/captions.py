"""Caption features: each distinct caption goes through the frozen text tower once a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ltbench.method import Batch, Scan


class CaptionFeatures(nn.Module):
    """Normalised text features of captions, looked up by their text.

    The features are a function of frozen weights, so that they are no state: a resumed run computes them again. They
    are computed for the sorted set of all training captions at once, not batch by batch as captions turn up: the
    rounding of a text tower depends on what shares its batch, and a resumed run meets the captions in another order.
    Memory: 4 * dim bytes a distinct caption (4 MB for COCO-LT with 512 dimensions).

    Args:
        encode: texts → features [n, dim], not normalised, without gradients.
    """

    features: Tensor

    def __init__(self, encode: Callable[[Sequence[str]], Tensor]) -> None:
        super().__init__()
        self._encode = encode
        self._position: dict[str, int] = {}
        self.register_buffer("features", torch.zeros(0, 0), persistent=False)

    def __len__(self) -> int:
        return len(self._position)

    def collect(self, scan: Scan) -> None:
        """Encode what one pass over the training view holds; makes that pass the first time only.

        Raises:
            ValueError: a batch carries no captions.
        """
        if not self._position:
            self._add({caption for batch in scan() for caption in captions_of(batch)})

    def lookup(self, captions: Sequence[str]) -> Tensor:
        """Normalised features float32 [n, dim]; captions never met before are encoded and kept."""
        self._add(set(captions) - self._position.keys())
        rows = torch.tensor([self._position[caption] for caption in captions], device=self.features.device)
        return self.features[rows]

    def _add(self, captions: set[str]) -> None:
        if not captions:
            return
        fresh = sorted(captions)
        with torch.no_grad():
            encoded = normalize(self._encode(fresh).float(), dim=-1)
        known = self.features.to(encoded.device)
        self.features = encoded if not self._position else torch.cat([known, encoded])
        self._position.update({caption: len(self._position) + k for k, caption in enumerate(fresh)})


def captions_of(batch: Batch) -> tuple[str, ...]:
    """Captions of a batch.

    Raises:
        ValueError: it carries none.
    """
    if batch.captions is None:
        raise ValueError("the class-specific embedding loss needs a caption for every training row; got none")
    return batch.captions
