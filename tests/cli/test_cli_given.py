"""Options from a file or a record are those of the command line; what is typed wins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ltbench.cli.boundary import run_guarded
from ltbench.cli.root import cli
from ltbench.engine.cells import expand
from ltbench.engine.sweep_plan import SweepPlan
from ltbench.plugin.errors import UserError
from ltbench.records.read import load_record

CONFIG = "task: shapes-micro\nmethod: linear-probe\nweights: random\nseed: [0, 1]\noptions: {epochs: 1, features: l2}\n"


def run(*words: str) -> Any:
    result = CliRunner().invoke(cli, ["run", "--json", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_file_gives_options_and_a_record_runs_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(CONFIG, encoding="utf-8")
    planned = run("--config", "run.yaml", "--dry-run")
    assert [(one["seed"], one["config"]["epochs"], one["config"]["features"]) for one in planned] == [
        (0, 1, "l2"),
        (1, 1, "l2"),
    ]
    (typed,) = run("--config", "run.yaml", "--seed", "3", "-o", "epochs=2", "--dry-run")
    assert (typed["seed"], typed["config"]["epochs"]) == (3, 2)
    run("--config", "run.yaml", "--seed", "0")
    (path,) = Path("ltbench-runs").rglob("record.json")
    first = load_record(path)
    run("--record", first.key[:12], "--out", "again")
    second = load_record(next(Path("again").rglob("record.json")))
    assert (second.key, second.logits) == (first.key, first.logits)
    assert second.scores == first.scores
    # The same place has it already.
    run("--record", str(path))
    assert len(list(Path("ltbench-runs").rglob("record.json"))) == 1
    (other,) = run("--record", str(path), "--seed", "5", "--dry-run")
    assert (other["seed"], other["config"]) == (5, first.method.config)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tsk: shapes-micro\n", "no option 'tsk'; did you mean 'task'?"),
        ("options: [1]\n", "options is no mapping"),
        ("- task\n", "is no mapping"),
        ("task: [", "is damaged"),
        ("config: other.yaml\n", "no option 'config'"),
        ("task: shapes-micro\nmethod: linear-probe\nseed: x\n", "no list of whole numbers"),
    ],
)
def test_a_bad_file_is_one_line(text: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.yaml").write_text(text, encoding="utf-8")
    assert run_guarded(cli, ["run", "--config", str(tmp_path / "run.yaml")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert problem in line
    assert "→" in line


def test_a_grid_is_an_item_for_each_point() -> None:
    item = {"method": "linear-probe", "options": {"epochs": 1}, "grid": {"lr": [0.1, 0.01], "features": ["l2", "raw"]}}
    plan = SweepPlan.of_document({"tasks": ["shapes-micro"], "methods": ["zero-shot", item], "seeds": [0]}, "p.yaml")
    assert [cell.label.partition("micro ")[2] for cell in expand(plan)] == [
        "zero-shot seed 0",
        "linear-probe [epochs=1,lr=0.1,features=l2] seed 0",
        "linear-probe [epochs=1,lr=0.1,features=raw] seed 0",
        "linear-probe [epochs=1,lr=0.01,features=l2] seed 0",
        "linear-probe [epochs=1,lr=0.01,features=raw] seed 0",
    ]
    for grid, problem in (({"lr": 0.1}, "lists of values"), ({}, "lists of values"), ({"epochs": [1]}, "in its grid")):
        with pytest.raises(UserError, match=problem):
            SweepPlan.of_document({"tasks": ["shapes-micro"], "methods": [{**item, "grid": grid}]}, "p.yaml")
