"""Rows of a view as batches: cached features where the image tower is frozen, images where it is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltbench.backbones.base import Backbone
from ltbench.backbones.features import FeatureArray
from ltbench.backbones.views import Transform
from ltbench.data.base import Images, load_reduced
from ltbench.engine.ahead import Load, Waited, loaded
from ltbench.engine.seeds import Views
from ltbench.method import Batch

Rows = npt.NDArray[np.int64]
Input = Tensor | tuple[Tensor, Tensor]


class Inputs(Protocol):
    """Network inputs by row."""

    def __len__(self) -> int: ...

    def get(self, rows: Rows, views: Views | None) -> Input:
        """Inputs of these rows; one random view of each where views are given (training), else the plain view."""
        ...


class FeatureInputs:
    """Features from the cache.

    Args:
        global_: float32 [N, V, D], view 0 is the plain one.
        regions: float32 [N, V, L, R], or None.
        first: first of the views that training draws from.
    """

    def __init__(self, global_: FeatureArray, regions: FeatureArray | None = None, first: int = 0) -> None:
        self._global = global_
        self._regions = regions
        self._first = first

    def __len__(self) -> int:
        return len(self._global)

    def get(self, rows: Rows, views: Views | None) -> Input:
        """Features of these rows."""
        count = self._global.shape[1]
        pick = views.integers(self._first, count) if views is not None and count > 1 else np.zeros(len(rows), int)
        features = torch.from_numpy(np.array(self._global[rows, pick], dtype=np.float32))
        if self._regions is None:
            return features
        return features, torch.from_numpy(np.array(self._regions[rows, pick], dtype=np.float32))


class ImageInputs:
    """Decoded and preprocessed images, augmented live in training.

    Args:
        workers: threads that load those of coming batches; changes no result.
        whole: the transform shows all of an image, so that one that was decoded at a part of its size will do.
    """

    def __init__(
        self,
        images: Images,
        backbone: Backbone,
        transform: Transform | None = None,
        workers: int = 0,
        whole: bool = False,
    ) -> None:
        self._images = images
        self._whole = whole
        self._least = backbone.least_side
        self._backbone = backbone
        self._transform = transform
        self.workers = workers

    def __len__(self) -> int:
        return len(self._images)

    def get(self, rows: Rows, views: Views | None) -> Input:
        """Images float32 [n, 3, H, W]."""
        return self.finish([load() for load in self.loads(rows, views)])

    def loads(self, rows: Rows, views: Views | None) -> list[Load]:
        """What loads the images of these rows, one each; may be called in any order and by any thread."""
        random = views if self._transform else None
        return [
            partial(self._one, int(row), None if random is None else random.generator(position))
            for position, row in enumerate(rows)
        ]

    def finish(self, pictures: list[Tensor]) -> Input:
        """Loaded images float32 [3, H, W] as the input of a batch."""
        return torch.stack(pictures)

    def _one(self, row: int, rng: np.random.Generator | None) -> Tensor:
        transform = None if rng is None else self._transform
        image = load_reduced(self._images, row, self._least if transform is None or self._whole else None)
        if rng is not None and transform is not None:
            image = transform(image, rng)
        return self._backbone.preprocess(image)


class EncodedLive:
    """Images augmented live, then sent through the frozen tower: the price of ``Augment(kind="live")``."""

    def __init__(self, images: ImageInputs, backbone: Backbone, region: bool, device: torch.device) -> None:
        self._images = images
        self._backbone = backbone
        self._region = region
        self._device = device
        self.workers = images.workers

    def __len__(self) -> int:
        return len(self._images)

    @cached_property
    def _quick(self) -> Backbone:
        return self._backbone.for_encoding()

    def get(self, rows: Rows, views: Views | None) -> Input:
        """Features of fresh views."""
        return self.finish([load() for load in self.loads(rows, views)])

    def loads(self, rows: Rows, views: Views | None) -> list[Load]:
        """As those of :class:`ImageInputs`."""
        return self._images.loads(rows, views)

    def finish(self, pictures: list[Tensor]) -> Input:
        """Loaded images float32 [3, H, W] as features of a batch; they stay where the tower is."""
        images = torch.stack(pictures)
        with torch.no_grad():
            if self._region:
                global_, regions = self._quick.encode_regions(images.to(self._device))
                return global_.float(), regions.float()
            return self._quick.encode_global(images.to(self._device)).float()


@dataclass(frozen=True)
class Rowset:
    """Inputs with their observed labels and captions.

    Attributes:
        observed: int8 [N, C] after the unknown policy; [N, 0] for a test view.
        further: inputs of the further views that training shows beside the first.
    """

    inputs: Inputs
    observed: Tensor
    captions: Sequence[str] | None = None
    further: tuple[Inputs, ...] = ()

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def workers(self) -> int:
        """Threads that load pictures ahead; 0 where there are none."""
        return max(self._loaders, default=0)

    @property
    def _loaders(self) -> list[int]:
        """Threads of each of the inputs that load pictures."""
        return [each.workers for each in (self.inputs, *self.further) if isinstance(each, ImageInputs | EncodedLive)]

    def batch(self, rows: Rows, views: Views | None = None) -> Batch:
        """One batch, on the CPU but for features that are made here."""
        return self._batch(rows, [each.get(rows, drawn) for each, drawn in self._shown(views)])

    def _shown(self, views: Views | None) -> list[tuple[Inputs, Views | None]]:
        """What a batch shows, and what its views are drawn by; without that the plain view, which is loaded once."""
        if views is None:
            return [(self.inputs, None)]
        further = ((each, views.beside(number)) for number, each in enumerate(self.further))
        return [(self.inputs, views), *further]

    def _batch(self, rows: Rows, given: list[Input]) -> Batch:
        index = torch.from_numpy(np.ascontiguousarray(rows, dtype=np.int64))
        captions = None if self.captions is None else tuple(self.captions[int(row)] for row in rows)
        first, *others = given
        further = tuple(others) if others else (first,) * len(self.further)
        return Batch(index, first, self.observed[index], captions, further)

    def batches(self, wanted: Iterable[tuple[Rows, Views | None]], waited: Waited | None = None) -> Iterator[Batch]:
        """Batches as :meth:`batch` gives them, in order; pictures of coming ones are loaded ahead.

        Args:
            waited: told how long pictures, or features from the cache, were waited for; not what a frozen tower takes.
        """
        waited = waited or Waited()
        if not self._loaders:
            yield from waited.each(self.batch(rows, views) for rows, views in wanted)
            return
        coming = (((rows, shown), self._loads(rows, shown)) for rows, shown in self._with_inputs(wanted))
        for (rows, shown), pictures in waited.each(loaded(coming, self.workers)):
            left = iter(pictures)
            given = [
                each.finish([next(left) for _ in rows])
                if isinstance(each, ImageInputs | EncodedLive)
                else each.get(rows, drawn)
                for each, drawn in shown
            ]
            yield self._batch(rows, given)

    def _with_inputs(
        self, wanted: Iterable[tuple[Rows, Views | None]]
    ) -> Iterator[tuple[Rows, list[tuple[Inputs, Views | None]]]]:
        for rows, views in wanted:
            yield rows, self._shown(views)

    @staticmethod
    def _loads(rows: Rows, shown: list[tuple[Inputs, Views | None]]) -> list[Load]:
        return [
            load
            for each, drawn in shown
            if isinstance(each, ImageInputs | EncodedLive)
            for load in each.loads(rows, drawn)
        ]

    def scan(self, batch_size: int, device: torch.device) -> Iterator[Batch]:
        """All rows in order, plain views."""
        starts = range(0, len(self), batch_size)
        cuts = (np.arange(start, min(start + batch_size, len(self)), dtype=np.int64) for start in starts)
        for batch in self.batches((rows, None) for rows in cuts):
            yield batch.to(device)


def apply_unknown_policy(observed: npt.NDArray[np.int8], policy: str) -> Tensor:
    """Observed labels as the loss gets them: ``assume-negative`` turns 0 into -1, the others leave it."""
    labels = torch.from_numpy(np.array(observed, dtype=np.int8))
    return torch.where(labels == 0, torch.full_like(labels, -1), labels) if policy == "assume-negative" else labels
