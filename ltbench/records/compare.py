"""Is one method better than another? A paired bootstrap over test images of the difference of means over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ltbench.metrics.bootstrap import LEVEL, REPLICATES, Difference, multiplicities
from ltbench.metrics.contract import Scorer, measure, resolve
from ltbench.metrics.judged import TOTAL, judged
from ltbench.records.judge import DECIMALS
from ltbench.records.logits import Logits
from ltbench.tasks.views import Truth

_TAILS = ((100 - LEVEL) / 2, (100 + LEVEL) / 2)


def paired_difference(
    a: Sequence[Logits],
    b: Sequence[Logits],
    truth: Truth,
    metric: str = "mAP",
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Difference | None:
    """Difference a − b of a metric over all classes, each side averaged over its seeds; every replicate draws the same
    images for all of them.

    Args:
        a: one or more float32 [n, C], one per seed.
        b: likewise; the numbers of seeds may differ.
        truth: of the same rows and columns.
        metric: name of a metric of the contract.
        replicates: resamplings of the test images.
        seed: of the draws.

    Returns:
        Difference with its 95 % interval in percentage points, rounded to six decimals; ``None`` where undefined.

    Raises:
        MetricError: logits that cannot be judged, or an unknown metric.
    """
    chosen = resolve([metric])
    sides = [[measure(judged(logits, truth.labels), chosen) for logits in side] for side in (a, b)]
    name = chosen[0].name
    once = np.ones((len(truth.ids), 1), dtype=np.int32)
    point = _mean(sides[0], once, name) - _mean(sides[1], once, name)
    draws = [
        _mean(sides[0], weights, name) - _mean(sides[1], weights, name)
        for weights in multiplicities(len(truth.ids), replicates, seed)
    ]
    spread = np.concatenate(draws)
    spread = spread[~np.isnan(spread)]
    if np.isnan(point[0]) or not spread.size:
        return None
    low, high = np.percentile(spread, _TAILS)
    return Difference(*(round(float(value), DECIMALS) for value in (point[0], low, high)))


def _mean(scorers: Sequence[Scorer], weights: NDArray[np.int32], name: str) -> NDArray[np.float64]:
    """Mean over seeds per replicate, [R]; nan where a seed's score is undefined."""
    total = np.zeros(weights.shape[1])
    for scorer in scorers:
        found = scorer(weights)[name][TOTAL]
        total += np.nan if found is None else found
    return total / len(scorers)
