"""Other people's metric code, met on their golden vectors; and where it departs from the contract.

Equal scores are compared only where the original's order is recorded or does not matter: its sorts are unstable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ltbench.metrics import average_precision, evaluate
from ltbench.metrics import reference as ref

from .conftest import Cases

Golden = Callable[[str], Cases]
EXACT = {"rtol": 1e-10, "atol": 1e-12}
FLOAT32 = {"rtol": 3e-7, "atol": 1e-7}


def test_asl_style_ap(golden: Golden) -> None:
    cases = golden("limited-labels/asl_style_mAP.npz")
    for name, d in cases.items():
        ap = ref.asl_ap(d["scores"], d["targets"], d["order"])
        np.testing.assert_allclose(ap, d["ap"], **EXACT)
        assert 100 * ap.mean() == pytest.approx(float(d["mAP"]), rel=1e-10)
        if "ties" not in name:
            np.testing.assert_allclose(ref.asl_ap(d["scores"], d["targets"]), d["ap"], **EXACT)


def test_comic(golden: Golden) -> None:
    cases = golden("plt/metrics.npz")
    recall = cases.pop("recall_s0")
    for d in cases.values():  # its ties are of four rows, where numpy's sort is stable
        ap = ref.asl_ap(d["scores"], d["targets"])
        np.testing.assert_allclose(ap, d["ap"], **EXACT)
        np.testing.assert_allclose(ref.shot_map(ap, d["train_counts"]), d["shot"], **EXACT)
    expected = [recall["micro_recall"], recall["micro_precision"]]
    np.testing.assert_allclose(ref.comic_recall_precision(recall["scores"], recall["targets"]), expected, **FLOAT32)
    # The contract has that recall for every method, whether or not its logits are probabilities.
    logits = np.log(recall["scores"] / (1 - recall["scores"])).astype(np.float32)
    truth = np.where(recall["targets"] == 1, 1, -1).astype(np.int8)
    for calibrated in (True, False):
        judged = evaluate(logits, truth, metrics=["OR", "OR_half"], calibrated=calibrated)
        np.testing.assert_allclose(judged["OR_half"]["total"], float(recall["micro_recall"]), **FLOAT32)
        assert judged["OR"]["total"] == (judged["OR_half"]["total"] if calibrated else None)
    assert np.isnan(ref.shot_map(np.ones(2), np.array([100, 19]))[2])


def test_hcp(golden: Golden) -> None:
    cases = golden("limited-labels/hcp_metrics.npz")
    for name, d in cases.items():
        scores, targets = d["scores"], d["targets"]
        np.testing.assert_allclose(ref.hcp_overall(scores, targets), d["overall_OP_OR_OF1_CP_CR_CF1"], **EXACT)
        if "ties" in name:
            continue
        np.testing.assert_allclose(ref.hcp_overall(scores, targets, 3), d["overall_top3"], **EXACT)
        order = ref.reversed_order(scores)
        np.testing.assert_allclose(ref.rank_ap(targets == 1, order), d["ap_value"], **FLOAT32)
        assert ref.voc2012_ap(scores, targets).mean() == pytest.approx(float(d["mAP_VOC2012"]), rel=1e-10)


def test_biam(golden: Golden) -> None:
    for d in golden("limited-labels/biam_metrics.npz").values():
        np.testing.assert_allclose(ref.biam_ap(d["scores"], d["targets"]), d["ap"], **FLOAT32)
        for k in (3, 5):
            p, r, f = ref.micro_at_k(d["scores"], d["targets"], k)
            np.testing.assert_allclose([f, p, r], d[f"F1_P_R_at{k}"], **FLOAT32)


def test_lesa(golden: Golden) -> None:
    for d in golden("limited-labels/lesa_metrics.npz").values():
        np.testing.assert_allclose(ref.sklearn_ap(d["scores"], d["targets"], unknown=0), d["ap"], **EXACT)
        for k in (3, 5):
            for drop, field in ((False, f"F1_P_R_at{k}"), (True, f"F1_P_R_at{k}_exclude_empty_rows")):
                p, r, f = ref.micro_at_k(d["scores"], d["targets"], k, drop_empty_rows=drop)
                np.testing.assert_allclose([f, p, r], d[field], **EXACT)


def test_sdl(golden: Golden) -> None:
    for d in golden("limited-labels/sdl_metrics.npz").values():
        vectors = d["wordvec_relevant"]
        principal = d["output"].reshape(len(d["output"]), vectors.shape[1], -1)
        scores = np.einsum("ndm,cd->ncm", principal, vectors).max(axis=2)
        targets = d["targets_all_classes"][:, d["relevant"]]
        kept = (targets == 1).any(axis=1)
        assert int(kept.sum()) == int(d["images_kept"])
        found = ref.micro_at_k(scores, targets, int(d["k"]), drop_empty_rows=True)
        np.testing.assert_allclose(100 * np.array(found), d["P_R_F1"], **EXACT)
        assert 100 * ref.asl_ap(scores[kept], targets[kept]).mean() == pytest.approx(float(d["mAP"]), rel=1e-10)


def test_cole(golden: Golden) -> None:
    for name, d in golden("limited-labels/cole_metrics.npz").items():
        assert 100 * ref.sklearn_ap(d["scores"], d["targets"]).mean() == pytest.approx(float(d["map"]), rel=1e-10)
        for k in (1, 3, 5) if "ties" not in name else (5,):
            expected = [d[f"rec_at_{k}"], d[f"prec_at_{k}"], d[f"top_{k}"]]
            np.testing.assert_allclose(ref.cole_at_k(d["scores"], d["targets"], k), expected, **EXACT)


def test_large_loss(golden: Golden) -> None:
    for d in golden("limited-labels/largeloss_metrics_unknown.npz").values():
        ap = ref.sklearn_ap(d["scores"], d["targets"], unknown=-1)
        np.testing.assert_allclose(ap, d["aps"], **EXACT)
        assert 100 * np.nanmean(ap) == pytest.approx(float(d["map"]), rel=1e-10)


def test_mlgcn(golden: Golden) -> None:
    for d in golden("limited-labels/mlgcn_difficult_ap.npz").values():
        for difficult, field in ((True, "ap_difficult_true"), (False, "ap_difficult_false")):
            found = ref.mlgcn_ap(d["scores"], d["targets"], difficult=difficult)
            assert found == pytest.approx(float(d[field]), rel=1e-10)


def positive_probability(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Of DualCoOp's (negative, positive) pair of logits [n, 2, C]."""
    return 1 / (1 + np.exp(logits[:, 0].astype(np.float64) - logits[:, 1]))


