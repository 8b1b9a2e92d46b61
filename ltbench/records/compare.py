"""How a score of several rows moves together when the test images are drawn again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ltbench.metrics.bootstrap import multiplicities
from ltbench.metrics.contract import Scorer, measure, resolve
from ltbench.metrics.judged import TOTAL, Groups, judged
from ltbench.records.judge import DECIMALS
from ltbench.records.logits import Logits
from ltbench.tasks.views import Truth

#: Resamplings behind a comparison: they give a standard deviation, known to 3 %, and no tail.
DRAWS = 500


def replicates_of(
    row: Sequence[Logits], truth: Truth, metric: str = "mAP", draws: int = DRAWS, seed: int = 0
) -> NDArray[np.float64]:
    """A metric over all classes on resampled test images, averaged over the seeds of a row.

    Replicate r is the same draw of images for every row, so that values of two rows may be subtracted.

    Args:
        row: one or more float32 [n, C], one per seed.
        truth: of the same rows and columns.
        metric: name of a metric of the contract.
        draws: resamplings of the test images.
        seed: of the draws.

    Returns:
        [draws] in percent; nan where a replicate leaves the metric undefined.

    Raises:
        MetricError: logits that cannot be judged, or an unknown metric.
    """
    return subset_replicates(row, truth, {}, metric, draws, seed)[TOTAL]


def subset_replicates(
    row: Sequence[Logits], truth: Truth, groups: Groups, metric: str = "mAP", draws: int = DRAWS, seed: int = 0
) -> dict[str, NDArray[np.float64]]:
    """As :func:`replicates_of`, for all classes (``total``) and for each group of them.

    Args:
        row: as there, like the arguments after ``groups``.
        truth: as there.
        groups: name → columns.
        metric: as there.
        draws: as there.
        seed: as there.

    Raises:
        MetricError: as there.
    """
    chosen = resolve([metric])
    scorers = [measure(judged(logits, truth.labels, groups), chosen) for logits in row]
    name = chosen[0].name
    blocks = [
        {subset: _mean(scorers, weights, name, subset) for subset in (TOTAL, *groups)}
        for weights in multiplicities(len(truth.ids), draws, seed)
    ]
    return {subset: np.concatenate([block[subset] for block in blocks]) for subset in (TOTAL, *groups)}


def spread_of(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    """Standard deviation of a difference over replicates, percentage points, rounded to six decimals.

    Args:
        a: [draws], see :func:`replicates_of`.
        b: [draws], of the same draws.

    Returns:
        ``None`` where fewer than two replicates define both.
    """
    difference = a - b
    difference = difference[~np.isnan(difference)]
    return round(float(np.std(difference, ddof=1)), DECIMALS) if difference.size > 1 else None


def _mean(scorers: Sequence[Scorer], weights: NDArray[np.int32], name: str, subset: str) -> NDArray[np.float64]:
    """Mean over seeds per replicate, [R]; nan where a seed's score is undefined."""
    total = np.zeros(weights.shape[1])
    for scorer in scorers:
        found = scorer(weights)[name][subset]
        total += np.nan if found is None else found
    return total / len(scorers)
