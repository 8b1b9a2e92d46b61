"""The order of training rows: batches of one epoch, and the state of the sampler that ordered them.

The order is drawn for (seed, stage, epoch). Which view of a row a batch shows is drawn for (seed, stage, epoch, row)
and the row's turn, so that it depends neither on the rows beside it nor on who loads them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset, Sampler

from ltbench.engine.ahead import Waited
from ltbench.engine.inputs import Rowset
from ltbench.engine.seeds import Views, seed_for
from ltbench.method import Batch, GradientStage


@dataclass(frozen=True)
class Draw:
    """Rows of one batch, with all that decides which views of them are shown; may be cut and sent to workers at will.

    Attributes:
        rows: int64 [n].
        turns: int64 [n], how often each row came before in this epoch.
        key: seed of the views of this stage and epoch.
    """

    rows: npt.NDArray[np.int64]
    turns: npt.NDArray[np.int64]
    key: int

    def every(self, first: int, step: int) -> Draw:
        """Each `step`-th row from the `first` on; its views stay its own."""
        return Draw(self.rows[first::step], self.turns[first::step], self.key)


class Rows(Dataset[Batch]):
    """Draws in, batches out. It has no randomness of its own: a batch follows from its draw."""

    def __init__(self, rowset: Rowset) -> None:
        self.rowset = rowset

    def __len__(self) -> int:
        return len(self.rowset)

    def __getitem__(self, draw: Draw) -> Batch:
        return self.rowset.batch(draw.rows, Views.of(draw.key, draw.rows, draw.turns))

    def batches(self, draws: Iterable[Draw], waited: Waited | None = None) -> Iterator[Batch]:
        """The batches of draws, in order; pictures of coming ones are loaded ahead.

        Args:
            waited: as :meth:`Rowset.batches` has it.
        """
        wanted = ((draw.rows, Views.of(draw.key, draw.rows, draw.turns)) for draw in draws)
        return self.rowset.batches(wanted, waited)


class EpochOrder(Sampler[Any]):
    """Batches of row numbers of one epoch, as the stage's own sampler (or a shuffle) orders them.

    Args:
        stage: its sampler, batch size and ``drop_last`` count.
        rows: rows of the training view.
        seed: of the run.
    """

    def __init__(self, stage: GradientStage, rows: int, seed: int) -> None:
        self._stage = stage
        self._rows = rows
        self._seed = seed
        self._key = 0
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
        self._key = seed_for(self._seed, "views", self._stage.name, epoch)

    def __len__(self) -> int:
        whole, rest = divmod(len(self.order), self._stage.batch_size)
        return whole if self._stage.drop_last and whole else whole + (rest > 0)

    def __iter__(self) -> Iterator[Any]:
        size = self._stage.batch_size
        turns = repetitions(self.order)
        for number in range(len(self)):
            part = slice(number * size, (number + 1) * size)
            yield Draw(self.order[part], turns[part], self._key)


def repetitions(order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How often each entry came before, [n]: 0 the first time, 1 the second, …"""
    by_row = np.argsort(order, kind="stable")
    ranked = order[by_row]
    first = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]])) if len(order) else by_row
    counts = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
    found = np.empty(len(order), dtype=np.int64)
    found[by_row] = counts
    return found


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
