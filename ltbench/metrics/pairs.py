"""Which rows differ: every pair of a section, over test images and seeds, with Holm's correction for their number.

A row is the mean of a score over its seeds. The variance of the difference D of two rows has two parts:

* *images*: the variance of D over resamplings of the test images, which both rows share (Efron, 1979);
* *seeds*: v_a / n_a + v_b / n_b (Welch, 1947), where v of a row is the larger of its own variance over seeds and the
  mean of those variances over the section. Deterministic rows have v = 0.

D over the root of their sum is compared with Student's t, degrees of freedom after Satterthwaite (1946). Resampling
three seeds would understate their variance by a third, and know nothing of how badly three seeds know it; and no
number of resamplings reaches the levels that hundreds of pairs ask for. The larger of two variances is taken because
among many rows some have three seeds close together by luck: with its own variance alone, equal rows were told apart
in up to a quarter of simulated sections, so in up to one of twenty (docs/explanation/statistics.md).

Holm (1979) holds the probability of a single false separation in a section at 5 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ltbench.metrics.ap import Array, Float

ALPHA = 0.05


@dataclass(frozen=True)
class Sample:
    """The scores of one row.

    Attributes:
        values: one a seed, percentage points.
        deterministic: the seed changes nothing.
    """

    values: tuple[float, ...]
    deterministic: bool = False

    @property
    def fixed(self) -> bool:
        """It is said to be deterministic, and its seeds agree."""
        return self.deterministic and max(self.values) == min(self.values)

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return sum(self.values) / len(self.values)


@dataclass(frozen=True)
class Pair:
    """Difference of two rows, in percentage points.

    Attributes:
        value: difference a - b of the means over seeds.
        low: lower end of its 95 % interval, of this pair alone; ``None`` where a side has one seed and may vary.
        high: upper end.
        p: two-sided, of this pair alone; 1 where nothing can be said.
        adjusted: after Holm, among all pairs of the section.
        needed: smallest difference that would have been separated here; ``None`` where none would have been.
    """

    value: float
    low: float | None
    high: float | None
    p: float
    adjusted: float
    needed: float | None

    @property
    def separated(self) -> bool:
        """The two differ, at 5 % for all pairs of the section together."""
        return self.adjusted <= ALPHA


def compare_all(samples: Sequence[Sample], images: Array, draws: int) -> dict[tuple[int, int], Pair]:
    """Compare every row of a section with every other.

    Args:
        samples: the rows.
        images: [rows, rows], standard deviation of each pair's difference over resampled test images; nan where it is
            not known, and such a pair is never separated. Only places below the diagonal are looked at.
        draws: resamplings behind ``images``.

    Returns:
        (row a, row b), a before b, to their comparison.
    """
    from scipy import special  # here, because reading records needs no scipy

    first, second = np.triu_indices(len(samples), 1)
    if not first.size:
        return {}
    means = np.array([sample.mean for sample in samples])
    difference = means[first] - means[second]
    spread = np.asarray(images, dtype=np.float64)[second, first] ** 2
    of_seeds, freedom = _seed_variances(samples)
    parts = np.stack([spread, of_seeds[first], of_seeds[second]])
    degrees = np.stack([np.full(first.size, max(1.0, draws - 1.0)), freedom[first], freedom[second]])
    variance = parts.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = variance**2 / (parts**2 / degrees).sum(axis=0)
        error = np.sqrt(variance)
        statistic = np.abs(difference) / error
    exact = variance == 0  # identical outcomes, or outcomes that differ on every draw by the same
    df[exact], statistic[exact] = 1.0, np.where(difference[exact] == 0, 0.0, np.inf)
    known = ~np.isnan(variance)
    p = np.ones(first.size)
    p[known] = np.minimum(1.0, 2 * special.stdtr(df[known], -statistic[known]))
    adjusted = holm(p)
    left = max(1, first.size - int((adjusted <= ALPHA).sum()))
    with np.errstate(invalid="ignore"):
        half = special.stdtrit(df, 1 - ALPHA / 2) * error
        needed = -special.stdtrit(df, ALPHA / left / 2) * error
    return {
        (int(a), int(b)): Pair(
            value=float(difference[i]),
            low=float(difference[i] - half[i]) if known[i] else None,
            high=float(difference[i] + half[i]) if known[i] else None,
            p=float(p[i]),
            adjusted=float(adjusted[i]),
            needed=float(needed[i]) if known[i] else None,
        )
        for i, (a, b) in enumerate(zip(first, second, strict=True))
    }


def interval_alone(
    a: Sample, b: Sample, images: float, draws: int, paired: bool
) -> tuple[float, float | None, float | None]:
    """Difference of two rows that were not picked from many, with its 95 % interval.

    The half widths of its parts are added in quadrature: images, and seeds with the quantile of their own degrees of
    freedom. Unlike one quantile for the whole, that covers at least 95 % however the variance is shared between them.

    Args:
        a: the first row.
        b: the second.
        images: standard deviation of the difference over resampled test images, percentage points.
        draws: resamplings behind it.
        paired: the values of both are of the same seeds, in the same order; the spread is then that of the differences.

    Returns:
        Value a - b, low, high; no ends where a row that may vary has one seed.
    """
    value = a.mean - b.mean
    if paired and not (a.fixed or b.fixed):
        sides = [Sample(tuple(one - other for one, other in zip(a.values, b.values, strict=True)))]
    else:
        sides = [side for side in (a, b) if not side.fixed]
    if any(len(side.values) < 2 for side in sides) or np.isnan(images):
        return value, None, None
    parts = [(images**2, draws - 1.0)]
    parts += [(_variance(side) / len(side.values), len(side.values) - 1.0) for side in sides]
    half = _quadrature(parts)
    return value, value - half, value + half


def _quadrature(parts: Sequence[tuple[float, float]]) -> float:
    from scipy import special

    squares = [variance * float(special.stdtrit(freedom, 1 - ALPHA / 2)) ** 2 for variance, freedom in parts]
    return float(np.sqrt(sum(squares)))


def holm(p: Sequence[float] | Float) -> Float:
    """Holm's step-down adjustment: with m hypotheses, the k-th smallest p counts m - k + 1 times.

    Args:
        p: [m] in [0, 1].

    Returns:
        [m] adjusted p, at most 1, in the order given; those at most 5 % are rejected with a family-wise error of 5 %,
        whatever the dependence between them.
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(values.size, 0, -1))
    adjusted = np.empty(values.size)
    adjusted[order] = np.minimum(1.0, stepped)
    return adjusted


def _seed_variances(samples: Sequence[Sample]) -> tuple[Float, Float]:
    """Variance of each row's mean over seeds, and its degrees of freedom; nan for a row that may vary and has one."""
    own = np.array([_variance(sample) for sample in samples])
    known = np.array([not sample.fixed and len(sample.values) > 1 for sample in samples])
    count = np.array([len(sample.values) for sample in samples])
    used, freedom = own.copy(), np.ones(len(samples))
    if known.any():
        weights = (count - 1.0)[known]
        together = float((own[known] * weights).sum() / weights.sum())
        used[known] = np.maximum(own[known], together)
        freedom[known] = np.where(own[known] > together, weights, weights.sum())
    return used / count, freedom


def _variance(sample: Sample) -> float:
    if sample.fixed:
        return 0.0
    return float(np.var(sample.values, ddof=1)) if len(sample.values) > 1 else float("nan")
