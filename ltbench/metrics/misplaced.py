"""Which test rows a ranking gets wrong: a row's part in one minus the area under the ROC curve, class by class."""

from __future__ import annotations

import numpy as np

from ltbench.metrics.ap import Array, Float


def misplaced(logits: Array, truth: Array) -> Float:
    """Error of every test row, in percent; 0 where each of its labels is on the right side of all rows, 50 by chance.

    Of a present label it is the share of the class's absent rows that score higher, of an absent label the share of its
    present rows that score lower, equal scores counting half. A row's error is the mean over its present labels and the
    mean over its absent ones, averaged, so that a few present labels weigh as much as many absent ones. It asks for the
    order of logits within each class only, as average precision does, so uncalibrated logits have it too.

    Args:
        logits: [n, C], finite.
        truth: [n, C] in {+1, -1, 0}; 0 (unknown) takes no part, and neither does a class that lacks present or absent
            rows.

    Returns:
        [n]; nan for a row without a label that takes part.
    """
    scores, labels = np.asarray(logits, dtype=np.float64), np.asarray(truth)
    wrong = np.full(labels.shape, np.nan)
    for column in range(labels.shape[1]):
        present, absent = (np.flatnonzero(labels[:, column] == sign) for sign in (1, -1))
        if present.size and absent.size:
            high, low = (np.sort(scores[rows, column]) for rows in (present, absent))
            own = scores[present, column]
            above = absent.size - _mid(low, own)
            wrong[present, column] = above / absent.size
            wrong[absent, column] = _mid(high, scores[absent, column]) / present.size
    sides = np.stack([_row_means(np.where(labels == sign, wrong, np.nan)) for sign in (1, -1)])
    means: Float = 100 * _row_means(sides.T)
    return means


def _mid(ordered: Float, values: Float) -> Float:
    """How many of some ordered scores lie below each value, equal ones counting half."""
    below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    half: Float = below / 2
    return half


def _row_means(values: Float) -> Float:
    """Mean over the known values of each row; nan without any."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
