"""Rows whose protocol chooses the epoch on validation images are run so, and only records of such runs fill them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from ltbench.engine.cells import expand, request_of
from ltbench.engine.how import SweepOptions
from ltbench.engine.sweep_plan import SweepPlan
from ltbench.records.facts import Selection
from ltbench.records.read import load_record
from ltbench.records.record import RunRecord
from ltbench.testing.task_trees import make_task_tree
from tests.cli.conftest import Cli
from tests.cli.test_cli_reproduce import lay, record


def test_a_protocol_that_chooses_the_epoch_on_validation_images_is_followed(cli: Cli, tmp_path: Path) -> None:
    """The LargeLoss setup holds images out for it; the SPLC setup has none, which the row says."""
    rows = " ".join(cli("reproduce", "hspnet:table1/lsan", "--dry-run").out.split())
    run = "lsan, variant paper, preset cole, timm:resnet50.tv_in1k"
    assert f"spml-voc@largeloss: {run} --selection validation --validation clean" in rows
    none = "no validation rows are held out to choose the epoch on"
    assert f"spml-voc@splc: {run}; {none}, so the last counts" in rows
    assert rows.count(none) == rows.count("--selection validation") == 4
    written = cli("reproduce", "hspnet:table1/lsan", "--tasks", "spml-voc", "--plan", "plan.yaml", "--seeds", "0")
    assert "wrote plan.yaml: 2 runs" in written.out
    items = yaml.safe_load((tmp_path / "plan.yaml").read_text(encoding="utf-8"))["methods"]
    assert [(item["tasks"], item.get("selection"), item.get("validation")) for item in items] == [
        (["spml-voc@largeloss"], "validation", "clean"),
        (["spml-voc@splc"], None, None),
    ]
    lines = cli("sweep", "--plan", "plan.yaml", "--dry-run").out.splitlines()
    named = "[cole timm:resnet50.tv_in1k"
    assert f"spml-voc@largeloss lsan {named} selection validation validation clean] seed 0" in lines
    assert f"spml-voc@splc lsan {named}] seed 0" in lines
    plan = SweepPlan.read(tmp_path / "plan.yaml")
    asked = {cell.task: request_of(cell, plan, SweepOptions()) for cell in expand(plan)}
    assert {task: (one.selection, one.validation) for task, one in asked.items()} == {
        "spml-voc@largeloss": ("validation", "clean"),
        "spml-voc@splc": ("last", "observed"),
    }


def test_a_record_of_another_epoch_fills_no_cell(cli: Cli, tmp_path: Path) -> None:
    def ran(setup: str, mean: float, rule: str, *extras: str) -> RunRecord:
        chosen = Selection(rule=rule, epoch=3, score=50.0) if rule == "validation" else Selection(rule="last")
        scores, how = {"mAP": {"total": mean}}, {"selection": chosen, "extras": extras}
        return record(f"spml-coco@{setup}", "lsan", "cole", "timm:resnet50.tv_in1k", 0, scores, **how)

    row = "hspnet:table1/lsan"
    # Neither is the run of the row: the last epoch where validation images choose it, one that they chose where there
    # are none, and one that other labels of these images chose.
    folder = lay(
        tmp_path / "at-hand",
        ran("largeloss", 50.0, "last"),
        ran("largeloss", 60.0, "validation", "validation"),
        ran("splc", 51.0, "validation", "clean validation"),
    )
    shown = ("reproduce", row, "--tasks", "spml-coco", "--records", str(folder), "--json")
    figures = json.loads(cli(*shown).out)[0]["rows"][0]["figures"]
    assert {figure["setting"]: figure["measured"] for figure in figures} == {"largeloss": None, "splc": None}
    lay(folder, ran("largeloss", 70.0, "validation", "clean validation"), ran("splc", 71.0, "last"))
    (shown_row,) = json.loads(cli(*shown).out)[0]["rows"]
    assert {figure["setting"]: figure["measured"] for figure in shown_row["figures"]} == {
        "largeloss": 70.0,
        "splc": 71.0,
    }
    # What differs is the setup without validation images; to have used them in the other is the protocol's.
    assert shown_row["differs"]["selection"].startswith("on spml-coco@splc no validation rows are held out")
    assert "extras" not in shown_row["differs"]
    assert {run["address"]: run["selection"] for run in shown_row["runs"]} == {
        "spml-coco@largeloss": "validation",
        "spml-coco@splc": "last",
    }
    (other,) = json.loads(cli("reproduce", "hspnet:table1/largeloss", "--records", str(folder), "--json").out)[0][
        "rows"
    ]
    assert "selection" not in other["differs"]


@pytest.mark.slow
def test_a_row_whose_epoch_validation_images_choose_is_run_so(cli: Cli, tmp_path: Path) -> None:
    """NUS-WIDE in the true format, LargeLoss's own training on few rows."""
    tree = make_task_tree("spml-nus@largeloss", tmp_path / "data", seed=1, train=10, test=2)
    said = cli(
        *("reproduce", "hspnet:table1/largeloss", "--tasks", "spml-nus", "--data-root", str(tree.root)),
        *("--weights", "random", "--limit", "2", "--seeds", "0", "--jobs", "1", "--json", "--offline"),
    )
    assert said.code == 0, said.err
    (path,) = (tmp_path / "ltbench-runs").glob("spml-nus@largeloss/ll-r/*/*/record.json")
    made = load_record(path)
    assert (made.selection.rule, made.extras) == ("validation", ("clean validation",))
    assert made.selection.epoch in range(1, 11)
    (row,) = json.loads(said.out)[0]["rows"]
    assert row["figures"][0]["measured"] == made.scores["mAP"]["total"]
    assert "selection" not in row["differs"]
