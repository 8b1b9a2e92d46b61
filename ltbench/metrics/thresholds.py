"""Above which logit a class counts as present: one threshold a class, from labelled rows that training did not see."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ltbench.metrics.ap import Array
from ltbench.metrics.errors import MetricError


@dataclass(frozen=True)
class Rule:
    """What a threshold is chosen for.

    Attributes:
        kind: the highest F1, or the highest recall at a wanted precision.
        precision: that precision, in (0, 1].
    """

    kind: Literal["f1", "precision"]
    precision: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Rule:
        """``f1``, or ``precision:0.9``.

        Raises:
            MetricError: neither.
        """
        if text == "f1":
            return cls("f1")
        match = re.fullmatch(r"precision:(0?\.\d+|1(?:\.0*)?|0\.\d+)", text)
        if match is None or not 0 < float(match[1]) <= 1:
            raise MetricError(f"{text!r} is no rule for thresholds; it is f1, or precision:P with P above 0, up to 1")
        return cls("precision", float(match[1]))

    def __str__(self) -> str:
        return "f1" if self.kind == "f1" else f"precision:{self.precision:g}"


@dataclass(frozen=True)
class Threshold:
    """A class is present where its logit is above ``logit``.

    Attributes:
        precision: on the rows that it was chosen on, in [0, 1]; optimistic, as it was chosen there.
        recall: there.
        f1: there.
        positives: rows that show the class there.
        rows: rows whose label is known there.
    """

    logit: float
    precision: float
    recall: float
    f1: float
    positives: int
    rows: int


def thresholds(logits: Array, labels: Array, rule: Rule) -> list[Threshold | None]:
    """One threshold a class; None for a class that no row shows, or that never reaches the wanted precision.

    Cuts lie midway between two neighbouring logits. Of equally good cuts the highest is taken.

    Args:
        logits: float [n, C].
        labels: int [n, C] in {+1, -1, 0}; 0 is unknown and counts for nothing.

    Raises:
        MetricError: shapes differ, or a logit is not finite.
    """
    logits, labels = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if logits.shape != labels.shape or logits.ndim != 2:
        raise MetricError(f"logits are {logits.shape}, labels {labels.shape}")
    if not np.isfinite(logits).all():
        raise MetricError("a logit is not finite")
    return [_one(logits[known, c], labels[known, c] == 1, rule) for c, known in enumerate((labels != 0).T)]


def _one(scores: NDArray[np.float64], present: NDArray[np.bool_], rule: Rule) -> Threshold | None:
    positives = int(present.sum())
    if not positives:
        return None
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(present[order])
    # A cut is only possible between different logits, and after the last one.
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    taken, right = ends + 1, hits[ends]
    precision, recall = right / taken, right / positives
    f1 = 2 * right / (taken + positives)
    if rule.kind == "f1":
        best = int(np.argmax(f1))
    else:
        # Of floats that mean the same share, as 9 / 10 and 0.9.
        enough = np.flatnonzero((precision >= rule.precision - 1e-12) & (right > 0))
        if not enough.size:
            return None
        best = int(enough[np.argmax(recall[enough])])
    end = int(ends[best])
    low = ranked[end + 1] if end + 1 < len(ranked) else ranked[end] - max(1.0, abs(ranked[end]))
    return Threshold(
        logit=float((ranked[end] + low) / 2),
        precision=float(precision[best]),
        recall=float(recall[best]),
        f1=float(f1[best]),
        positives=positives,
        rows=len(ranked),
    )
