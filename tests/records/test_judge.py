from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from ltbench.metrics.errors import MetricError
from ltbench.plugin.errors import UserError
from ltbench.records.judge import check_alignment, judge, judge_folder
from ltbench.records.logits import read_logits, write_logits
from ltbench.tasks.views import Truth, open_truth
from records import builders as b

UNSEEN = ("star", "drum")


def opened(unseen: tuple[str, ...] = ()) -> Truth:
    return open_truth(b.task(unseen), b.data_set())


def ap(truth: Truth, logits: np.ndarray, column: int) -> float:
    return 100 * float(average_precision_score(truth.labels[:, column] == 1, logits[:, column]))


def test_scores_are_scikit_learns_and_rounded() -> None:
    truth = opened()
    logits = b.logits_for(truth)
    found = judge(b.task(), truth, logits, replicates=b.REPLICATES)
    expected = [ap(truth, logits, column) for column in range(4)]
    assert found.per_class_ap == {
        **{name: round(value, 6) for name, value in zip(b.CLASSES, expected, strict=False)},
        "leaf": None,
    }
    assert found.excluded == ("leaf",)
    assert found.scores["mAP"]["total"] == pytest.approx(np.mean(expected), abs=1e-6)
    assert set(found.scores) == {"mAP", "CF1", "F1@3"}
    for group, columns in truth.groups.items():
        judged = [expected[c] for c in columns if c < 4]
        score = found.scores["mAP"][group]
        assert (score is None) == (not judged)
        if score is not None:
            assert score == pytest.approx(np.mean(judged), abs=1e-6)
    f1 = f1_score(truth.labels[:, :4] == 1, logits[:, :4] > 0, average="macro")
    assert found.scores["CF1"]["total"] == pytest.approx(100 * f1, abs=1e-6)
    for metric, by_subset in found.scores.items():
        for subset, value in by_subset.items():
            interval = found.intervals[metric][subset]
            assert (value is None) == (interval is None)
            if value is not None and interval is not None:
                assert value == round(value, 6)
                assert interval[0] <= value <= interval[1]


def test_zero_shot_subsets() -> None:
    task, truth = b.task(UNSEEN), opened(UNSEEN)
    assert truth.unseen == (1, 3)
    logits = b.logits_for(truth)
    found = judge(task, truth, logits, replicates=b.REPLICATES)
    assert judge(task, replace(truth, groups={}), logits, replicates=b.REPLICATES) == found
    top = found.scores["F1@3"]
    assert {"total", "zsl", "gzsl", "seen", "unseen"} <= set(top)
    assert top["gzsl"] == top["total"]
    # With two unseen classes and k = 3 both are always chosen under ZSL, so recall is 1; under GZSL they compete.
    positives = (truth.labels[:, [1, 3]] == 1).sum()
    assert top["zsl"] == pytest.approx(100 * 2 * positives / (positives + 2 * b.ROWS), abs=1e-6)
    assert top["zsl"] != top["unseen"]
    # Ranking a class by its logits does not depend on who competes.
    unseen = np.mean([ap(truth, logits, c) for c in (1, 3)])
    assert found.scores["mAP"]["zsl"] == found.scores["mAP"]["unseen"] == pytest.approx(unseen, abs=1e-6)
    assert found.scores["mAP"]["seen"] == pytest.approx(np.mean([ap(truth, logits, c) for c in (0, 2)]), abs=1e-6)
    assert found.intervals["mAP"]["zsl"] == found.intervals["mAP"]["unseen"]
    assert set(found.intervals["mAP"]) == set(found.scores["mAP"])


def test_decisions_and_calibration() -> None:
    truth = opened()
    logits = b.logits_for(truth)
    bare = judge(b.task(), truth, logits, calibrated=False, replicates=b.REPLICATES)
    assert set(bare.scores["CF1"].values()) == set(bare.intervals["CF1"].values()) == {None}
    assert bare.scores["mAP"] == judge(b.task(), truth, logits, replicates=b.REPLICATES).scores["mAP"]
    given = judge(b.task(), truth, logits, truth.labels == 1, calibrated=False, replicates=b.REPLICATES)
    assert given.scores["CF1"]["total"] == 100


def test_another_contract_is_refused() -> None:
    with pytest.raises(UserError, match="asks for metric contract 3, this ltbench has 1 and 2"):
        judge(b.task(contract=3), opened(), b.logits_for(opened()))


def test_logits_that_are_not_finite_name_row_and_class(tmp_path: Path) -> None:
    truth = opened()
    logits = b.logits_for(truth)
    logits[7, 2] = np.nan
    with pytest.raises(MetricError, match=r"row 7 \('test-007'\), class 2 \('kite'\)"):
        judge(b.task(), truth, logits)
    write_logits(tmp_path / "logits.safetensors", logits, truth.ids, truth.class_names)
    with pytest.raises(UserError, match="row 7"):
        judge_folder(b.task(), b.data_set(), tmp_path)


def test_a_folder_is_judged_like_its_logits(tmp_path: Path) -> None:
    run = b.run_on_disk(tmp_path)
    found = judge_folder(run.task, b.data_set(), tmp_path, replicates=b.REPLICATES)
    assert found.judgement == run.judgement
    assert found.logits == run.record.logits
    assert found.decisions is None
    assert found.truth.fingerprints == run.task.fingerprints
    (tmp_path / "decisions.json").write_text("[]")
    again = judge_folder(run.task, b.data_set(), tmp_path, replicates=b.REPLICATES)
    assert again.decisions == "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ids": tuple(reversed(opened().ids))}, "other test rows"),
        ({"class_names": b.CLASSES[::-1]}, "other classes"),
        ({"ids": opened().ids[:-1], "labels": opened().labels[:-1]}, "logits are 60 x 5 but the task has 59 x 5"),
    ],
)
def test_misaligned_logits_are_refused(tmp_path: Path, change: dict[str, object], says: str) -> None:
    truth = opened()
    write_logits(tmp_path / "l", b.logits_for(truth), truth.ids, truth.class_names)
    assert check_alignment(truth, read_logits(tmp_path / "l")) == []
    problems = check_alignment(replace(truth, **change), read_logits(tmp_path / "l"))  # type: ignore[arg-type]
    assert says in "; ".join(problems)


def test_folder_with_logits_of_another_task_is_refused(tmp_path: Path) -> None:
    truth = opened()
    write_logits(tmp_path / "logits.safetensors", b.logits_for(truth), truth.ids[::-1], truth.class_names)
    with pytest.raises(UserError, match="other test rows, or for the same rows in another order"):
        judge_folder(b.task(), b.data_set(), tmp_path)


def test_folder_of_other_data_is_refused(tmp_path: Path) -> None:
    b.run_on_disk(tmp_path)
    with pytest.raises(UserError, match="test_labels: expected sha256"):
        judge_folder(b.task(), b.data_set(seed=1), tmp_path)
