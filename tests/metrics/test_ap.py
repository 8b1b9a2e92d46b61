"""Average precision against scikit-learn, multiplicities against repeated rows, softmax without saturation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from ltbench.metrics import MetricError, average_precision, per_class_ap
from ltbench.metrics.ap import softmax_log_odds

from .matrices import TIED, matrices

quick = settings(max_examples=50, deadline=None)


@quick
@given(matrices())
def test_equals_scikit_learn(case: tuple[NDArray[np.float32], NDArray[np.int8]]) -> None:
    logits, truth = case
    found = per_class_ap(logits, truth)
    for c in range(truth.shape[1]):
        known = truth[:, c] != 0
        if not (truth[known, c] == 1).any():
            assert found[c] is None
            continue
        expected = 100 * average_precision_score(truth[known, c] == 1, logits[known, c])
        assert found[c] == pytest.approx(expected, rel=1e-12)


@quick
@given(
    st.integers(1, 15).flatmap(
        lambda n: st.tuples(
            hnp.arrays(np.float64, n, elements=TIED),
            hnp.arrays(np.bool_, n),
            hnp.arrays(np.int64, n, elements=st.integers(0, 3)),
        )
    )
)
def test_multiplicity_is_repetition(case: tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]) -> None:
    scores, positive, weight = case
    repeated = average_precision(np.repeat(scores, weight), np.repeat(positive, weight))
    weighted = average_precision(scores, positive, weight)
    assert (weighted is None) == (repeated is None)
    if repeated is not None:
        assert weighted == pytest.approx(repeated, rel=1e-12)


def test_one_row_and_constant_scores() -> None:
    assert average_precision(np.array([0.3]), np.array([True])) == 1.0
    assert average_precision(np.array([0.3]), np.array([False])) is None
    # All tied: one step, so AP is the share of positives whatever the order of rows.
    assert average_precision(np.zeros(8), np.arange(8) < 2) == pytest.approx(0.25)
    assert average_precision(np.zeros(8), np.arange(8) >= 6) == pytest.approx(0.25)


def test_signed_zeros_tie() -> None:
    assert average_precision(np.array([0.0, -0.0]), np.array([True, False])) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("scores", "positive", "weight", "message"),
    [
        (np.zeros(3), np.zeros(2, bool), None, "equal lengths"),
        (np.zeros(3), np.array([0, 1, 1]), None, "must be bool"),
        (np.array([0.0, np.inf]), np.array([True, False]), None, "row 1 is not finite"),
        (np.zeros(2), np.array([True, False]), np.array([1, -1]), "negative"),
    ],
)
def test_bad_input(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], weight: NDArray[np.int64] | None, message: str
) -> None:
    with pytest.raises(MetricError, match=message):
        average_precision(scores, positive, weight)


def test_log_odds_are_those_of_the_softmax() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 7)) * 3
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(softmax_log_odds(logits), np.log(shares / (1 - shares)), rtol=1e-9, atol=1e-11)


def test_softmax_does_not_saturate() -> None:
    # As float64 all these probabilities are exactly 1 or 0; the mathematics ranks row 2 highest for class 0.
    logits = np.array([[100, 0, 0], [200, 0, 0], [900, 0, 0], [-900, 0, 0]], dtype=np.float32)
    odds = softmax_log_odds(logits)
    assert np.isfinite(odds).all()
    np.testing.assert_array_equal(np.argsort(-odds[:, 0]), [2, 1, 0, 3])
    np.testing.assert_array_equal(np.argsort(-odds[:3, 1]), [0, 1, 2])


def test_softmax_of_one_class_is_constant() -> None:
    np.testing.assert_array_equal(softmax_log_odds(np.array([[3.0], [-4.0]])), [[0.0], [0.0]])
