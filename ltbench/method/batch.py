"""What a module is given, and what is counted before training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """What a module is given.

    Attributes:
        rows: int64 [n], row numbers within the view; per-row state is indexed by them.
        input: image [n, 3, H, W], global feature [n, D], or global and region features ([n, D], [n, L, R]).
        observed: int8 [n, C] in {+1, -1, 0}, after the unknown policy; empty [n, 0] when predicting.
        captions: one caption a row, or None.
        further: inputs of the further views that a stage asked for, each as ``input``; empty when predicting.
    """

    rows: Tensor
    input: Tensor | tuple[Tensor, Tensor]
    observed: Tensor
    captions: tuple[str, ...] | None = None
    further: tuple[Tensor | tuple[Tensor, Tensor], ...] = ()

    @property
    def features(self) -> Tensor:
        """Global features [n, D], without the regions that may come with them; images where the input is images."""
        return self.input[0] if isinstance(self.input, tuple) else self.input

    def to(self, device: torch.device) -> Batch:
        """Move the tensors to a device."""
        further = tuple(_moved(each, device) for each in self.further)
        return Batch(self.rows.to(device), _moved(self.input, device), self.observed.to(device), self.captions, further)

    def view(self, number: int) -> Batch:
        """The same rows as a further view shows them, which is then the ``input``.

        Raises:
            IndexError: there is no further view of that number, counted from 0.
        """
        return Batch(self.rows, self.further[number], self.observed, self.captions)


def _moved(given: Tensor | tuple[Tensor, Tensor], device: torch.device) -> Tensor | tuple[Tensor, Tensor]:
    if isinstance(given, tuple):
        return given[0].to(device), given[1].to(device)
    return given.to(device)


@dataclass(frozen=True)
class Stats:
    """Counts over the observed training labels.

    Attributes:
        rows: number of training rows N.
        positives: int64 [C], rows with +1.
        negatives: int64 [C], rows with -1.
        cooccurrence: int64 [C, C], rows where both classes are +1.
        told: int64 [C, C], rows where class i is +1 and class j is known, +1 or -1; None where every label is known.
    """

    rows: int
    positives: npt.NDArray[np.int64]
    negatives: npt.NDArray[np.int64]
    cooccurrence: npt.NDArray[np.int64]
    told: npt.NDArray[np.int64] | None = None

    @classmethod
    def of(cls, observed: npt.NDArray[np.int8]) -> Stats:
        """Count over observed labels int8 [N, C]."""
        present, known = observed == 1, observed != 0
        return cls(
            len(observed),
            present.sum(axis=0, dtype=np.int64),
            (observed == -1).sum(axis=0, dtype=np.int64),
            _together(present, present),
            None if bool(known.all()) else _together(present, known),
        )

    @property
    def usable_positives(self) -> npt.NDArray[np.int64]:
        """Observed positives a class, int64 [C], moved into 1 … N - 1, outside of which frequency weights are infinite.

        A class nobody labelled counts as one with a single positive, the rarest there can be; a class in every row as
        one with N - 1.
        """
        return np.clip(self.positives, 1, max(1, self.rows - 1)).astype(np.int64)

    @property
    def prior(self) -> npt.NDArray[np.float64]:
        """Share of positives among the known labels of each class, [C], half a label added on either side."""
        positives, negatives = self.positives + 0.5, self.negatives + 0.5
        return np.asarray(positives / (positives + negatives), dtype=np.float64)

    @property
    def log_odds(self) -> float:
        """Log-odds of a known label being positive, over all classes, half a label added on either side."""
        return math.log((float(self.positives.sum()) + 0.5) / (float(self.negatives.sum()) + 0.5))


def _together(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Rows where both hold, int64 [C, C]. Sums of ones are exact in double precision, whose products are fast."""
    found = np.zeros((first.shape[1], second.shape[1]), dtype=np.float64)
    for start in range(0, len(first), _ROWS):
        found += first[start : start + _ROWS].astype(np.float64).T @ second[start : start + _ROWS].astype(np.float64)
    return found.astype(np.int64)


_ROWS = 8192
"""Rows whose labels are turned into numbers at a time."""

Scan = Callable[[], Iterator[Batch]]
"""A pass over rows, in row order, as often as wanted."""
