"""Evidence as users meet it: verify --rerun, what an import refuses, what a check finds behind the rows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ltbench.cli import main
from ltbench.records.canonical import canonical_json
from ltbench.records.record import document_sha256
from tests.cli.conftest import Cli

RUN = ["run", "--task", "shapes-micro", "--weights", "random", "--device", "cpu"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two seeds of one method and one of another."""
    out = tmp_path_factory.mktemp("runs") / "ltbench-runs"
    assert main([*RUN, "--method", "linear-probe", "--seed", "0,1", "-o", "epochs=2", "--out", str(out)]) == 0
    assert main([*RUN, "--method", "zero-shot", "--out", str(out)]) == 0
    return out


@pytest.fixture
def beside(runs: Path, tmp_path: Path) -> Path:
    """A copy of the runs in the folder where the command line stands."""
    shutil.copytree(runs, tmp_path / "ltbench-runs")
    return tmp_path / "ltbench-runs"


def forge(path: Path, figure: float) -> None:
    """State another figure, with the record's hash made to fit and its logits gone."""
    document = json.loads(path.read_text())
    document["scores"]["mAP"]["total"] = figure
    document["record_sha256"] = document_sha256(document)
    path.write_text(canonical_json(document))
    (path.parent / "logits.safetensors").unlink()


def test_runs_are_trained_again_and_come_out_the_same(cli: Cli, beside: Path, tmp_path: Path) -> None:
    before = sorted(beside.rglob("*"))
    said = cli("verify", "ltbench-runs", "--rerun")
    assert said.code == 0, said.out
    assert [line.split()[0] for line in said.out.splitlines()[:3]] == ["same", "same", "same"]
    assert said.out.splitlines()[-1] == "3 of 3 runs came out again, 3 of them with the same bits."
    assert "[3/3] record.json" in said.err
    assert sorted(beside.rglob("*")) == before
    path = sorted(beside.rglob("record.json"))[0]
    forge(path, 99.0)
    said = cli("verify", str(path), "--rerun", "--json", "--out", "second")
    assert said.code == 1
    (report,) = json.loads(said.out)
    assert report["verdict"] == "WRONG"
    assert report["problems"] == [f"scores.mAP.total: stored 99.0, trained again {report['again']}"]
    assert len(list((tmp_path / "second").rglob("record.json"))) == 1


def test_a_budget_takes_a_fixed_sample(cli: Cli, beside: Path) -> None:
    said = cli("verify", "ltbench-runs", "--rerun", "--budget", "10000", "--json")
    assert said.code == 0, said.err
    assert {Path(report["path"]).parents[2].name for report in json.loads(said.out)} == {"linear-probe", "zero-shot"}
    nothing = cli("verify", "ltbench-runs", "--rerun", "--budget", "0.000001")
    assert nothing.err.strip() == "error: no run fits into 1e-06 seconds → ltbench verify --rerun RECORD…"
    assert "go with --rerun → ltbench verify --rerun" in cli("verify", "ltbench-runs", "--budget", "1").err


def test_an_import_takes_what_verifies_and_names_what_does_not(cli: Cli, beside: Path, tmp_path: Path) -> None:
    path = next(path for path in sorted(beside.rglob("record.json")) if "zero-shot" in path.parts)
    forge(path, 99.0)
    said = cli("leaderboard", "--import", "ltbench-runs")
    assert said.code == 1
    (line,) = [line for line in said.out.splitlines() if " is refused: " in line]
    assert "attempt-1/record.json is refused: logits with sha256" in line
    folder = tmp_path / "leaderboards" / "shapes-micro" / "v1"
    assert sorted(path.name[:18] for path in (folder / "records").iterdir()) == ["all-linear-probe-s"] * 2
    assert [entry["run"] for entry in json.loads((folder / "rerun.json").read_text())] == [
        "shapes-micro linear-probe seed 1"
    ]
    checked = cli("leaderboard", "--check")
    assert checked.code == 0, checked.out
    assert checked.out.splitlines()[-1] == "Behind 1 runs are their logits; 1 are marked to be run again."
    verified = cli("verify", "leaderboards")
    assert verified.code == 0
    assert {line.split()[0] for line in verified.out.splitlines() if "/records/" in line} == {"right", "re-run"}
    assert "1 of 2 records verified." in verified.out

    shutil.copy(path, folder / "records" / "all-zero-shot-s0-a1.json")
    assert cli("leaderboard", "--format", "md").code == 0
    checked = cli("leaderboard", "--check")
    assert checked.code == 1
    assert "the logits of shapes-micro zero-shot seed 0" in checked.out
    assert "1 fact has nothing behind them → ltbench verify leaderboards" in checked.out
    assert cli("verify", "leaderboards").code == 1
    assert cli("leaderboard", "--mark-rerun").out.strip() == f"wrote {Path('leaderboards/shapes-micro/v1/rerun.json')}"
    assert cli("leaderboard", "--check").code == 0


def test_nothing_is_written_when_nothing_verifies(cli: Cli, beside: Path, tmp_path: Path) -> None:
    for path in beside.rglob("record.json"):
        forge(path, 99.0)
    said = cli("leaderboard", "--import", "ltbench-runs")
    assert said.code == 1
    assert said.out.count("is refused: ") == 3
    assert not (tmp_path / "leaderboards").exists()


def test_a_preset_file_that_says_published_is_refused_in_one_line(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("linear-probe:\n- {name: mine, origin: 'published(Table 1)'}\n")
    said = cli(*RUN, "--method", "linear-probe", "--preset", "mine.yaml")
    assert said.code == 2
    assert said.err.splitlines()[-1] == (
        "error: preset file mine.yaml: published(Table 1): a file can state tuned or default only; the rest belongs to"
        " presets of a package → say origin: default in the file"
    )
    (tmp_path / "mine.yaml").write_text("linear-probe:\n- {name: mine, origin: default, overrides: {epochs: 2}}\n")
    assert cli(*RUN, "--method", "linear-probe", "--preset", "mine.yaml", "--dry-run").code == 0
