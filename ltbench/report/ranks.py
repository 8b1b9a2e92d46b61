"""Ranks: 1 + the number of rows that are separably better, over all pairs of a section."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ltbench.metrics.judged import TOTAL
from ltbench.report.pairs import Comparisons, record_hashes
from ltbench.report.rows import Row

if TYPE_CHECKING:
    from ltbench.metrics.pairs import Pair, Sample

#: How the images' part of a pair was found: resampled on the logits of all seeds of both, on those of some seeds, or
#: not at all, the intervals of the records standing in.
Way = Literal["logits", "some", "intervals"]
_NORMAL = 1.959963984540054


@dataclass(frozen=True)
class Ranked:
    """A row with its rank.

    Attributes:
        rank: 1 + the number of rows that are separably better.
        shared: another row has the same rank.
    """

    row: Row
    rank: int
    shared: bool


@dataclass(frozen=True)
class Compared:
    """Rows of a section, compared.

    Attributes:
        rows: in order, best first; all of them equals.
        pairs: (better place, worse place) in ``rows`` → comparison. Rows without a figure are in no pair.
        ways: how the images' part of each pair was found.
    """

    rows: tuple[Row, ...]
    pairs: Mapping[tuple[int, int], Pair]
    ways: Mapping[tuple[int, int], Way]

    def ranked(self) -> list[Ranked]:
        """The rows with their ranks; one without a figure comes after all that have one."""
        beaten = [0] * len(self.rows)
        for (upper, lower), pair in self.pairs.items():
            if pair.separated:
                beaten[lower if pair.value > 0 else upper] += 1
        having = sum(row.headline is not None for row in self.rows)
        numbers = [
            1 + (having if row.headline is None else better) for row, better in zip(self.rows, beaten, strict=True)
        ]
        return [Ranked(row, number, numbers.count(number) > 1) for row, number in zip(self.rows, numbers, strict=True)]


def compare_rows(rows: Sequence[Row], comparisons: Comparisons) -> Compared:
    """Compare all rows of a section, in the order in which they stand."""
    having = [place for place, row in enumerate(rows) if row.headline is not None]
    if len(having) < 2:
        return Compared(tuple(rows), {}, {})
    import numpy as np

    from ltbench.metrics.pairs import compare_all
    from ltbench.records.compare import DRAWS

    images = np.full((len(having), len(having)), np.nan)
    ways: dict[tuple[int, int], Way] = {}
    # Of a row once, not once a pair: a section of thousands of records has tens of thousands of pairs.
    hashes = {place: record_hashes(rows[place]) for place in having}
    variances = {place: _image_variance(rows[place]) for place in having}
    for i, b in enumerate(having):
        for j, a in enumerate(having[:i]):
            found = comparisons.find(rows[a].first.task.headline, hashes[a], hashes[b])
            images[i, j] = _by_intervals(variances[a], variances[b]) if found is None else found.sd
            whole = found is not None and all(
                len(found.logits[hashes[place]]) == len(rows[place].records) for place in (a, b)
            )
            ways[a, b] = "intervals" if found is None else ("logits" if whole else "some")
    pairs = compare_all([sample_of(rows[place]) for place in having], images, DRAWS)
    return Compared(tuple(rows), {(having[a], having[b]): pair for (a, b), pair in pairs.items()}, ways)


def sample_of(row: Row) -> Sample:
    """The headline scores of a row, one a seed."""
    from ltbench.metrics.pairs import Sample

    metric = row.first.task.headline
    values = tuple(record.scores[metric][TOTAL] for record in row.records)
    return Sample(tuple(value for value in values if value is not None), row.first.method.deterministic)


def _by_intervals(a: float, b: float) -> float:
    """Standard deviation over test images of a difference, as if the rows had been judged on different images.

    Rows judged on the same images agree more than that, so this separates less than logits would.

    Args:
        a, b: variances of the two rows.

    Returns:
        Percentage points; nan where a record has no interval.
    """
    return math.sqrt(a + b)


def _image_variance(row: Row) -> float:
    """Variance of a row's headline over test images, from its records' intervals; seeds share the images."""
    metric = row.first.task.headline
    spans = [record.intervals[metric][TOTAL] for record in row.records]
    found = [((span[1] - span[0]) / 2 / _NORMAL) ** 2 for span in spans if span is not None]
    return sum(found) / len(found) if found and len(found) == len(spans) else math.nan
