"""Bootstrap intervals against re-scoring of really repeated rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from ltbench.metrics import METRICS, MetricError, bootstrap_intervals, evaluate, paired_bootstrap, seed_interval
from ltbench.metrics.bootstrap import multiplicities

from .matrices import matrices, random_case


def draws(n: int, replicates: int, seed: int) -> NDArray[np.int32]:
    return np.concatenate(list(multiplicities(n, replicates, seed)), axis=1)


def rescored(
    logits: NDArray[np.float32], truth: NDArray[np.int8], groups: dict[str, list[int]], replicates: int, seed: int
) -> dict[str, dict[str, list[float | None]]]:
    """Every replicate judged from scratch on a matrix with its rows repeated."""
    found: dict[str, dict[str, list[float | None]]] = {}
    for weight in draws(len(logits), replicates, seed).T:
        again = evaluate(np.repeat(logits, weight, axis=0), np.repeat(truth, weight, axis=0), groups, list(METRICS))
        for name, by_subset in again.scores.items():
            for subset, value in by_subset.items():
                found.setdefault(name, {}).setdefault(subset, []).append(value)
    return found


def centred(defined: list[float], point: float | None) -> list[float] | None:
    if not defined or point is None:
        return None
    moved = np.percentile(np.array(defined) - np.mean(defined), [2.5, 97.5]) + point
    return [float(end) for end in np.clip(moved, 0.0, 100.0)]


def check(logits: NDArray[np.float32], truth: NDArray[np.int8], replicates: int, seed: int) -> None:
    groups: dict[str, list[int]] = {"first": [0], "rest": list(range(1, truth.shape[1]))}
    intervals = bootstrap_intervals(logits, truth, groups, list(METRICS), replicates, seed)
    points = evaluate(logits, truth, groups, list(METRICS))
    for name, by_subset in rescored(logits, truth, groups, replicates, seed).items():
        assert intervals[name].keys() == by_subset.keys()
        for subset, values in by_subset.items():
            defined = [v for v in values if v is not None]
            expected = centred(defined, points[name][subset])
            found = intervals[name][subset]
            assert found == (expected if expected is None else pytest.approx(expected, rel=1e-10, abs=1e-10))


@settings(max_examples=25, deadline=None)
@given(matrices(max_rows=8, max_classes=4))
def test_equals_rescoring_of_repeated_rows(case: tuple[NDArray[np.float32], NDArray[np.int8]]) -> None:
    check(*case, replicates=5, seed=3)


def test_equals_rescoring_on_a_larger_case() -> None:
    check(*random_case(60, 5), replicates=20, seed=0)


def test_a_class_that_loses_its_positives_is_left_out_of_that_replicate() -> None:
    truth = np.full((6, 2), -1, dtype=np.int8)
    truth[0, 0] = truth[1:4, 1] = 1
    logits = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    lost = [weight[0] == 0 for weight in draws(6, 40, 0).T]
    assert any(lost)
    assert not all(lost)
    values = rescored(logits, truth, {}, 40, 0)["mAP"]["total"]
    found = bootstrap_intervals(logits, truth, replicates=40)["mAP"]["total"]
    point = evaluate(logits, truth)["mAP"]["total"]
    assert found == pytest.approx(centred([v for v in values if v is not None], point))


def test_a_score_lies_in_its_interval_even_where_positives_are_rare() -> None:
    generator = np.random.default_rng(2)
    truth = np.full((400, 60), -1, dtype=np.int8)
    for column in range(60):
        truth[generator.choice(400, 3, replace=False), column] = 1
    logits = (generator.normal(size=truth.shape) + 1.5 * truth).astype(np.float32)
    score = evaluate(logits, truth)["mAP"]["total"]
    low, high = bootstrap_intervals(logits, truth, replicates=200)["mAP"]["total"]  # type: ignore[misc]
    assert score is not None
    assert low < score < high


def test_draws_are_n_with_replacement_and_independent_of_their_number() -> None:
    few, many = draws(50, 3, 7), draws(50, 600, 7)
    np.testing.assert_array_equal(few, many[:, :3])
    assert (many.sum(axis=0) == 50).all()
    # A row is missing with probability (1 - 1/50)^50.
    assert (many == 0).mean() == pytest.approx(0.98**50, abs=0.01)
    # The legacy generator's frozen stream for seed 0: 4 0 3 3 3, then 1 3 2 4 0.
    assert draws(5, 2, 0).T.tolist() == [[1, 0, 0, 3, 1], [1, 1, 1, 1, 1]]


def test_deterministic_by_seed() -> None:
    case = random_case(80, 4)
    first = bootstrap_intervals(*case, replicates=50, seed=1)
    assert first == bootstrap_intervals(*case, replicates=50, seed=1)
    assert first != bootstrap_intervals(*case, replicates=50, seed=2)


def test_interval_surrounds_the_score_and_narrows_with_more_images() -> None:
    widths = []
    for n in (100, 1600):
        logits, truth = random_case(n, 6)
        found = bootstrap_intervals(logits, truth, replicates=200)["mAP"]["total"]
        score = evaluate(logits, truth)["mAP"]["total"]
        assert found is not None
        assert score is not None
        assert found[0] < score < found[1]
        widths.append(found[1] - found[0])
    assert widths[1] < widths[0] / 2


def test_undefined_scores_have_no_interval() -> None:
    logits, truth = random_case(20, 3)
    found = bootstrap_intervals(logits, truth, {"empty": []}, ["mAP", "CF1"], replicates=5, calibrated=False)
    assert found["mAP"]["empty"] is None
    assert found["CF1"]["total"] is None
    no_positive = bootstrap_intervals(logits[:, 2:], truth[:, 2:], replicates=5)
    assert no_positive["mAP"]["total"] is None


def test_paired_difference_equals_rescoring() -> None:
    a, truth = random_case(40, 4)
    b = (a + np.random.default_rng(5).normal(size=a.shape)).astype(np.float32)
    groups = {"head": [0, 1], "none": []}
    found = paired_bootstrap(a, b, truth, groups, replicates=30, seed=4)
    again = [rescored(logits, truth, groups, 30, 4)["mAP"] for logits in (a, b)]
    assert found["none"] is None
    for subset in ("total", "head"):
        differences = [x - y for x, y in zip(again[0][subset], again[1][subset], strict=True) if x is not None]  # type: ignore[operator]
        difference = found[subset]
        assert difference is not None
        expected = evaluate(a, truth, groups)["mAP"][subset] - evaluate(b, truth, groups)["mAP"][subset]  # type: ignore[operator]
        assert difference.value == pytest.approx(expected)
        assert [difference.low, difference.high] == pytest.approx(np.percentile(differences, [2.5, 97.5]))


def test_a_method_does_not_differ_from_itself() -> None:
    logits, truth = random_case(40, 4)
    same = paired_bootstrap(logits, logits, truth, replicates=20)["total"]
    assert same is not None
    assert (same.value, same.low, same.high, same.separated) == (0, 0, 0, False)
    better = paired_bootstrap(logits + 3 * truth.astype(np.float32), -logits, truth, replicates=50)["total"]
    assert better is not None
    assert better.separated


def test_seed_interval_is_students_t() -> None:
    # Quantiles 0.975 of Student's t from printed tables: 4.3027 (2 degrees of freedom), 12.7062 (1).
    mean, half = seed_interval([1.0, 2.0, 3.0])  # type: ignore[misc]
    assert (mean, half) == (2.0, pytest.approx(4.3027 / np.sqrt(3), rel=1e-4))
    mean, half = seed_interval([10.0, 12.0])  # type: ignore[misc]
    assert (mean, half) == (11.0, pytest.approx(12.7062, rel=1e-4))
    assert seed_interval([5.0]) is None
    assert seed_interval([]) is None
    with pytest.raises(MetricError, match="finite"):
        seed_interval([1.0, float("nan")])


def test_replicates_must_be_positive() -> None:
    with pytest.raises(MetricError, match="replicates"):
        bootstrap_intervals(*random_case(5, 2), replicates=0)
