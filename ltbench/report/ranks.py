"""Ranks: rows in order of their headline figure, neighbours that cannot be told apart sharing one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ltbench.plugin.errors import UserError
from ltbench.records.canonical import canonical_json
from ltbench.report.rows import Row

NAME = "comparisons.json"
Pair = tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class Comparison:
    """Paired bootstrap of two neighbours.

    Attributes:
        a: hashes of the logits of the upper row, sorted.
        b: of the lower row.
        metric: the compared metric, over all classes.
        value: difference a − b in percentage points.
        low: lower end of its 95 % interval.
        high: upper end.
    """

    a: tuple[str, ...]
    b: tuple[str, ...]
    metric: str
    value: float
    low: float
    high: float

    @property
    def separated(self) -> bool:
        """The interval leaves out zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Ranked:
    """A row with its rank.

    Attributes:
        rank: 1, 2, …; rows that share a rank carry that of the first of them.
        shared: another row has the same rank.
        how: how the row was told apart from the one above: ``paired``, ``seeds`` or ``images``; ``None`` for the first.
    """

    row: Row
    rank: int
    shared: bool
    how: str | None


@dataclass
class Comparisons:
    """Paired comparisons by the logits compared."""

    entries: dict[tuple[str, Pair], Comparison] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Iterable[Comparison]) -> Comparisons:
        """Index some comparisons."""
        return cls({(c.metric, (c.a, c.b)): c for c in found})

    @classmethod
    def merged(cls, several: Iterable[Comparisons]) -> Comparisons:
        """All of several; they are of the same logits where they meet."""
        return cls({place: entry for some in several for place, entry in some.entries.items()})

    @classmethod
    def read(cls, folder: Path) -> Comparisons:
        """Read the file of a leaderboard; without one there are none.

        Raises:
            UserError: the file is damaged.
        """
        path = folder / NAME
        if not path.exists():
            return cls()
        try:
            return cls.of(_comparison(entry) for entry in json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(
                f"{path} is damaged ({error})", f"delete {path.name} and run ltbench leaderboard"
            ) from error

    def to_json(self) -> str:
        """Text of the file, in a fixed order."""
        ordered = sorted(self.entries.values(), key=lambda c: (c.metric, c.a, c.b))
        return canonical_json([asdict(entry) for entry in ordered])

    def find(self, upper: Row, lower: Row) -> Comparison | None:
        """Comparison of two rows, if there is one of exactly these logits."""
        return self.entries.get((upper.first.task.headline, (upper.logits, lower.logits)))


def _comparison(entry: Mapping[str, Any]) -> Comparison:
    return Comparison(
        a=tuple(entry["a"]),
        b=tuple(entry["b"]),
        metric=str(entry["metric"]),
        value=float(entry["value"]),
        low=float(entry["low"]),
        high=float(entry["high"]),
    )


def rank(rows: Sequence[Row], comparisons: Comparisons) -> list[Ranked]:
    """Rank rows that are already in order; all of them must be equals."""
    numbers: list[int] = []
    ways: list[str | None] = []
    for index, row in enumerate(rows):
        if index == 0:
            numbers.append(1)
            ways.append(None)
            continue
        apart, how = told_apart(rows[index - 1], row, comparisons)
        numbers.append(index + 1 if apart else numbers[-1])
        ways.append(how)
    return [
        Ranked(row, number, numbers.count(number) > 1, how)
        for row, number, how in zip(rows, numbers, ways, strict=True)
    ]


def told_apart(upper: Row, lower: Row, comparisons: Comparisons) -> tuple[bool, str]:
    """Whether two neighbours differ, and how that was found.

    A paired bootstrap decides where there is one. Else intervals over seeds decide, a row without such an interval
    counting as a point; where neither row has one, the bootstrap intervals over test images.
    """
    found = comparisons.find(upper, lower)
    if found is not None:
        return found.separated, "paired"
    metric = upper.first.task.headline
    a, b = upper.score(metric, "total"), lower.score(metric, "total")
    if a.mean is None or b.mean is None:
        return True, "seeds"
    if a.half is not None or b.half is not None:
        return a.mean - (a.half or 0.0) > b.mean + (b.half or 0.0), "seeds"
    low, high = upper.first.intervals[metric]["total"], lower.first.intervals[metric]["total"]
    return low is None or high is None or low[0] > high[1], "images"
