"""The epoch that validation rows choose, and training on a share of the rows: through ``run_one`` and the records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltbench.data.base import DataRoot
from ltbench.engine import run as engine
from ltbench.engine import sweep as sweeping
from ltbench.engine.kept import read_kept
from ltbench.engine.request import RunRequest
from ltbench.engine.rerun import rerun
from ltbench.engine.restate import restate
from ltbench.engine.run import Finished, run_one
from ltbench.engine.sweep import expand
from ltbench.engine.sweep_plan import SweepPlan
from ltbench.method.extras import CLEAN_VALIDATION, VALIDATION
from ltbench.metrics.contract import evaluate
from ltbench.plugin import MethodSpec, UserError
from ltbench.plugin.manager import extra_specs
from ltbench.records.logits import read_logits
from ltbench.records.read import load_record
from ltbench.records.record import key_of
from ltbench.records.store import TRAINING_NAME
from ltbench.records.verify import open_registered, open_registered_train, verify
from ltbench.report.rows import why_not_ranked
from ltbench.tasks.registry import load_task, open_data_set
from ltbench.tasks.task import Fingerprints, Validation
from ltbench.tasks.views import open_train, open_truth
from ltbench.tasks.views.complete import open_train_truth

# Rates so high that epochs differ, and the last is not the best.
WILD = {"epochs": 5, "lr": 0.3, "batch_size": 4}


def run(out: Path, method: str = "linear-probe", task: str = "shapes-micro", **options: Any) -> Finished:
    facts: dict[str, Any] = {"weights": "random", "device": "cpu", "overrides": WILD, **options}
    return run_one(RunRequest(load_task(task), method, "tiny-clip", out=out, **facts))


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Figures on validation rows epoch by epoch, taken beside the run and not by it."""
    found: list[float] = []
    task = load_task("shapes-micro")
    view = open_train(task, open_data_set(task, DataRoot())).validation
    assert view is not None
    labels = view.observed

    class Watched(engine.BestEpoch):
        def look(self, stage: int, epoch: int) -> None:
            super().look(stage, epoch)
            logits = self._phase.predict(self._inputs, view.class_names)
            total = evaluate(logits, labels, None, ("mAP",)).scores["mAP"]["total"]
            assert total is not None
            found.append(total)

    monkeypatch.setattr(engine, "BestEpoch", Watched)
    return found


def test_the_best_epoch_on_validation_rows_counts(tmp_path: Path, looked: list[float]) -> None:
    done = run(tmp_path, selection="validation", audit_selection=True)
    record = done.record
    assert record.status == "completed"
    best = int(np.argmax(looked))
    assert len(looked) == WILD["epochs"]
    assert best + 1 < WILD["epochs"], "the last is the best here, so that nothing was chosen"
    assert (record.selection.rule, record.selection.epoch) == ("validation", best + 1)
    assert record.selection.score == pytest.approx(looked[best])
    final = read_logits(done.folder / "logits.safetensors").logits
    epochs = [read_logits(done.folder / "audit" / f"epoch-{n:04d}.safetensors").logits for n in range(1, 6)]
    np.testing.assert_array_equal(final, epochs[best])
    assert not np.array_equal(final, epochs[-1])
    # All of its labels are known here, so that the row says clean, and ranks apart from those that looked at none.
    assert record.extras == (CLEAN_VALIDATION,)
    last = run(tmp_path, audit_selection=True).record
    assert last.extras == ()
    assert last.key != record.key
    assert last.to_json().count('"epoch"') == 0
    assert json.loads(last.to_json())["selection"].keys() == {"rule", "oracle", "oracle_epoch"}