def test_dualcoop(golden: Golden) -> None:
    cases = golden("limited-labels/dualcoop_validate.npz")
    for name, d in cases.items():
        found = ref.dualcoop_validate(positive_probability(d["logits"]), d["targets"])
        np.testing.assert_allclose(found[:6], d["result"][:6], rtol=1e-6)
        if "ties" not in name:
            np.testing.assert_allclose(found, d["result"], rtol=1e-6)


def test_dualcoop_zero_shot(golden: Golden) -> None:
    for name, d in golden("limited-labels/dualcoop_validate_zsl.npz").items():
        order, targets = d["topk_order"], d["targets"]
        replayed = -np.argsort(order, axis=1)  # scores that give the recorded order
        found = 100 * np.array(ref.micro_at_k(replayed, targets, int(d["k"])))
        np.testing.assert_allclose(found, d["result"][:3], rtol=1e-6)
        if "ties" not in name:
            ap = ref.asl_ap(positive_probability(d["logits"]), targets)
            assert 100 * ap.mean() == pytest.approx(float(d["result"][3]), rel=1e-6)


def test_long_tailed_papers(golden: Golden) -> None:
    for name, d in golden("ltml/metrics.npz").items():
        scores, labels = d["scores"], d["labels"].astype(np.int8)
        some = labels.any(axis=1)
        softmax = ref.softmax(scores)
        # Softmax in float32 is bit-equal to torch's only where no two sums round differently.
        rounding = {"rtol": 1e-10, "atol": 1e-7 if name == "coco_full_test" else 1e-12}
        for field, found, tolerance in (
            ("lmpt_raw_APs", ref.sklearn_ap(scores, labels), EXACT),
            ("db_APs", ref.sklearn_ap(scores, labels), EXACT),
            ("lmpt_softmax_APs", ref.sklearn_ap(softmax, labels), rounding),
            ("lmpt_softmax_fp16_APs", ref.sklearn_ap(ref.softmax(scores, "float16"), labels), EXACT),
            ("dr_APs", ref.sklearn_ap(ref.sigmoid32(scores), labels), EXACT),
            ("zs_method2_APs", ref.sklearn_ap(softmax[some], labels[some]), rounding),
            ("zs_method3_APs", ref.asl_ap(softmax[some], labels[some]), {"rtol": 1e-6, "atol": 1e-6}),
        ):
            np.testing.assert_allclose(found, d[field], err_msg=f"{name} {field}", **tolerance)


