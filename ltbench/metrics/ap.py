"""Average precision over distinct scores, exact with ties and with multiplicities (design section 4).

AP = Σₙ (Rₙ − Rₙ₋₁) Pₙ, n running over the *distinct* scores from high to low: rows with equal scores are one step,
and nothing is interpolated. This is what ``sklearn.metrics.average_precision_score`` computes. A row of multiplicity w
counts as w equal rows, which is what the bootstrap needs: the order is found once, and a replicate is only another
vector of multiplicities.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltbench.metrics.errors import MetricError

Array = NDArray[Any]
Float = NDArray[np.float64]
Index = NDArray[np.intp]


class RankedColumn:
    """One class, sorted once, judged under any number of multiplicity vectors.

    Args:
        scores: [n], higher means more likely present; finite.
        truth: [n] in {+1, -1, 0}; rows with 0 (unknown) take no part.

    Only steps that hold a positive change recall, so rows between two such steps matter by their number alone. They are
    summed segment by segment, and nothing below the last positive is looked at.
    """

    def __init__(self, scores: Array, truth: Array) -> None:
        known = np.flatnonzero(truth != 0)
        order = known[np.argsort(-scores[known], kind="stable")]
        ranked = scores[order]
        positive = truth[order] == 1
        new_step = np.empty(order.size, dtype=bool)
        new_step[:1] = True
        np.not_equal(ranked[1:], ranked[:-1], out=new_step[1:])
        step = np.cumsum(new_step) - 1
        ends = np.append(np.flatnonzero(new_step)[1:], order.size)
        kept, first_positive = np.unique(step[positive], return_index=True)
        ends_kept = ends[kept]
        self._rows: Index = order[: ends_kept[-1] if kept.size else 0]
        self._segments: Index = np.concatenate(([0], ends_kept[:-1])).astype(np.intp)
        self._positive_rows: Index = order[positive]
        self._positive_segments: Index = first_positive.astype(np.intp)

    def average_precision(self, weights: Array) -> Float:
        """AP of every replicate.

        Args:
            weights: [n, R] multiplicities of the rows, not negative.

        Returns:
            [R] in [0, 1]; nan where no positive has a multiplicity above 0.
        """
        if not self._positive_rows.size:
            return np.full(weights.shape[1], np.nan)
        seen = np.cumsum(np.add.reduceat(weights[self._rows], self._segments, axis=0), axis=0)
        hits = np.add.reduceat(weights[self._positive_rows], self._positive_segments, axis=0)
        found = np.cumsum(hits, axis=0)
        precision = np.zeros(seen.shape)
        np.divide(found, seen, out=precision, where=seen > 0)
        total = found[-1].astype(np.float64)
        # A product and a plain sum: einsum may fuse the two, and then the last bit would depend on the processor.
        area = (hits * precision).sum(axis=0)
        ap = np.full(total.shape, np.nan)
        np.divide(area, total, out=ap, where=total > 0)
        return ap


def average_precision(scores: Array, positive: Array, weight: Array | None = None) -> float | None:
    """AP of one ranking, scikit-learn's definition.

    Args:
        scores: [n], finite.
        positive: [n] bool.
        weight: [n] multiplicities, not negative (default: one each).

    Returns:
        A share in [0, 1], or ``None`` without a positive of multiplicity above 0.

    Raises:
        MetricError: shapes differ, a score is not finite, or a multiplicity is negative.
    """
    scores, positive = np.asarray(scores), np.asarray(positive)
    weights = np.ones(scores.shape, dtype=np.int64) if weight is None else np.asarray(weight)
    if scores.ndim != 1 or positive.shape != scores.shape or weights.shape != scores.shape:
        raise MetricError(f"one ranking needs equal lengths, got {scores.shape}, {positive.shape}, {weights.shape}")
    if positive.dtype != np.bool_:
        raise MetricError(f"positive must be bool, not {positive.dtype}")
    if not np.isfinite(scores).all():
        raise MetricError(f"score of row {int(np.flatnonzero(~np.isfinite(scores))[0])} is not finite")
    if (weights < 0).any():
        raise MetricError("multiplicities must not be negative")
    column = RankedColumn(scores, np.where(positive, 1, -1).astype(np.int8))
    value = float(column.average_precision(weights[:, None])[0])
    return None if np.isnan(value) else value


def rank_columns(scores: Array, truth: Array) -> Sequence[RankedColumn]:
    """Sort every class of a [n, C] score matrix once."""
    return [RankedColumn(np.ascontiguousarray(scores[:, c]), truth[:, c]) for c in range(scores.shape[1])]


def softmax_log_odds(logits: Array) -> Float:
    """log(p / (1 − p)) of the softmax over classes, in float64.

    It ranks the rows of a class exactly as p does, but neither end saturates: p itself would round to 0 or 1 and tie
    rows that the mathematics keeps apart.

    Args:
        logits: [n, C], finite.

    Returns:
        [n, C]; all zero for a single class, whose softmax is 1 everywhere.
    """
    x = np.asarray(logits, dtype=np.float64)
    n, classes = x.shape
    if classes == 1 or n == 0:
        return np.zeros(x.shape)
    rows = np.arange(n)
    top = np.argmax(x, axis=1)
    highest = x[rows, top]
    shares = np.exp(x - highest[:, None])
    # Where the class is not the highest, the highest (1) remains in the sum, so the difference loses no digits.
    others = highest[:, None] + np.log(np.maximum(shares.sum(axis=1, keepdims=True) - shares, 1.0))
    rest = x.copy()
    rest[rows, top] = -np.inf
    second = rest.max(axis=1)
    others[rows, top] = second + np.log(np.exp(rest - second[:, None]).sum(axis=1))
    odds: Float = x - others
    return odds
