"""Orders of rows that toy methods ask for: one with a state, one with epochs of different lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor


class ClassAwareSampler:
    """Goes round the classes; each class walks through its own rows, going on where the last epoch stopped."""

    def __init__(self, observed: Tensor, length: int) -> None:
        self._members = [np.flatnonzero(column == 1) for column in observed.numpy().T]
        self._cursors = [0] * len(self._members)
        self._length = length

    def epoch(self, epoch: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        rows = []
        for number in range(self._length):
            column = number % len(self._members)
            members = self._members[column]
            rows.append(members[self._cursors[column] % len(members)])
            self._cursors[column] += 1
        return rng.permutation(np.array(rows, dtype=np.int64))

    def state_dict(self) -> dict[str, Any]:
        return {"cursors": self._cursors}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._cursors = list(state["cursors"])


class GrowingSampler:
    """Epochs of different lengths, as curricula have them."""

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def epoch(self, epoch: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        return rng.permutation(self._rows)[: 10 + 12 * epoch]
