"""Corrected training labels judged epoch by epoch, and drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from ltbench.plugin.errors import UserError
from ltbench.records.corrections import Corrections, judge_corrections
from ltbench.records.logits import file_sha256
from ltbench.records.record import RunRecord, document_sha256
from ltbench.records.verify import VerifyReport, verify
from ltbench.report.plots import draw_corrections, figure_bytes
from ltbench.tasks.protocols import Plt
from ltbench.tasks.task import Task, Validation
from ltbench.tasks.views import Truth, open_train, open_truth
from ltbench.tasks.views.complete import TrainTruth, open_train_truth
from records import builders as b

COMPLETE = np.array([[1, 1, -1], [1, -1, 0], [-1, 1, 1]], dtype=np.int8)
OBSERVED = np.array([[1, 0, 0], [0, 0, 0], [0, 1, 0]], dtype=np.int8)
TRUTH = TrainTruth(("a", "b", "c"), COMPLETE, OBSERVED, ("cup", "star", "kite"))


def written(folder: Path, *triples: tuple[int, int, int], **changes: Any) -> Path:
    """A file of decisions (epoch, row, class)."""
    document = {
        "rows": [row for _, row, _ in triples],
        "classes": [column for _, _, column in triples],
        "epochs": [epoch for epoch, _, _ in triples],
    }
    path = folder / "decisions.json"
    path.write_text(json.dumps(document | changes))
    return path


def test_right_and_wrong_corrections_of_each_epoch(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        (0, 0, 1),  # right
        (0, 0, 2),  # wrong
        (0, 1, 2),  # the data set does not say
        (0, 0, 0),  # was observed anyhow
        (2, 1, 0),
        (2, 1, 0),  # the same once more
        (2, 2, 2),
    )
    found = judge_corrections(path, TRUTH)
    assert found == Corrections(right=(1, 0, 2), wrong=(1, 0, 0), hidden=3, found=3)
    assert found.precision == (50.0, None, 100.0)
    assert found.recovered == pytest.approx((100 / 3, 0.0, 200 / 3))
    assert judge_corrections(path, TRUTH, epochs=5).right == (1, 0, 2, 0, 0)


def test_no_hidden_label_can_be_recovered_from_none(tmp_path: Path) -> None:
    truth = TrainTruth(TRUTH.ids, COMPLETE, COMPLETE, TRUTH.class_names)
    found = judge_corrections(written(tmp_path, (0, 0, 2)), truth)
    assert (found.wrong, found.hidden, found.recovered) == ((1,), 0, (None,))


def test_a_label_found_in_several_epochs_is_found_once(tmp_path: Path) -> None:
    found = judge_corrections(written(tmp_path, (0, 0, 1), (1, 0, 1), (1, 1, 0)), TRUTH, epochs=3)
    assert (found.right, found.found) == ((1, 2, 0), 2)
    assert found.recovered[-1] == 0
    assert found.recovered_once == pytest.approx(200 / 3)


@pytest.mark.parametrize(
    "changes", [{"wrong": (1,)}, {"found": 4}, {"found": 1}, {"found": 3, "hidden": 2}, {"right": (-1, 2)}]
)
def test_counts_that_contradict_each_other_are_refused(changes: dict[str, Any]) -> None:
    fine: dict[str, Any] = {"right": (1, 2), "wrong": (0, 0), "hidden": 5, "found": 2}
    assert Corrections(**fine).found == 2
    with pytest.raises(ValidationError):
        Corrections(**{**fine, **changes})


DECISIONS = "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"
JUDGED = Corrections(right=(1, 2), wrong=(0, 1), hidden=5, found=2)


def test_corrections_belong_to_version_two_and_to_some_of_version_three() -> None:
    plain, judged = b.record(), b.record(decisions=DECISIONS, corrections=JUDGED)
    old, middle = b.record(schema_version=1), b.record(schema_version=2, decisions=DECISIONS, corrections=JUDGED)
    assert [r.schema_version for r in (plain, judged, old, middle)] == [3, 3, 1, 2]
    assert json.loads(plain.to_json())["corrections"] is None
    assert "corrections" not in json.loads(old.to_json())
    for record in (judged, middle):
        stated = json.loads(record.to_json())["corrections"]
        assert stated == {"found": 2, "hidden": 5, "right": [1, 2], "wrong": [0, 1]}
    for record in (plain, judged, old, middle):
        document = json.loads(record.to_json())
        assert RunRecord.model_validate(document) == record
        assert document_sha256(document) == record.record_sha256
    for changes in ({"schema_version": 2}, {"schema_version": 1, "corrections": JUDGED, "decisions": DECISIONS}):
        with pytest.raises(ValidationError, match="schema version 2"):
            b.record(**changes)
    with pytest.raises(ValidationError, match="file of decisions"):
        b.record(corrections=JUDGED)


def test_corrections_are_verified_beside_their_decisions(tmp_path: Path) -> None:
    task = b.task(protocol=Plt(missing=0.5), pinned=False)
    truth = open_train_truth(task, b.data_set())
    rows, columns = np.nonzero((truth.complete == 1) & (truth.observed != 1))
    path = written(tmp_path, (0, int(rows[0]), int(columns[0])), (1, int(rows[1]), int(columns[1])))
    judged = judge_corrections(path, truth, 3)
    assert judged.right == (1, 1, 0)

    def opened(record: RunRecord) -> tuple[Task, Truth]:
        return task, open_truth(task, b.data_set())

    def report(corrections: Corrections) -> VerifyReport:
        b.run_on_disk(tmp_path, of=task, decisions=file_sha256(path), corrections=corrections)
        return verify(tmp_path / "record.json", opened, replicates=b.REPLICATES, open_train=lambda _: truth)

    fine = report(judged)
    assert fine.problems == []
    assert "corrections" in fine.checked
    wrong = report(judged.model_copy(update={"right": (1, 0, 0), "found": 1}))
    assert wrong.problems == [
        "corrections.found: stored 1, recomputed 2",
        "corrections.right: stored (1, 0, 0), recomputed (1, 1, 0)",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": [3]}, "names row 3 of 3"),
        ({"classes": [-1]}, "names class -1 of 3"),
        ({"epochs": [7]}, "names epoch 7 of 2"),
        ({"rows": [0, 1]}, "does not hold rows"),
        ({"rows": [0.5]}, "does not hold rows"),
        ({"rows": None}, "does not hold rows"),
    ],
)
def test_a_file_that_does_not_fit_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        judge_corrections(written(tmp_path, (0, 0, 1), **changes), TRUTH, epochs=2)


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "decisions.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        judge_corrections(tmp_path / "decisions.json", TRUTH)


@pytest.mark.parametrize("held", [False, True])
def test_truth_is_aligned_with_what_training_saw(held: bool) -> None:
    changes: dict[str, Any] = {"protocol": Plt(missing=0.5)}
    if held:
        changes["validation"] = Validation(kind="holdout", fraction=0.25)
    task = b.task(pinned=False, **changes)
    truth, view = open_train_truth(task, b.data_set()), open_train(task, b.data_set())
    assert truth.ids == view.ids
    assert truth.class_names == view.class_names
    np.testing.assert_array_equal(truth.observed, view.observed)
    hidden = (truth.complete == 1) & (truth.observed != 1)
    assert hidden.any()
    assert (truth.complete[truth.observed == 1] == 1).all()
    assert truth.limited(7).complete.shape == (7, len(b.CLASSES))
    assert truth.limited(None) is truth


def test_figure_shows_means_over_runs_and_what_there_was_to_find() -> None:
    runs = [
        Corrections(right=(2, 4), wrong=(1, 1), hidden=10, found=4),
        Corrections(right=(4, 8), wrong=(1, 3), hidden=20, found=9),
    ]
    figure = draw_corrections(runs, "toy")
    (axes,) = figure.axes
    drawn = {str(line.get_label()): list(line.get_ydata()) for line in axes.get_lines()}
    assert drawn["right"] == [3, 6]
    assert drawn["wrong"] == [1, 2]
    assert set(drawn["hidden"]) == {15}
    assert len(axes.collections) == 2
    assert list(axes.get_lines()[0].get_xdata()) == [1, 2]
    assert not draw_corrections(runs[:1]).axes[0].collections
    assert figure_bytes(draw_corrections(runs), "svg") == figure_bytes(draw_corrections(runs), "svg")
    with pytest.raises(ValueError, match="one number of epochs"):
        draw_corrections([runs[0], Corrections(right=(1,), wrong=(1,), hidden=1, found=1)])
    with pytest.raises(ValueError, match=r"one number of epochs, got \[\]"):
        draw_corrections([])
