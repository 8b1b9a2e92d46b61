"""Average ranks of recipes over tasks, and how far apart two must lie to differ: Demšar, JMLR 7 (2006), section 3.2.

Friedman's test asks whether the average ranks differ at all, in the form of Iman and Davenport; Nemenyi's critical
difference CD = q sqrt(k (k + 1) / (6 N)) holds for all pairs of k recipes on N tasks together, q being the 95 %
point of the studentized range over sqrt 2.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ltbench.report.rows import Row


@dataclass(frozen=True)
class AverageRanks:
    """Recipes on all of some tasks.

    Attributes:
        tasks: addresses.
        names: recipes, best average first.
        ranks: [recipe][task]; equal scores share the mean of their places.
    """

    tasks: tuple[str, ...]
    names: tuple[str, ...]
    ranks: tuple[tuple[float, ...], ...]

    @property
    def average(self) -> tuple[float, ...]:
        """Mean rank of every recipe."""
        return tuple(sum(line) / len(line) for line in self.ranks)

    @cached_property
    def p(self) -> float:
        """Of Friedman's test, Iman and Davenport's F with (k - 1) and (k - 1)(N - 1) degrees of freedom."""
        from scipy import special

        k, n = len(self.names), len(self.tasks)
        # With ties, the sum of squares that Friedman's statistic divides by is what the ranks have, not k (k + 1).
        spread = sum((rank - (k + 1) / 2) ** 2 for line in self.ranks for rank in line)
        between = n * sum((mean - (k + 1) / 2) ** 2 for mean in self.average)
        within = spread - between
        if within <= 1e-12:
            return 0.0 if between > 1e-12 else 1.0
        statistic = between * (n - 1) / within
        return float(special.fdtrc(k - 1, (k - 1) * (n - 1), statistic))

    @cached_property
    def difference(self) -> float:
        """Nemenyi's critical difference at 5 %."""
        from scipy import stats

        k, n = len(self.names), len(self.tasks)
        quantile = float(stats.studentized_range.ppf(0.95, k, math.inf)) / math.sqrt(2)
        return quantile * math.sqrt(k * (k + 1) / (6 * n))

    def together(self) -> list[tuple[int, int]]:
        """First and last place of every longest run of recipes that lie within the critical difference."""
        means = self.average
        runs: list[tuple[int, int]] = []
        for first in range(len(means)):
            last = max(i for i in range(first, len(means)) if means[i] - means[first] < self.difference)
            if last > first and (not runs or last > runs[-1][1]):
                runs.append((first, last))
        return runs


def average_ranks(rows: Mapping[str, Sequence[Row]], backbone: str) -> AverageRanks | None:
    """Ranks of the recipes that have one row among equals on every task.

    Rows with another backbone, or that used what others had not, are left out, and so is a recipe with several rows on
    a task: the best would be a choice made on the test part.

    Args:
        rows: of each task.
        backbone: that all use.

    Returns:
        ``None`` for fewer than two tasks, or fewer than three recipes.
    """
    scores: dict[str, dict[str, float]] = {task: _scores(found, backbone) for task, found in rows.items()}
    names = sorted(set.intersection(*(set(found) for found in scores.values()))) if scores else []
    if len(names) < 3 or len(scores) < 2:
        return None
    columns = [_places([found[name] for name in names]) for found in scores.values()]
    lines = {name: tuple(column[place] for column in columns) for place, name in enumerate(names)}
    ordered = sorted(names, key=lambda name: (sum(lines[name]), name))
    return AverageRanks(tuple(scores), tuple(ordered), tuple(lines[name] for name in ordered))


def _scores(rows: Sequence[Row], backbone: str) -> dict[str, float]:
    """Headline of every recipe with one row, among the largest class of equals that used nothing extra."""
    plain = [row for row in rows if not row.why_not and not row.equals.extras and row.equals.backbone == backbone]
    if not plain:
        return {}
    ((equals, _),) = Counter(row.equals for row in plain).most_common(1)
    having = [row for row in plain if row.equals == equals]
    several = Counter(row.name for row in having)
    return {row.name: row.headline for row in having if several[row.name] == 1 and row.headline is not None}


def _places(values: Sequence[float]) -> list[float]:
    """1 for the highest; equal values share the mean of their places."""
    return [1 + sum(v > value for v in values) + (sum(v == value for v in values) - 1) / 2 for value in values]
