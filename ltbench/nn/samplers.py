"""Orders of training rows: functions of their state and the epoch's generator, so that a resumed run goes on alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Rows = npt.NDArray[np.int64]


class ShuffleSampler:
    """Every row once an epoch, in random order.

    Args:
        rows: number of rows N.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def epoch(self, epoch: int, rng: np.random.Generator) -> Rows:
        """Row numbers int64 [N]."""
        return rng.permutation(self.rows).astype(np.int64)

    def state_dict(self) -> dict[str, Any]:
        """Nothing is kept from epoch to epoch."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to restore."""


class ClassAwareSampler:
    """Classes take turns, so that rare ones are seen as often as common ones.

    Classes come in a shuffled cycle; each visit takes the next rows of that class's own shuffled cycle; a cycle is
    shuffled anew when it wraps. The cycles go on from epoch to epoch. An epoch has ``max_c n_c * C // reduce`` rows.

    Source: class-aware sampling of Relay Backpropagation (Shen, Lin, Huang, ECCV 2016), with the epoch length and the
    repeated draws of Distribution-Balanced Loss (Wu et al. 2020), whose code takes ``reduce=4`` and 3 draws a visit.

    Args:
        observed: observed labels int8 [N, C]; a row belongs to the classes where it is +1. Classes without positives
            are left out.
        reduce: divides the epoch length.
        draws_per_class: rows taken at each visit of a class.

    Raises:
        ValueError: no class has a positive, or an argument is below 1.
    """

    def __init__(self, observed: npt.NDArray[np.int8], reduce: int = 4, draws_per_class: int = 3) -> None:
        if reduce < 1 or draws_per_class < 1:
            raise ValueError(f"reduce ({reduce}) and draws_per_class ({draws_per_class}) must be at least 1")
        members = [np.flatnonzero(column == 1).astype(np.int64) for column in np.asarray(observed).T]
        self.classes = [c for c, rows in enumerate(members) if len(rows)]
        if not self.classes:
            raise ValueError("no class has an observed positive")
        self.draws_per_class = draws_per_class
        self.length = max(1, max(len(members[c]) for c in self.classes) * len(self.classes) // reduce)
        # Cycle 0 runs over classes, cycle 1 + k over the rows of the k-th class that has any.
        self._cycles = [np.arange(len(self.classes), dtype=np.int64), *(members[c].copy() for c in self.classes)]
        self._at = [len(cycle) for cycle in self._cycles]

    def epoch(self, epoch: int, rng: np.random.Generator) -> Rows:
        """Row numbers int64 [length]; a row may come several times."""
        order: list[int] = []
        while len(order) < self.length:
            chosen = 1 + self._next(0, rng)
            order.extend(self._next(chosen, rng) for _ in range(self.draws_per_class))
        return np.array(order[: self.length], dtype=np.int64)

    def _next(self, cycle: int, rng: np.random.Generator) -> int:
        if self._at[cycle] >= len(self._cycles[cycle]):
            rng.shuffle(self._cycles[cycle])
            self._at[cycle] = 0
        self._at[cycle] += 1
        return int(self._cycles[cycle][self._at[cycle] - 1])

    def state_dict(self) -> dict[str, Any]:
        """Order and position of all cycles, as int64 tensors."""
        return {"order": torch.from_numpy(np.concatenate(self._cycles)), "at": torch.tensor(self._at)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the cycles.

        Raises:
            ValueError: the state belongs to other labels.
        """
        order, at = np.asarray(state["order"], dtype=np.int64), [int(position) for position in state["at"]]
        sizes = [len(cycle) for cycle in self._cycles]
        if len(order) != sum(sizes) or len(at) != len(sizes):
            raise ValueError("the sampler's state belongs to other labels")
        restored = np.split(order, np.cumsum(sizes)[:-1])
        if any(not np.array_equal(np.sort(a), np.sort(b)) for a, b in zip(restored, self._cycles, strict=True)):
            raise ValueError("the sampler's state belongs to other labels")
        self._cycles, self._at = [part.copy() for part in restored], at
