"""The metric contract against definitions written out with plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from ltbench.metrics import METRICS, MetricError, bootstrap_intervals, evaluate, metric

from .matrices import matrices, random_case

quick = settings(max_examples=50, deadline=None)
Case = tuple[NDArray[np.float32], NDArray[np.int8]]
THRESHOLD = ("CP", "CR", "CF1", "CF1_of_means", "OP", "OR", "OF1")


def prf(tp: int, fp: int, fn: int) -> tuple[float, float, float]:
    """P, R, F1 in percent, all 0 without a true positive."""
    if tp == 0:
        return 0.0, 0.0, 0.0
    p, r = tp / (tp + fp), tp / (tp + fn)
    return 100 * p, 100 * r, 100 * 2 * p * r / (p + r)


def count(chosen: Any, truth: NDArray[np.int8], classes: list[int]) -> dict[int, tuple[int, int, int]]:
    """tp, fp, fn per class, entry by entry."""
    found = {}
    for c in classes:
        tp = fp = fn = 0
        for i in range(len(truth)):
            tp += bool(chosen[i][c]) and truth[i, c] == 1
            fp += bool(chosen[i][c]) and truth[i, c] == -1
            fn += (not chosen[i][c]) and truth[i, c] == 1
        found[c] = (tp, fp, fn)
    return found


def expected_threshold(chosen: Any, truth: NDArray[np.int8], classes: list[int]) -> dict[str, float | None]:
    counts = count(chosen, truth, classes)
    counted = [prf(*counts[c]) for c in classes if (truth[:, c] == 1).any()]
    micro = prf(*(sum(counts[c][k] for c in classes) for k in range(3)))
    values: dict[str, float | None] = dict(zip(("OP", "OR", "OF1"), micro, strict=True))
    for k, name in enumerate(("CP", "CR", "CF1")):
        values[name] = sum(v[k] for v in counted) / len(counted) if counted else None
    cp, cr = values["CP"], values["CR"]
    values["CF1_of_means"] = None if cp is None or cr is None else 0.0 if cp + cr == 0 else 2 * cp * cr / (cp + cr)
    return values


def same(found: dict[str, float | None], expected: dict[str, float | None]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == (None if value is None else pytest.approx(value, rel=1e-12, abs=1e-12)), name


@quick
@given(matrices())
def test_threshold_metrics_written_out(case: Case) -> None:
    logits, truth = case
    classes = list(range(truth.shape[1]))
    groups = {"even": classes[::2], "none": []}
    scores = evaluate(logits, truth, groups, THRESHOLD)
    for subset, members in (("total", classes), ("even", classes[::2])):
        same({m: scores[m][subset] for m in THRESHOLD}, expected_threshold(logits > 0, truth, members))
    assert all(scores[m]["none"] is None for m in THRESHOLD)


@quick
@given(matrices())
def test_mean_ap_written_out(case: Case) -> None:
    logits, truth = case
    scores = evaluate(logits, truth)
    values, empty = [], []
    for c in range(truth.shape[1]):
        known = truth[:, c] != 0
        if (truth[:, c] == 1).any():
            values.append(100 * average_precision_score(truth[known, c] == 1, logits[known, c]))
        else:
            empty.append(c)
    assert scores.excluded_classes == empty
    assert [c for c, ap in enumerate(scores.per_class_ap) if ap is None] == empty
    assert scores["mAP"]["total"] == (pytest.approx(np.mean(values), rel=1e-12) if values else None)


@quick
@given(matrices())
def test_top_k_written_out(case: Case) -> None:
    logits, truth = case
    classes = list(range(truth.shape[1]))
    for k in (1, 3, 9):
        chosen = [[False] * len(classes) for _ in logits]
        for i, row in enumerate(logits):
            for c in sorted(classes, key=lambda c, row=row: (-row[c], c))[:k]:  # type: ignore[misc]
                chosen[i][c] = True
        scores = evaluate(logits, truth, {"first": [0]}, [f"P@{k}", f"R@{k}", f"F1@{k}"])
        for subset, members in (("total", classes), ("first", [0])):
            counts = count(chosen, truth, members)
            expected = prf(*(sum(counts[c][j] for c in members) for j in range(3)))
            found = [scores[f"{name}@{k}"][subset] for name in ("P", "R", "F1")]
            assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_top_k_ties_go_to_the_lowest_class() -> None:
    logits = np.zeros((1, 4), dtype=np.float32)
    for winner in range(4):
        truth = np.full((1, 4), -1, dtype=np.int8)
        truth[0, winner] = 1
        assert evaluate(logits, truth, metrics=["R@3"])["R@3"]["total"] == (100.0 if winner < 3 else 0.0)


def test_images_without_a_label_stay_in_top_k() -> None:
    logits = np.array([[3, 2, 1, 0], [3, 2, 1, 0]], dtype=np.float32)
    truth = np.array([[1, -1, -1, -1], [-1, -1, -1, -1]], dtype=np.int8)
    assert evaluate(logits, truth, metrics=["P@3"])["P@3"]["total"] == pytest.approx(100 / 6)
    filtered = evaluate(logits, truth, metrics=["P@3"], rows=(truth == 1).any(axis=1))
    assert filtered["P@3"]["total"] == pytest.approx(100 / 3)
    assert filtered.rows == 1


@quick
@given(matrices())
def test_filtered_metrics_are_those_of_the_images_that_show_a_judged_class(case: Case) -> None:
    logits, truth = case
    names = ["mAP", "CF1", "F1@3", "P@3"]
    groups = {"first": [0]}
    for columns in (None, [0], list(range(truth.shape[1]))[::2]):
        shown = (truth[:, columns if columns is not None else slice(None)] == 1).any(axis=1)
        found = evaluate(logits, truth, groups, [f"{name}_filtered" for name in names], columns=columns)
        if not shown.any():
            assert all(value is None for by_subset in found.scores.values() for value in by_subset.values())
            continue
        expected = evaluate(logits, truth, groups, names, columns=columns, rows=shown)
        assert found.scores == {f"{name}_filtered": expected[name] for name in names}


def test_filtered_metrics_leave_the_plain_ones_alone_and_get_intervals() -> None:
    logits, truth = random_case(60, 6, seed=3)
    truth[::2] = -1
    plain = evaluate(logits, truth, metrics=["P@3", "mAP"])
    both = evaluate(logits, truth, metrics=["P@3", "mAP", "P@3_filtered"])
    assert {name: both[name] for name in plain.scores} == plain.scores
    assert both.rows == plain.rows == 60
    assert (both["P@3_filtered"]["total"] or 0) > (both["P@3"]["total"] or 0)
    spans = bootstrap_intervals(logits, truth, metrics=["P@3", "P@3_filtered"], replicates=50)
    assert spans["P@3"] == bootstrap_intervals(logits, truth, metrics=["P@3"], replicates=50)["P@3"]
    low, high = spans["P@3_filtered"]["total"] or (0.0, 0.0)
    assert low < (both["P@3_filtered"]["total"] or 0) < high


def test_filtered_threshold_metrics_of_uncalibrated_logits() -> None:
    logits, truth = random_case(20, 4)
    found = evaluate(logits, truth, metrics=["CF1_filtered", "F1@3_filtered"], calibrated=False)
    assert found["CF1_filtered"]["total"] is None
    assert found["F1@3_filtered"]["total"] is not None


def test_softmax_map_equals_scikit_learn_on_probabilities() -> None:
    generator = np.random.default_rng(1)
    logits = generator.normal(size=(60, 5)).astype(np.float32)
    truth = np.where(generator.random((60, 5)) < 0.3, 1, -1).astype(np.int8)
    wide = logits.astype(np.float64)
    shares = np.exp(wide) / np.exp(wide).sum(axis=1, keepdims=True)
    expected = 100 * np.mean([average_precision_score(truth[:, c] == 1, shares[:, c]) for c in range(5)])
    found = evaluate(logits, truth, metrics=["mAP", "mAP_softmax"])
    assert found["mAP_softmax"]["total"] == pytest.approx(expected, rel=1e-12)
    assert found["mAP"]["total"] != pytest.approx(expected, rel=1e-6)


@quick
@given(matrices())
def test_unknown_labels_are_ignored(case: Case) -> None:
    logits, truth = case
    names = ("mAP", *THRESHOLD)
    other = np.where(truth == 0, -logits + 7, logits).astype(np.float32)
    assert evaluate(logits, truth, metrics=names).scores == evaluate(other, truth, metrics=names).scores


def test_uncalibrated_logits_have_no_threshold_metrics() -> None:
    logits, truth = random_case(30, 4)
    scores = evaluate(logits, truth, {"tail": [1, 2]}, list(METRICS), calibrated=False)
    for name in METRICS:
        assert (scores[name]["tail"] is None) == (name in THRESHOLD), name
    decided = evaluate(logits, truth, metrics=THRESHOLD, calibrated=False, decisions=logits > 0)
    assert decided.scores == evaluate(logits, truth, metrics=THRESHOLD).scores


def test_columns_are_cut_before_ranking() -> None:
    logits, truth = random_case(40, 6)
    groups = {"unseen": [1, 4], "seen": [0, 2, 3, 5]}
    names = ["mAP", "mAP_softmax", "F1@1", "CF1"]
    cut = evaluate(logits, truth, groups, names, columns=[4, 1, 3])
    alone = evaluate(logits[:, [4, 1, 3]], truth[:, [4, 1, 3]], {"unseen": [0, 1], "seen": [2]}, names)
    assert cut.scores == alone.scores
    assert cut.columns == (4, 1, 3)
    assert cut.per_class_ap == alone.per_class_ap
    whole = evaluate(logits, truth, groups, names)
    assert whole["mAP"]["unseen"] == pytest.approx(cut["mAP"]["unseen"])
    assert whole["F1@1"]["unseen"] != cut["F1@1"]["unseen"]
    assert evaluate(logits, truth, columns=[5, 0]).excluded_classes == [5]


def test_everything_is_named_and_defined() -> None:
    assert {"mAP", "mAP_softmax", "P@3", "R@5", *THRESHOLD} <= METRICS.keys()
    assert all(name == m.name and len(m.definition) > 20 for name, m in METRICS.items())
    assert metric("F1@17").name == "F1@17"
    assert metric("F1@17_filtered").definition == f"{metric('F1@17').definition}; only images that show a judged class"
    for wrong in ("map", "F1@0", "F2@3", "P@", "map_filtered", "mAP_filtered_filtered", "_filtered"):
        with pytest.raises(MetricError, match="unknown metric"):
            metric(wrong)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_not_finite_is_named(value: float) -> None:
    logits, truth = random_case(5, 3)
    logits[2, 1] = value
    with pytest.raises(MetricError, match=r"not finite at row 2 \('img2'\), class 1 \('dog'\)"):
        evaluate(logits, truth, class_names=["cat", "dog", "cow"], row_names=[f"img{i}" for i in range(5)])
    with pytest.raises(MetricError, match="not finite at row 2, class 1; 1 such"):
        evaluate(logits, truth)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, t: (x.astype(np.float64), t, {}), "float32 matrix"),
        (lambda x, t: (x[:, 0], t, {}), "float32 matrix"),
        (lambda x, t: (x[:-1], t, {}), "truth has shape"),
        (lambda x, t: (x, t == 1, {}), "signed integers"),
        (lambda x, t: (x, t * 2, {}), "outside"),
        (lambda x, t: (x[:0], t[:0], {}), "nothing to judge"),
        (lambda x, t: (x, t, {"decisions": x}), "decisions must be bool"),
        (lambda x, t: (x, t, {"rows": [0, 0]}), "rows repeat"),
        (lambda x, t: (x, t, {"rows": np.zeros(5, bool)}), "no row is left"),
        (lambda x, t: (x, t, {"columns": [3]}), "columns must lie"),
        (lambda x, t: (x, t, {"columns": []}), "no column is left"),
        (lambda x, t: (x, t, {"groups": {"tail": [7]}}), "group 'tail' must lie"),
        (lambda x, t: (x, t, {"groups": {"total": [0]}}), "subset of all classes"),
        (lambda x, t: (x, t, {"class_names": ["a"]}), "1 class names for 3"),
        (lambda x, t: (x, t, {"metrics": ["mAP", "mAP"]}), "repeat"),
        (lambda x, t: (x, t, {"metrics": "mAP"}), "list of names"),
    ],
)
def test_bad_input(change: Any, message: str) -> None:
    logits, truth, options = change(*random_case(5, 3, unknown=0))
    with pytest.raises(MetricError, match=message):
        evaluate(logits, truth, **options)
