"""The order of training rows: batches of one epoch, and the state of the sampler that ordered them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import Dataset, Sampler

from ltbench.engine.inputs import Rowset
from ltbench.method import Batch, GradientStage


class Rows(Dataset[Batch]):
    """Index arrays in, batches out; randomness comes from the generator of the current epoch."""

    def __init__(self, rowset: Rowset) -> None:
        self.rowset = rowset
        self.rng: np.random.Generator | None = None

    def __len__(self) -> int:
        return len(self.rowset)

    def __getitem__(self, rows: Any) -> Batch:
        return self.rowset.batch(np.asarray(rows, dtype=np.int64), self.rng)


class EpochOrder(Sampler[Any]):
    """Batches of row numbers of one epoch, as the stage's own sampler (or a shuffle) orders them.

    Args:
        stage: its sampler, batch size and ``drop_last`` count.
        rows: rows of the training view.
    """

    def __init__(self, stage: GradientStage, rows: int) -> None:
        self._stage = stage
        self._rows = rows
        self.order: np.ndarray = self._draw(0, np.random.default_rng(0), peek=True)

    def _draw(self, epoch: int, rng: np.random.Generator, peek: bool = False) -> np.ndarray:
        if self._stage.sampler is None:
            return rng.permutation(self._rows)
        if peek:
            # Only the length is wanted, so the sampler's state must not move.
            state = state_of(self._stage.sampler)
            drawn = np.asarray(self._stage.sampler.epoch(epoch, rng), dtype=np.int64)
            restore(self._stage.sampler, state)
            return drawn
        return np.asarray(self._stage.sampler.epoch(epoch, rng), dtype=np.int64)

    def start(self, epoch: int, rng: np.random.Generator) -> None:
        """Draw the order of an epoch."""
        self.order = self._draw(epoch, rng)

    def __len__(self) -> int:
        whole, rest = divmod(len(self.order), self._stage.batch_size)
        return whole if self._stage.drop_last and whole else whole + (rest > 0)

    def __iter__(self) -> Iterator[Any]:
        size = self._stage.batch_size
        for number in range(len(self)):
            yield self.order[number * size : (number + 1) * size]


def state_of(thing: object) -> Any:
    """What ``state_dict`` gives, if there is one."""
    getter = getattr(thing, "state_dict", None)
    # A copy, because state_dict may hand out the very lists that the sampler goes on changing.
    return copy.deepcopy(getter()) if callable(getter) else None


def restore(thing: object, state: Any) -> None:
    """Hand a state back to a thing that takes one."""
    setter = getattr(thing, "load_state_dict", None)
    if callable(setter) and state is not None:
        setter(state)