def test_its_record_is_verified_and_trained_again(tmp_path: Path) -> None:
    done = run(tmp_path, selection="validation")
    path = done.folder / "record.json"
    report = verify(path, lambda _: open_task())
    assert report.problems == []
    assert restate(done.record, load_task("shapes-micro")).problems == []
    again = rerun(path, tmp_path / "again")
    assert (again.verdict, again.problems) == ("same", [])
    for update in ({"epoch": None}, {"rule": "last"}, {"score": None}):
        forged = done.record.model_copy(update={"selection": done.record.selection.model_copy(update=update)})
        assert any("selection.epoch" in problem for problem in restate(forged, load_task("shapes-micro")).problems)
    forged = done.record.model_copy(update={"extras": ()})
    assert any("extras" in problem for problem in restate(forged, load_task("shapes-micro")).problems)


def open_task() -> Any:
    task = load_task("shapes-micro")
    return task, open_truth(task, open_data_set(task, DataRoot()))


@pytest.mark.parametrize("before", [1, 3])
def test_an_interrupted_run_keeps_its_best_epoch(before: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(tmp_path / "whole", selection="validation")

    class Stopped(engine.BestEpoch):
        def look(self, stage: int, epoch: int) -> None:
            super().look(stage, epoch)
            if epoch == before:
                raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(engine, "BestEpoch", Stopped)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "twice", selection="validation")
    resumed = run(tmp_path / "twice", selection="validation")
    assert resumed.record.selection == whole.record.selection
    assert resumed.record.logits == whole.record.logits


def test_what_chooses_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no epochs to choose from"):
        run(tmp_path, "zero-shot", selection="validation", overrides={})
    without = load_task("shapes-micro").model_copy(update={"validation": Validation()})
    request = RunRequest(without, "linear-probe", "tiny-clip", weights="random", out=tmp_path, selection="validation")
    with pytest.raises(UserError, match="no validation rows to choose an epoch on"):
        run_one(request)
    hidden = load_task("shapes-micro").model_copy(
        update={"protocol": load_task("shapes-spml").protocol, "fingerprints": Fingerprints()}
    )
    request = RunRequest(hidden, "linear-probe", "tiny-clip", weights="random", out=tmp_path, selection="validation")
    with pytest.raises(UserError, match="no label that is known to be absent") as refused:
        run_one(request)
    assert "--validation clean" in refused.value.hint
    with pytest.raises(UserError, match="asks for no validation rows"):
        run(tmp_path, validation="clean")


def test_partly_known_validation_labels_choose_as_well(tmp_path: Path) -> None:
    """Observed labels will do where some are known to be absent; the row says which it had."""
    task = load_task("shapes-micro").model_copy(
        update={"protocol": load_task("shapes-partial@p50").protocol, "fingerprints": Fingerprints(), "unpinned": {}}
    )
    facts: dict[str, Any] = {"weights": "random", "out": tmp_path, "selection": "validation", "overrides": WILD}
    seen = run_one(RunRequest(task, "linear-probe", "tiny-clip", **facts)).record
    clean = run_one(RunRequest(task, "linear-probe", "tiny-clip", validation="clean", **facts)).record
    assert (seen.extras, clean.extras) == ((VALIDATION,), (CLEAN_VALIDATION,))
    assert seen.selection.score != clean.selection.score


def test_a_share_is_the_same_rows_for_all_and_lies_within_a_larger_one(tmp_path: Path) -> None:
    task = load_task("shapes-partial@p50")
    view = open_train(task, open_data_set(task, DataRoot()))
    parts = {share: view.sampled(task, share) for share in (0.01, 0.1, 0.5)}
    assert {share: len(part) for share, part in parts.items()} == {0.01: 15, 0.1: 150, 0.5: 750}
    position = {name: row for row, name in enumerate(view.ids)}
    for smaller, larger in ((0.01, 0.1), (0.1, 0.5)):
        assert set(parts[smaller].ids) < set(parts[larger].ids)
    rows = [position[name] for name in parts[0.1].ids]
    assert rows == sorted(rows)
    assert rows != list(range(len(rows))), "the first rows, as --limit takes them"
    np.testing.assert_array_equal(parts[0.1].observed, view.observed[rows])
    # The same rows whatever is known of their labels.
    other = load_task("shapes-partial@p10")
    assert open_train(other, open_data_set(other, DataRoot())).sampled(other, 0.1).ids == parts[0.1].ids
    truth = open_train_truth(task, open_data_set(task, DataRoot())).sampled(task, 0.1)
    assert truth.ids == parts[0.1].ids
    np.testing.assert_array_equal(truth.observed, parts[0.1].observed)


