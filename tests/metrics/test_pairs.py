"""Which of many rows differ: over test images and seeds, with Holm's correction."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from ltbench.metrics.misplaced import misplaced
from ltbench.metrics.pairs import Pair, Sample, compare_all, holm, interval_alone

DRAWS = 500


def images(rows: int, sd: float) -> np.ndarray:
    return np.full((rows, rows), sd)


def pair(a: Sample, b: Sample, sd: float = 0.4) -> Pair:
    return compare_all([a, b], images(2, sd), DRAWS)[0, 1]


def test_holm_steps_down_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]).tolist() == [1.0, 1.0]
    assert holm([]).size == 0


def test_seeds_that_overlap_are_not_told_apart_however_small_the_images_part() -> None:
    sarb, sst = Sample((58.95, 58.32, 61.66)), Sample((63.22, 55.12, 58.85))
    for sd in (0.0, 0.3):
        found = pair(sarb, sst, sd)
        assert not found.separated
        assert found.low is not None
        assert found.low < 0 < (found.high or 0.0)
    assert pair(Sample((70.1, 70.3, 70.2)), Sample((8.9, 8.8, 8.9))).separated


def test_one_seed_never_separates_unless_the_method_is_deterministic() -> None:
    one, other = Sample((90.0,)), Sample((10.0, 10.1, 10.2))
    found = pair(one, other)
    assert (found.p, found.low, found.needed, found.separated) == (1.0, None, None, False)
    fixed = Sample((90.0,), deterministic=True)
    assert pair(fixed, other).separated
    assert pair(fixed, Sample((10.0,), deterministic=True)).separated
    assert not pair(fixed, Sample((89.5,), deterministic=True)).separated, "images alone cannot tell half a point apart"


def test_a_method_said_to_be_deterministic_whose_seeds_differ_is_not() -> None:
    liar = Sample((66.0, 60.0, 72.0), deterministic=True)
    assert not liar.fixed
    assert not pair(liar, Sample((60.0, 60.1, 60.2))).separated


def test_two_rows_are_welchs_test_where_their_spreads_are_equal_and_images_say_nothing() -> None:
    a, b = Sample((70.0, 71.0, 72.0)), Sample((67.5, 68.5, 69.5))
    found = pair(a, b, 0.0)
    # Both spreads are the mean of the two, which four degrees of freedom are behind: together, eight in the formula.
    statistic = 2.5 / math.sqrt(2 / 3)
    assert found.p == pytest.approx(2 * stats.t.sf(statistic, 8), rel=1e-9)
    assert found.adjusted == found.p


def test_without_seeds_only_images_count() -> None:
    a, b = Sample((70.0,), deterministic=True), Sample((69.0,), deterministic=True)
    found = pair(a, b, 0.5)
    assert found.p == pytest.approx(2 * stats.t.sf(2.0, DRAWS - 1), rel=1e-9)
    assert found.high == pytest.approx(1.0 + 0.5 * stats.t.ppf(0.975, DRAWS - 1))
    same = pair(a, Sample((70.0,), deterministic=True), 0.0)
    assert (same.value, same.p, same.separated) == (0.0, 1.0, False)


def test_three_seeds_close_together_by_luck_borrow_the_spread_of_the_section() -> None:
    lucky = [Sample((60.00, 60.01, 60.02)), Sample((60.6, 60.61, 60.62))]
    noisy = [Sample((50.0 + k, 52.0 + k, 54.0 + k)) for k in range(6)]
    assert compare_all(lucky, images(2, 0.05), DRAWS)[0, 1].separated
    among = compare_all([*lucky, *noisy], images(8, 0.05), DRAWS)[0, 1]
    assert not among.separated
    assert among.needed is not None
    assert among.needed > 0.6


def test_what_is_not_known_is_not_separated_and_counts_as_a_pair() -> None:
    spread = images(3, 0.1)
    spread[2, 0] = np.nan
    rows = [Sample((90.0, 90.1)), Sample((60.0, 60.1)), Sample((10.0, 10.1))]
    found = compare_all(rows, spread, DRAWS)
    assert {place: one.separated for place, one in found.items()} == {(0, 1): True, (0, 2): False, (1, 2): True}
    assert found[0, 2].low is None
    assert compare_all(rows[:1], images(1, 0.1), DRAWS) == {}


def test_a_difference_as_large_as_needed_is_separated_and_a_smaller_one_is_not() -> None:
    rows = [Sample((60.0, 60.5, 61.0)), Sample((60.1, 60.6, 61.1)), Sample((59.8, 60.3, 60.8))]
    needed = compare_all(rows, images(3, 0.4), DRAWS)[0, 1].needed
    assert needed is not None
    for factor, separated in ((1.01, True), (0.99, False)):
        moved = Sample(tuple(60.5 - factor * needed + shift for shift in (-0.5, 0.0, 0.5)))
        assert compare_all([rows[0], moved, rows[2]], images(3, 0.4), DRAWS)[0, 1].separated is separated


@pytest.mark.parametrize("freedom", [2.0, 1000.0])
def test_equal_rows_are_told_apart_in_no_more_than_one_section_of_twenty(freedom: float) -> None:
    generator = np.random.RandomState(0)
    sections, wrong = 400, 0
    for _ in range(sections):
        spread = 0.6 * np.sqrt(freedom / generator.chisquare(freedom, size=20))
        chance = generator.randn(20, 1) * 0.5 / math.sqrt(2) + generator.randn(20, 3) * spread[:, None]
        rows = [Sample(tuple(60 + line)) for line in chance]
        wrong += any(found.separated for found in compare_all(rows, images(20, 0.5), DRAWS).values())
    # Two standard errors above 5 % of 400.
    assert wrong <= 29


def test_an_interval_alone_covers_and_pairs_seeds() -> None:
    a, b = Sample((70.0, 75.0, 80.0)), Sample((69.0, 74.0, 79.1))
    apart, together = (interval_alone(a, b, 0.1, DRAWS, paired) for paired in (False, True))
    assert apart[0] == together[0] == pytest.approx(0.966666, abs=1e-5)
    assert apart[1] is not None
    assert together[1] is not None
    assert apart[1] < 0 < together[1], "what both seeds share cancels where they are paired"
    half = math.hypot(stats.t.ppf(0.975, 499) * 0.1, stats.t.ppf(0.975, 2) * np.std([1, 1, 0.9], ddof=1) / math.sqrt(3))
    assert together[0] - together[1] == pytest.approx(half)
    assert interval_alone(Sample((1.0,)), b, 0.1, DRAWS, False)[1:] == (None, None)


def test_misplaced_is_one_minus_the_area_under_the_curve_with_each_row_counted() -> None:
    generator = np.random.RandomState(3)
    truth = np.where(generator.rand(40, 1) < 0.4, 1, -1)
    logits = np.round(generator.randn(40, 1) + 0.5 * truth, 1)
    error = misplaced(logits, truth)
    loss = 100 * (1 - roc_auc_score(truth[:, 0] == 1, logits[:, 0]))
    assert error[truth[:, 0] == 1].mean() == pytest.approx(loss)
    assert error[truth[:, 0] == -1].mean() == pytest.approx(loss)


def test_misplaced_weighs_present_and_absent_labels_alike_and_leaves_out_the_unknown() -> None:
    truth = np.array([[1, -1, -1], [-1, 1, -1], [-1, -1, 0], [0, 0, 0]])
    logits = np.array([[0.0, 0.0, 9.0], [1.0, 2.0, 9.0], [2.0, -1.0, 9.0], [5.0, 5.0, 5.0]])
    error = misplaced(logits, truth)
    # Row 0: its present class 0 lies below both absent rows (100), its absent class 1 is below the present row (0).
    assert error[:3].tolist() == [50.0, 50.0, 50.0]
    assert np.isnan(error[3])
