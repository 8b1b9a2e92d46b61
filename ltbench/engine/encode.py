"""From a view to network inputs: through the feature cache where the image tower is frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from ltbench.backbones.cache import FeatureCache, View, flip, identity, seeded_view

from ltbench.backbones.base import Backbone
from ltbench.data.base import Images
from ltbench.data.progress import Reporter
from ltbench.engine.inputs import EncodedLive, FeatureInputs, ImageInputs, Inputs
from ltbench.method import Augment, Needs


@dataclass(frozen=True)
class Encoder:
    """How this run turns images into inputs.

    Attributes:
        cache: folder of the feature cache.
        dtype: dtype the tower computes in.
        max_bytes: cap on new cache files.
    """

    backbone: Backbone
    needs: Needs
    cache: Path
    device: torch.device
    reporter: Reporter
    max_bytes: int | None = None

    def inputs(self, images: Images, ids: Sequence[str], augment: Augment, label: str) -> Inputs:
        """Inputs of all rows; training views are encoded ahead unless the stage asked for live augmentation."""
        if self.needs.input == "image":
            return ImageInputs(images, self.backbone, augment)
        region = self.needs.input == "region"
        if augment.kind == "live":
            live = ImageInputs(images, self.backbone, augment)
            return EncodedLive(live, self.backbone, region, self.device)
        features = FeatureCache(self.cache).features(
            self.backbone,
            images,
            ids,
            kind="region" if region else "global",
            views=_views(augment),
            device=self.device,
            reporter=self.reporter,
            max_bytes=self.max_bytes,
            label=label,
        )
        return FeatureInputs(features.global_, features.regions)


def _views(augment: Augment) -> list[View]:
    if augment.kind == "flip":
        return [identity(), flip()]
    if augment.kind == "views":
        if augment.transform is None:
            return [identity(), *([flip()] if augment.k > 1 else [])]
        return [identity(), *(seeded_view(augment.name or "views", k, augment.transform) for k in range(augment.k))]
    return [identity()]
