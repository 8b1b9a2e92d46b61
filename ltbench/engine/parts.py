"""A batch cut into the parts that a process trains on, each with its share of the loss.

Rows of a batch are dealt to ranks, and those of a rank to steps of accumulation. A stage says how its loss goes over
rows (``GradientStage.reduction``), and so by what the losses of parts are weighed to add up to that of the batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ltbench.engine.order import Draw
from ltbench.engine.ranks import ALONE, Ranks
from ltbench.method import Batch, GradientStage

Whole = list[npt.NDArray[np.int64]]


@dataclass(frozen=True)
class Step:
    """What a process trains on before parameters move.

    Attributes:
        batches: the parts.
        shares: of each, its factor in the batch's loss; None where the one part is the batch.
        rows: of the whole batch, those of each rank.
    """

    batches: tuple[Batch, ...]
    shares: tuple[float | None, ...]
    rows: Whole

    def moved(self, move: Callable[[Batch], Batch]) -> Step:
        """The same with batches somewhere else."""
        return replace(self, batches=tuple(move(batch) for batch in self.batches))


class Cut:
    """Cuts draws of whole batches.

    Args:
        stage: its reduction counts.
        observed: int8 [N, C], labels of all rows, for losses that are means over known labels.
        ranks: who else trains.
        accumulation: parts that a rank makes of its rows.
    """

    def __init__(self, stage: GradientStage, observed: Tensor, ranks: Ranks = ALONE, accumulation: int = 1) -> None:
        self._reduction = stage.reduction
        self._ranks = ranks
        self._accumulation = accumulation
        known = (observed != 0).sum(dim=1).numpy()
        self._units = {"known": known, "labelled": (known > 0).astype(np.int64)}.get(stage.reduction)

    @property
    def whole(self) -> bool:
        """Whether every batch is one part."""
        return not self._ranks.several and self._accumulation == 1

    def parts(self, draw: Draw) -> tuple[list[Draw], list[float | None], Whole]:
        """The parts of this rank, their shares, and the rows of each rank."""
        world, rank = self._ranks.world, self._ranks.rank
        if self.whole:
            return [draw], [None], [draw.rows]
        if len(draw.rows) < world:
            # Too few to deal: everyone trains on all of them, and the mean of equal gradients is one of them.
            return [draw], [1.0 / world], [draw.rows] * world
        own = draw.every(rank, world)
        count = min(self._accumulation, len(own.rows))
        found = [own.every(number, count) for number in range(count)]
        every = [draw.rows[other::world] for other in range(world)]
        return found, [self._share(part.rows, draw.rows) for part in found], every

    def _share(self, part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> float:
        if self._reduction == "sum":
            return 1.0
        if self._units is None:
            return len(part) / len(whole)
        units = int(self._units[whole].sum())
        # A batch without a known label has no loss, however it is weighed.
        return int(self._units[part].sum()) / units if units else len(part) / len(whole)


def steps(draws: Iterable[Draw], cut: Cut, load: Callable[[Iterable[Draw]], Iterator[Batch]]) -> Iterator[Step]:
    """Draws as steps, in order; `load` gets the parts of all of them in one stream, so that it can load ahead."""
    begun: deque[tuple[tuple[float | None, ...], Whole]] = deque()

    def flat() -> Iterator[Draw]:
        for draw in draws:
            parts, shares, rows = cut.parts(draw)
            begun.append((tuple(shares), rows))
            yield from parts

    loaded = load(flat())
    for batch in loaded:
        shares, rows = begun.popleft()
        yield Step((batch, *(next(loaded) for _ in shares[1:])), shares, rows)
