"""Intervals by resampling the test images, exact with ties: a class is sorted once, a replicate only reweighs its rows.

95 % percentile intervals, for scores moved so that the mean of the replicates falls on the score: repeated rows raise
the average precision of rare classes, and without the move a score can lie outside its own interval. A class that
loses all its positives in a replicate is left out of that replicate's mean; a replicate that leaves a score undefined
is left out of its interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from ltbench.metrics.ap import Array, Float
from ltbench.metrics.contract import Metric, Replicated, Scorer, measure, resolve
from ltbench.metrics.errors import MetricError
from ltbench.metrics.judged import Groups, Options, judged

REPLICATES = 1000
LEVEL = 95.0
_TAILS = ((100 - LEVEL) / 2, 100 - (100 - LEVEL) / 2)

#: metric → subset → [low, high] in percent, or ``None`` where the score is undefined.
Intervals = dict[str, dict[str, list[float] | None]]


@dataclass(frozen=True)
class Difference:
    """Paired difference a − b in percentage points.

    Attributes:
        value: difference of the two scores.
        low: lower end of the 95 % interval.
        high: upper end.
    """

    value: float
    low: float
    high: float

    @property
    def separated(self) -> bool:
        """The interval leaves out zero."""
        return self.low > 0 or self.high < 0


def multiplicities(n: int, replicates: int, seed: int) -> Iterator[NDArray[np.int32]]:
    """How often each of n images is drawn, in blocks [n, r] of together ``replicates`` columns.

    A replicate draws n images with replacement. The legacy generator's stream is frozen by numpy, so a seed means the
    same draws in every version; the block size changes none of them.
    """
    generator = np.random.RandomState(seed)
    block = int(np.clip(2**20 // n, 8, 250))  # about 4 MB of int32: stays in cache while every class passes over it
    for start in range(0, replicates, block):
        drawn = [
            np.bincount(generator.randint(0, n, size=n), minlength=n) for _ in range(min(block, replicates - start))
        ]
        yield np.ascontiguousarray(np.stack(drawn, axis=1).astype(np.int32))


def _replicated(scorers: Sequence[Scorer], n: int, replicates: int, seed: int) -> list[Replicated]:
    """Score all replicates, the same draws for every scorer."""
    if replicates < 1:
        raise MetricError(f"replicates must be at least 1, got {replicates}")
    blocks: list[list[Replicated]] = [[] for _ in scorers]
    for weights in multiplicities(n, replicates, seed):
        for scorer, found in zip(scorers, blocks, strict=True):
            found.append(scorer(weights))
    return [_joined(found) for found in blocks]


def _joined(blocks: list[Replicated]) -> Replicated:
    joined: Replicated = {}
    for name, by_subset in blocks[0].items():
        joined[name] = {}
        for subset in by_subset:
            parts = [part for block in blocks if (part := block[name][subset]) is not None]
            joined[name][subset] = np.concatenate(parts) if parts else None
    return joined


def bootstrap_intervals(
    logits: Array,
    truth: Array,
    groups: Groups | None = None,
    metrics: Sequence[str | Metric] = ("mAP",),
    replicates: int = REPLICATES,
    seed: int = 0,
    **options: Unpack[Options],
) -> Intervals:
    """95 % centred percentile intervals of every score over test images, the same shape as ``Scores.scores``.

    With replicates t* of a score t, the interval is t plus the percentiles of (t* - mean t*), within [0, 100].

    Args:
        logits: float32 [n, C].
        truth: int8 [n, C] in {+1, -1, 0}.
        groups: as in :func:`ltbench.metrics.contract.evaluate`, like ``metrics`` and ``options``.
        metrics: names or metrics.
        replicates: number of resamplings of the images.
        seed: of the draws; the same seed gives the same intervals.

    Raises:
        MetricError: as :func:`ltbench.metrics.contract.evaluate`.
    """
    data = judged(logits, truth, groups, **options)
    n = data.truth.shape[0]
    scorer = measure(data, resolve(metrics))
    (found,) = _replicated([scorer], n, replicates, seed)
    points = scorer(np.ones((n, 1), dtype=np.int32))
    return {
        name: {subset: _centred(values, points[name][subset]) for subset, values in by_subset.items()}
        for name, by_subset in found.items()
    }


def paired_bootstrap(
    logits_a: Array,
    logits_b: Array,
    truth: Array,
    groups: Groups | None = None,
    metric: str | Metric = "mAP",
    replicates: int = REPLICATES,
    seed: int = 0,
    **options: Unpack[Options],
) -> dict[str, Difference | None]:
    """Difference of one metric between two sets of logits on the same images, per subset: both see the same draws.

    Args:
        logits_a: float32 [n, C].
        logits_b: float32 [n, C].
        truth: int8 [n, C] in {+1, -1, 0}.
        groups: as in :func:`ltbench.metrics.contract.evaluate`, like ``options`` (which hold for both).
        metric: name of the compared metric.
        replicates: number of resamplings of the images.
        seed: of the draws.

    Returns:
        Subset → difference a − b with its 95 % interval; ``None`` where the metric is undefined.

    Raises:
        MetricError: as :func:`ltbench.metrics.contract.evaluate`.
    """
    chosen = resolve([metric])
    pair = [judged(logits, truth, groups, **options) for logits in (logits_a, logits_b)]
    scorers = [measure(data, chosen) for data in pair]
    n = pair[0].truth.shape[0]
    once = np.ones((n, 1), dtype=np.int32)
    name = chosen[0].name
    points = [scorer(once)[name] for scorer in scorers]
    replicated = [found[name] for found in _replicated(scorers, n, replicates, seed)]
    differences: dict[str, Difference | None] = {}
    for subset in pair[0].subsets:
        a, b = (found[subset] for found in replicated)
        point_a, point_b = (point[subset] for point in points)
        differences[subset] = None
        if a is None or b is None or point_a is None or point_b is None or np.isnan(point_a[0] - point_b[0]):
            continue
        interval = _interval(a - b)
        if interval is not None:
            differences[subset] = Difference(float(point_a[0] - point_b[0]), *interval)
    return differences


def _interval(values: Float | None) -> list[float] | None:
    if values is None:
        return None
    defined = values[~np.isnan(values)]
    if not defined.size:
        return None
    low, high = np.percentile(defined, _TAILS)
    return [float(low), float(high)]


def _centred(values: Float | None, point: Float | None) -> list[float] | None:
    """Percentiles around the score instead of around the replicates' own mean."""
    raw = _interval(values)
    if raw is None or values is None or point is None or np.isnan(point[0]):
        return None
    move = float(point[0]) - float(np.nanmean(values))
    return [min(100.0, max(0.0, end + move)) for end in raw]


def seed_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Mean over seeds and half width of its two-sided 95 % Student t interval.

    Args:
        values: one score per seed.

    Returns:
        (mean, half width) in the unit of the values, or ``None`` for fewer than two seeds, which show no spread.

    Raises:
        MetricError: a value is not finite.
    """
    scores = np.asarray(values, dtype=np.float64)
    if not np.isfinite(scores).all():
        raise MetricError(f"scores of seeds must be finite, got {list(values)}")
    if scores.size < 2:
        return None
    return float(scores.mean()), _quantile(scores.size - 1) * float(scores.std(ddof=1)) / float(np.sqrt(scores.size))


@lru_cache(maxsize=64)
def _quantile(freedom: int) -> float:
    from scipy import special  # here, because reading records needs no scipy; scipy.stats takes a second to import

    return float(special.stdtrit(freedom, 0.5 + LEVEL / 200))
