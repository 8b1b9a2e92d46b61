"""``--dtype``: another run with features of its own, told at once, ranked apart, and run again as recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ltbench.backbones.acceleration import unaccelerated
from ltbench.engine.rerun import rerun
from ltbench.records.read import load_record
from ltbench.records.record import RunRecord
from ltbench.report.board import build_board
from ltbench.report.figures import save_plots
from ltbench.report.rows import make_rows
from tests.cli.conftest import Cli

RUN = ("run", "--task", "shapes-micro", "--method", "zero-shot")


def record_of(cli: Cli, *options: str) -> tuple[RunRecord, Path, str]:
    said = cli(*RUN, *options, "--json")
    assert said.code == 0, said.err
    path = Path(json.loads(said.out)[0]["path"])
    return load_record(path), path, said.err


def test_bfloat16_is_another_run_with_features_of_its_own(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path / "cache"))
    exact, _, before = record_of(cli)
    quick, path, said = record_of(cli, "--dtype", "bfloat16")
    assert (exact.backbone.dtype, quick.backbone.dtype) == ("float32", "bfloat16")
    assert exact.key != quick.key
    assert exact.logits is not None
    assert quick.logits is not None
    assert exact.logits.sha256 != quick.logits.sha256
    assert len(list((tmp_path / "cache" / "features").glob("tiny-clip-global-*"))) == 2
    assert ", bfloat16, seed 0" in said
    assert "bfloat16" not in before.replace(str(tmp_path), "")
    assert unaccelerated("bfloat16", "cpu") in said
    assert quick.backbone.ranked
    report = rerun(path, tmp_path / "again")
    assert (report.verdict, report.problems) == ("same", [])
    dry = json.loads(cli(*RUN, "--dtype", "bfloat16", "--dry-run", "--json").out)[0]
    assert (dry["dtype"], dry["finished"]) == ("bfloat16", True)
    assert (
        json.loads(cli(*RUN, "--seed", "1", "--dtype", "bfloat16", "--dry-run", "--json").out)[0]["finished"] is False
    )


def test_rows_of_bfloat16_stand_in_sections_and_files_of_their_own(cli: Cli, tmp_path: Path) -> None:
    records = [record_of(cli, *options)[0] for options in ((), ("--dtype", "bfloat16"))]
    # As of a task that ranks.
    ranked = [r.model_copy(update={"task": r.task.model_copy(update={"ranked": True})}) for r in records]
    board = build_board(ranked, "shapes-micro", records[0].task.version)
    assert [section.equals.made_with for section in board.sections] == [("tiny-clip", "bfloat16"), ("tiny-clip",)]
    names = {path.name for path in save_plots(board, tmp_path / "plots") if path.name.startswith("groups-")}
    assert len(names) == 2
    assert sum("bfloat16" in name for name in names) == 1
    assert len(make_rows(ranked)) == 2


def test_other_types_and_features_of_a_file_are_refused(cli: Cli) -> None:
    said = cli(*RUN, "--dtype", "float8")
    assert said.code == 2
    assert "'float32', 'bfloat16'" in said.err
