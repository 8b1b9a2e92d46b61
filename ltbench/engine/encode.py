"""From a view to network inputs: through the feature cache where the image tower is frozen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ltbench.backbones.base import Backbone
from ltbench.backbones.cache import FeatureCache
from ltbench.backbones.features import FeatureArray
from ltbench.backbones.views import RandomResizedCrop, Transform, View, flip, identity, mirror, seeded_view
from ltbench.data.base import Images
from ltbench.data.progress import Reporter
from ltbench.engine.inputs import EncodedLive, FeatureInputs, ImageInputs, Inputs
from ltbench.engine.ranks import ALONE, Ranks
from ltbench.method import Augment, Needs

if TYPE_CHECKING:
    from PIL.Image import Image

IN_MEMORY_BYTES = 2**30


@dataclass(frozen=True)
class Encoder:
    """How this run turns images into inputs.

    Attributes:
        cache: folder of the feature cache.
        max_bytes: cap on new cache files.
        workers: threads that load pictures for stages that take images; changes no result.
        ranks: who encodes together; all of them call :meth:`inputs` then, with the same rows.
    """

    backbone: Backbone
    needs: Needs
    cache: Path
    device: torch.device
    reporter: Reporter
    max_bytes: int | None = None
    workers: int = 0
    ranks: Ranks = ALONE

    def _images(self, images: Images, augment: Augment) -> ImageInputs:
        transform: Transform | None = None
        if augment.kind == "flip":
            transform = _flip_half
        elif augment.kind != "none":
            transform = random_view(augment, self.backbone)
        return ImageInputs(images, self.backbone, transform, self.workers, whole=augment.kind == "flip")

    def inputs(self, images: Images, ids: Sequence[str], augment: Augment, label: str) -> Inputs:
        """Inputs of all rows; training views are encoded ahead unless the stage asked for live augmentation."""
        if self.needs.input == "image":
            return self._images(images, augment)
        region = self.needs.input == "region"
        if augment.kind == "live":
            return EncodedLive(self._images(images, augment), self.backbone, region, self.device)
        features = FeatureCache(self.cache).features(
            self.backbone,
            images,
            ids,
            kind="region" if region else "global",
            views=_views(augment, self.backbone),
            device=self.device,
            reporter=self.reporter,
            max_bytes=self.max_bytes,
            workers=max(2, self.workers),
            label=label,
            among=self.ranks,
        )
        regions = None if features.regions is None else _near(features.regions)
        return FeatureInputs(_near(features.global_), regions, first=1 if augment.kind == "views" else 0)


def _flip_half(image: Image, rng: np.random.Generator) -> Image:
    return mirror(image, rng) if rng.random() < 0.5 else image


def _near(rows: FeatureArray) -> FeatureArray:
    """Features held in memory while they are small; otherwise gathered from disk a batch at a time."""
    return np.asarray(rows) if 4 * math.prod(rows.shape) <= IN_MEMORY_BYTES else rows


def random_view(augment: Augment, backbone: Backbone) -> Transform:
    """The transform of random views: the stage's own, else a random resized crop with a flip."""
    if augment.transform is not None:
        return augment.transform
    return RandomResizedCrop(backbone.card.image_size or 224)


def _views(augment: Augment, backbone: Backbone) -> list[View]:
    if augment.kind == "flip":
        return [identity(), flip()]
    if augment.kind == "views":
        transform = random_view(augment, backbone)
        name = augment.name or getattr(transform, "name", "views")
        return [identity(), *(seeded_view(name, k, transform) for k in range(augment.k))]
    return [identity()]