def test_a_run_on_a_share_says_so_and_is_never_ranked(tmp_path: Path) -> None:
    facts: dict[str, Any] = {"task": "shapes-plt@mr40", "overrides": {"epochs": 3}}
    with extra_specs([MethodSpec(name="labelrewriting", target="engine.toys:LabelRewriting", summary="toy")]):
        done = run(tmp_path, "labelrewriting", share=0.1, **facts)
        record = done.record
        assert record.status == "completed"
        assert record.share == 0.1
        assert any("share of 0.1" in reason for reason in why_not_ranked(record))
        assert key_of(record) != key_of(record.model_copy(update={"share": None}))
        assert '"share"' not in record.model_copy(update={"share": None}).to_json()
        # Corrections are judged on the rows that were trained on.
        assert record.corrections is not None
        root = DataRoot()
        found = verify(done.folder / "record.json", open_registered(root), open_train=open_registered_train(root))
        assert found.problems == []
        assert "corrections" in found.checked
        assert rerun(done.folder / "record.json", tmp_path / "again").verdict == "same"
    kept = read_kept(done.folder / TRAINING_NAME).view
    task = load_task("shapes-plt@mr40")
    assert len(kept) == round(0.1 * len(open_train(task, open_data_set(task, DataRoot()))))


def test_a_plan_has_shares_and_the_choice_of_epoch(tmp_path: Path) -> None:
    """Shares of one method are a curve; which epoch counts is one thing for a whole sweep."""
    options = {**WILD, "epochs": 2}
    methods = [{"method": "linear-probe", "options": options, "share": share} for share in (0.5, None)]
    plan = SweepPlan.of_document(
        {
            "tasks": ["shapes-micro"],
            "methods": methods,
            "seeds": [0],
            "backbone": "tiny-clip",
            "weights": "random",
            "selection": "validation",
            "share": 0.25,
        },
        "plan.yaml",
    )
    cells = expand(plan)
    assert ["share 0.5" in cell.label for cell in cells] == [True, False]
    found = []
    for cell in cells:
        result = sweeping.work(cell, plan, sweeping.SweepOptions(out=tmp_path))
        assert result.record is not None, result.reason
        found.append(load_record(result.record))
    assert [record.share for record in found] == [0.5, 0.25]
    assert all(record.selection.rule == "validation" for record in found)
    named = "epochs=2,lr=0.3,batch_size=4"
    own = [{**methods[0], "share": None, "selection": "last"}, {**methods[0], "share": None, "validation": "clean"}]
    plan = SweepPlan.of_document(
        {"tasks": ["shapes-micro"], "methods": own, "selection": "validation", "seeds": [0]}, "plan.yaml"
    )
    cells = expand(plan)
    assert [cell.label for cell in cells] == [
        f"shapes-micro linear-probe [selection last {named}] seed 0",
        f"shapes-micro linear-probe [validation clean {named}] seed 0",
    ]
    asked = [sweeping.request_of(cell, plan, sweeping.SweepOptions(out=tmp_path)) for cell in cells]
    assert [(one.selection, one.validation) for one in asked] == [("last", "observed"), ("validation", "clean")]
    with pytest.raises(UserError, match="selection"):
        SweepPlan.of_document(
            {"tasks": ["shapes-micro"], "methods": [{"method": "linear-probe", "selection": "test"}]}, "plan.yaml"
        )
    with pytest.raises(UserError, match="share"):
        SweepPlan.of_document({"tasks": ["shapes-micro"], "methods": ["linear-probe"], "share": 1.5}, "plan.yaml")
