"""A sweep runs every cell once, says why one cannot run, and finds what is finished."""

from __future__ import annotations

from pathlib import Path

import pytest

import ltbench
from ltbench.engine.sweep import SweepOptions, describe, expand, sweep
from ltbench.engine.sweep_plan import PlanItem, SweepPlan
from ltbench.plugin.errors import UnknownName, UserError
from ltbench.records.read import all_records

PLAN = """
tasks: [shapes-micro]
methods:
  - zero-shot
  - {method: linear-probe, options: {epochs: 1}}
  - {method: linear-probe, options: {epochs: -1}}
seeds: [0]
weights: random
"""


def test_a_plan_file_expands_to_cells(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("tasks: [shapes-plt]\nmethods: [zero-shot, coop]\nseeds: [0, 1]\n", encoding="utf-8")
    cells = expand(SweepPlan.read(file))
    # Without a seed that matters, one run says all.
    assert len(cells) == 4 * (1 + 2)
    assert cells[0].task == "shapes-plt@mr0"
    assert [(cell.item.method, cell.seed) for cell in cells[:3]] == [("zero-shot", 0), ("coop", 0), ("coop", 1)]
    assert cells[0].label == "shapes-plt@mr0 zero-shot seed 0"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tasks: [shapes-lt]\n", "items"),
        ("tasks: [shapes-lt]\nmethods: [coop]\nsedes: [1]\n", "sedes"),
        ("- just a list\n", "no mapping"),
        ("tasks: [", "is damaged"),
    ],
)
def test_a_bad_plan_is_one_line(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=problem):
        SweepPlan.read(file)


def test_unknown_recipes_are_refused_before_anything_runs() -> None:
    with pytest.raises(UnknownName, match="linear-probe"):
        expand(SweepPlan(tasks=("shapes-micro",), items=(PlanItem(method="linear-prob"),)))


def test_cells_run_in_processes_of_their_own_and_are_found_again(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(PLAN, encoding="utf-8")
    plan, options = SweepPlan.read(file), SweepOptions(out=tmp_path / "runs", jobs=1)
    first = sweep(plan, options)
    assert [result.status for result in first] == ["completed", "completed", "refused"]
    assert "epochs" in first[2].reason
    assert "refused" in describe(first[2])
    records = all_records([tmp_path / "runs"]).records
    assert {record.record.method.name for record in records} == {"zero-shot", "linear-probe"}
    again = sweep(plan, options)
    assert [result.reused for result in again[:2]] == [True, True]
    assert [result.score for result in again[:2]] == [result.score for result in first[:2]]
    assert len(all_records([tmp_path / "runs"]).records) == len(records)
    # From Python the same runs are found, and another seed is run.
    typed = ltbench.sweep(["shapes-micro"], ["zero-shot"], [0, 1], out=tmp_path / "runs", jobs=1, weights="random")
    assert [(result.status, result.reused) for result in typed] == [("completed", True)]
    assert typed[0].score == first[0].score
    fresh = ltbench.sweep(["shapes-micro"], ["zero-shot"], [1], out=tmp_path / "runs", jobs=1, weights="random")
    assert [(result.status, result.reused) for result in fresh] == [("completed", False)]
    assert all_records([tmp_path / "runs"]).records[-1].record.task.name == "shapes-micro"
    assert len(all_records([tmp_path / "runs"]).records) == len(records) + 1


def test_a_class_of_this_session_is_no_cell_of_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltbench.method.local.use", lambda method: "local.typed")
    monkeypatch.setattr("ltbench.method.local.in_session", lambda name: True)
    with pytest.raises(
        UserError, match=r"local\.typed was typed into this session, and a sweep's processes do not see it"
    ):
        ltbench.sweep(["shapes-micro"], ["typed"], [0])


def test_an_item_may_have_a_backbone_and_tasks_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    text = "tasks: [shapes-micro, shapes-plt]\nseeds: [0]\nmethods:\n  - zero-shot\n"
    item = "  - {method: coop, tasks: [shapes-plt@mr40], backbone: clip-rn50}\n"
    file.write_text(text + item, encoding="utf-8")
    labels = [cell.label for cell in expand(SweepPlan.read(file))]
    assert [label for label in labels if "coop" in label] == ["shapes-plt@mr40 coop [clip-rn50] seed 0"]
    assert len(labels) == 6
    file.write_text(text + item.replace("shapes-plt@mr40", "shapes-lt"), encoding="utf-8")
    with pytest.raises(UserError, match="runs on shapes-lt, the plan does not"):
        expand(SweepPlan.read(file))


def test_a_plan_may_ask_for_bfloat16(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(
        "tasks: [shapes-micro]\nmethods: [zero-shot]\nseeds: [0]\nweights: random\ndtype: bfloat16\n", encoding="utf-8"
    )
    (result,) = sweep(SweepPlan.read(file), SweepOptions(out=tmp_path / "runs", jobs=1))
    assert result.status == "completed", result.reason
    (entry,) = all_records([tmp_path / "runs"]).records
    assert entry.record.backbone.dtype == "bfloat16"
    file.write_text("tasks: [shapes-micro]\nmethods: [zero-shot]\ndtype: float8\n", encoding="utf-8")
    with pytest.raises(UserError, match="dtype"):
        SweepPlan.read(file)
