"""Thresholds: the best cut of each class by brute force, over every place between two logits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltbench.metrics.errors import MetricError
from ltbench.metrics.thresholds import Rule, thresholds


def figures(scores: np.ndarray, present: np.ndarray, cut: float) -> tuple[float, float, float]:
    """Precision, recall and F1 of one cut."""
    above = scores > cut
    right = int((above & present).sum())
    precision = right / int(above.sum()) if above.any() else 0.0
    return precision, right / int(present.sum()), 2 * right / (int(above.sum()) + int(present.sum()))


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.sampled_from([-1, 0, 1])), min_size=1, max_size=12),
    st.sampled_from(["f1", "precision:0.5", "precision:0.9", "precision:1"]),
)
def test_no_other_cut_is_better(rows: list[tuple[int, int]], text: str) -> None:
    logits = np.array([[float(score)] for score, _ in rows])
    labels = np.array([[label] for _, label in rows])
    rule = Rule.parse(text)
    (found,) = thresholds(logits, labels, rule)
    known = labels[:, 0] != 0
    scores, present = logits[known, 0], labels[known, 0] == 1
    if not present.any():
        assert found is None
        return
    cuts = [figures(scores, present, cut) for cut in np.arange(-4.5, 3.0)]
    if rule.kind == "f1":
        assert found is not None
        assert found.f1 == pytest.approx(max(f1 for _, _, f1 in cuts))
    else:
        enough = [recall for precision, recall, _ in cuts if precision >= rule.precision - 1e-12 and recall > 0]
        assert (found is None) == (not enough)
        if found is None:
            return
        assert found.recall == pytest.approx(max(enough))
    # The cut gives what it says.
    assert figures(scores, present, found.logit) == pytest.approx((found.precision, found.recall, found.f1))
    assert (found.positives, found.rows) == (int(present.sum()), int(known.sum()))


def test_a_cut_lies_midway_and_an_unknown_label_counts_for_nothing() -> None:
    logits = np.array([[4.0], [2.0], [1.0], [3.0]])
    labels = np.array([[1], [1], [-1], [0]])
    (found,) = thresholds(logits, labels, Rule("f1"))
    assert found is not None
    assert (found.logit, found.f1, found.rows) == (1.5, 1.0, 3)


@pytest.mark.parametrize("text", ["", "f2", "precision", "precision:0", "precision:1.5", "precision:x", "recall:0.9"])
def test_other_rules_are_refused(text: str) -> None:
    with pytest.raises(MetricError, match="f1, or precision:P"):
        Rule.parse(text)


def test_rules_read_as_they_are_written() -> None:
    for text in ("f1", "precision:0.9", "precision:1"):
        assert str(Rule.parse(text)) == text


def test_what_cannot_be_cut_is_refused() -> None:
    with pytest.raises(MetricError, match="not finite"):
        thresholds(np.array([[np.nan]]), np.array([[1]]), Rule("f1"))
    with pytest.raises(MetricError, match="labels"):
        thresholds(np.zeros((2, 1)), np.zeros((1, 1), int), Rule("f1"))