def test_the_contract_agrees_with_the_papers_where_their_definitions_meet(golden: Golden) -> None:
    for d in golden("ltml/metrics.npz").values():
        truth = np.where(d["labels"] == 1, 1, -1).astype(np.int8)
        counted = (truth == 1).any(axis=0)
        scores = evaluate(d["scores"], truth, metrics=["mAP", "mAP_softmax"])
        assert scores["mAP"]["total"] == pytest.approx(100 * d["db_APs"][counted].mean(), rel=1e-10)
        # Theirs rounds the softmax to float32, which ties some rows.
        assert scores["mAP_softmax"]["total"] == pytest.approx(100 * d["lmpt_softmax_APs"][counted].mean(), abs=1e-4)


def test_float32_sigmoid_destroys_the_ranking(golden: Golden) -> None:
    d = golden("ltml/metrics.npz")["coco_full_test"]
    assert 100 * ref.sklearn_ap(d["scores"], d["labels"]).mean() == pytest.approx(24.645, abs=1e-3)
    assert 100 * ref.sklearn_ap(ref.sigmoid32(d["scores"]), d["labels"]).mean() == pytest.approx(3.806, abs=1e-3)


def test_db_f1_and_accuracy(golden: Golden) -> None:
    d = golden("ltml/metrics.npz")["voc400_s0"]
    found = ref.db_f1_and_accuracy(d["scores"], d["labels"])
    # The values that the manifest gives for all classes together.
    np.testing.assert_allclose(found, [0.22000623247117482, 0.19283979540001567, 0.687125], **EXACT)


def test_definitions_part_on_ties_and_empty_classes() -> None:
    scores = np.array([[1.0], [1.0], [0.0]])
    first, second = np.array([[1], [0], [0]]), np.array([[0], [1], [0]])
    # By rank the order of rows decides; the contract's one step does not care.
    assert ref.asl_ap(scores, first)[0] == pytest.approx(0.5)
    assert ref.asl_ap(scores, second)[0] == pytest.approx(1.0)
    for targets in (first, second):
        assert average_precision(scores[:, 0], targets[:, 0] == 1) == pytest.approx(0.5)
        assert ref.sklearn_ap(scores, targets)[0] == pytest.approx(0.5)
    empty = np.zeros((3, 1), dtype=np.int64)
    assert ref.asl_ap(scores, empty)[0] == ref.sklearn_ap(scores, empty)[0] == 0
    assert np.isnan(ref.voc2012_ap(scores, empty)[0])
    assert np.isnan(ref.sklearn_ap(scores, empty - 1, unknown=-1)[0])
    # The envelope lifts the precision of a positive to the best one further down.
    late = np.array([[0], [1], [1]])
    assert ref.voc2012_ap(np.array([[3.0], [2.0], [1.0]]), late)[0] == pytest.approx(2 / 3)
    assert ref.biam_ap(np.array([[3.0], [2.0], [1.0]]), np.where(late == 1, 1, -1))[0] == pytest.approx(
        (1 / 2 + 2 / 3) / 2
    )
