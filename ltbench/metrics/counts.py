"""True and false positives per class, under any number of multiplicity vectors; and P, R, F1 from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ltbench.metrics.ap import Array, Float

# Columns per matrix product: bounds the float64 copy of the indicator matrices for data sets with a thousand classes.
_BLOCK = 64


class ClassCounts:
    """Counts of one set of decisions; entries whose label is unknown are counted nowhere.

    Args:
        decisions: bool [n, C].
        truth: [n, C] in {+1, -1, 0}.
    """

    def __init__(self, decisions: NDArray[np.bool_], truth: Array) -> None:
        self._decisions = decisions
        self._truth = truth

    def counts(self, weights: Array) -> tuple[Float, Float, Float]:
        """True positives, false positives, false negatives, each [C, R], for multiplicities [n, R]."""
        w = weights.astype(np.float64)
        parts: list[list[Float]] = [[], [], []]
        for start in range(0, self._truth.shape[1], _BLOCK):
            chosen = self._decisions[:, start : start + _BLOCK]
            truth = self._truth[:, start : start + _BLOCK]
            for part, indicator in zip(
                parts, (chosen & (truth == 1), chosen & (truth == -1), ~chosen & (truth == 1)), strict=True
            ):
                # Sums of integers below 2**53 are exact in any order, so the number of threads changes nothing.
                part.append(indicator.T.astype(np.float64) @ w)
        return np.concatenate(parts[0]), np.concatenate(parts[1]), np.concatenate(parts[2])


def share(part: Float, whole: Float) -> Float:
    """part / whole, and 0 where part is 0: the contract's rule for P, R and F1 without a true positive."""
    found = np.zeros(part.shape)
    np.divide(part, whole, out=found, where=part > 0)
    return found


def f1(tp: Float, fp: Float, fn: Float) -> Float:
    """2 TP / (2 TP + FP + FN): the harmonic mean of P and R where TP > 0, else 0."""
    return share(2 * tp, 2 * tp + fp + fn)


def harmonic(a: Float, b: Float) -> Float:
    """Harmonic mean; 0 where both are 0, nan where either is nan."""
    mean = np.zeros(a.shape)
    np.divide(2 * a * b, a + b, out=mean, where=a + b != 0)
    return mean


def mean_where(values: Float, counted: NDArray[np.bool_]) -> Float:
    """Mean over classes [S, R] → [R] of the counted ones; nan where none is counted."""
    number = counted.sum(axis=0)
    total = np.where(counted, values, 0.0).sum(axis=0)
    mean = np.full(number.shape, np.nan)
    np.divide(total, number, out=mean, where=number > 0)
    return mean


def top_k_decisions(logits: Array, k: int) -> NDArray[np.bool_]:
    """The k highest logits of each row (all, when there are fewer classes); ties go to the lowest class index.

    Args:
        logits: [n, C].
        k: at least 1.

    Returns:
        bool [n, C] with min(k, C) true entries a row.
    """
    best = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    chosen = np.zeros(logits.shape, dtype=bool)
    np.put_along_axis(chosen, best, True, axis=1)
    return chosen
