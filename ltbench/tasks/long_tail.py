"""The generator behind VOC-LT, COCO-LT and PLT-VOC: a long-tailed subset of a multi-label data set.

Rebuilt from its description: reference counts follow a Pareto density; classes are visited from the one that appears
most with the others to the one that appears least; images are added to or removed from the subset at random until the
class meets its reference count, and the counts of all classes follow. What comes out depends on the order in which
Python iterates over sets of small integers, so the sets below are built step by step in one fixed manner: the subset as
a whole and that of each class grow and shrink image by image, in the order in which images were drawn.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int8]


def reference_counts(largest: int, exponent: float, classes: int, smallest: int = 1) -> list[int]:
    """Counts that classes should have, the most frequent first.

    ``int((largest - smallest) * p(x) + smallest)`` with the Pareto density p(x) = x^(-b-1), scaled so that p(1) = 1.

    Args:
        largest: count of the most frequent class.
        exponent: b of the density.
        classes: how many counts; x runs linearly from the 0th to the 99th percentile.
        smallest: what even the rarest class has.
    """
    steps = np.linspace(1.0, (1 - 0.99) ** (-1 / exponent), classes)
    return [int((largest - smallest) * step ** (-exponent - 1) + smallest) for step in steps.tolist()]


def visiting_order(labels: Labels) -> list[int]:
    """Classes by falling column sum of P(c | i), the share of the images of class i that show class c too.

    Args:
        labels: int8 [N, C]; +1 is present.
    """
    present = (labels == 1).astype(np.float64)
    together = present.T @ present
    conditional = together / np.maximum(np.diag(together), 1)[:, None]
    order: list[int] = np.argsort(-conditional.sum(axis=0), kind="stable").tolist()
    return order


def long_tailed(labels: Labels, largest: int, exponent: float, generator: random.Random) -> list[int]:
    """Rows of the subset, in the published order.

    Args:
        labels: int8 [N, C] in annotation order; +1 is present.
        largest: reference count of the most frequent class.
        exponent: of the Pareto density.
        generator: Python's, seeded with 0 for the published subsets; it is used up.

    Returns:
        Row numbers. A class with fewer images than it should have gives all it has.
    """
    counts = reference_counts(largest, exponent, labels.shape[1])
    of_class = [set(np.flatnonzero(labels[:, column] == 1).tolist()) for column in range(labels.shape[1])]
    drawn: list[set[int]] = [set() for _ in of_class]
    subset: set[int] = set()
    for wanted, column in zip(counts, visiting_order(labels), strict=True):
        change = wanted - len(drawn[column])
        if change < 0:
            # tuple(): a set is no sequence, and Python 3.11 samples from nothing else.
            for row in generator.sample(tuple(drawn[column]), -change):
                subset.remove(row)
                for other in _shown(labels, row):
                    drawn[other].remove(row)
        elif change > 0:
            unused = tuple(of_class[column] - drawn[column])
            for row in generator.sample(unused, min(change, len(unused))):
                subset.add(row)
                for other in _shown(labels, row):
                    drawn[other].add(row)
    return list(subset)


def _shown(labels: Labels, row: int) -> Sequence[int]:
    shown: list[int] = np.flatnonzero(labels[row] == 1).tolist()
    return shown
