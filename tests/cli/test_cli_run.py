"""From one command to a record, a table, a leaderboard and a verification; on 48 images with random weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ltbench.cli import main
from ltbench.records.canonical import canonical_json
from tests.cli.conftest import Cli

RUN = ("run", "--task", "shapes-micro", "--weights", "random")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two seeds of one method."""
    out = tmp_path_factory.mktemp("runs") / "ltbench-runs"
    assert main([*RUN, "--method", "linear-probe", "--seed", "0,1", "-o", "epochs=2", "--out", str(out)]) == 0
    return out


@pytest.fixture
def beside(runs: Path, tmp_path: Path) -> Path:
    """A copy of the runs in the folder where the command line stands."""
    shutil.copytree(runs, tmp_path / "ltbench-runs")
    return tmp_path / "ltbench-runs"


def test_a_run_ends_with_scores_intervals_cost_and_the_place_of_its_record(cli: Cli, beside: Path) -> None:
    said = cli(*RUN, "--method", "linear-probe", "--seed", "0,1", "-o", "epochs=2")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0] == "shapes-micro, linear-probe (paper), tiny-clip: mAP in %"
    assert lines[1].split()[:2] == ["seed", "total"]
    assert [line.split()[0] for line in lines[3:8] if not line.startswith(" ")] == ["0", "1", "mean"]
    assert "[ ]: 95 % bootstrap interval over test images." in lines
    assert "±: 95 % t interval of the mean over 2 seeds." in lines
    assert "Never ranked: the backbone has weights 'random'." in lines
    assert "parameters trained" in said.out
    places = [line.split(" (")[0].strip() for line in lines if "record.json" in line]
    assert len(places) == 2
    assert all(Path(place).is_file() for place in places)
    assert said.out.count("(was there already)") == 2
    assert all(len(line) <= 80 for line in lines if "record.json" not in line)


def test_json_is_clean_while_progress_goes_to_stderr(cli: Cli) -> None:
    said = cli(*RUN, "--method", "zero-shot", "--json", "--limit", "8")
    assert said.code == 0, said.err
    (run,) = json.loads(said.out)
    assert run["record"]["status"] == "completed"
    assert run["record"]["limit"] == 8
    assert run["reused"] is False
    assert Path(run["path"]).is_file()
    assert "zero-shot on shapes-micro, tiny-clip (the bundled one, made for shapes), seed 0" in said.err


def test_a_dry_run_writes_nothing(cli: Cli, tmp_path: Path) -> None:
    said = cli(*RUN, "--method", "linear-probe", "-o", "epochs=3", "--dry-run", "--json")
    assert said.code == 0, said.err
    (plan,) = json.loads(said.out)
    assert plan["config"]["epochs"] == 3
    assert (plan["finished"], plan["weights"]) == (False, "random")
    assert not (tmp_path / "ltbench-runs").exists()
    assert "epochs = 3" in cli(*RUN, "--method", "linear-probe", "-o", "epochs=3", "--dry-run").out


@pytest.mark.parametrize(
    ("extra", "line"),
    [
        (["--method", "linear-probe", "-o", "epoch=2"], "did you mean 'epochs'?"),
        (["--method", "linear-probe", "-o", "epochs=many"], "option of linear-probe: epochs: "),
        (["--method", "linear-probe", "--preset", "nope"], "unknown preset 'nope'"),
        (["--method", "linear-probe", "--variant", "code"], "unknown variant of linear-probe 'code'"),
    ],
)
def test_what_a_method_does_not_know_is_refused_before_anything_is_written(
    cli: Cli, tmp_path: Path, extra: list[str], line: str
) -> None:
    said = cli(*RUN, *extra)
    assert said.code == 2
    assert line in said.err.splitlines()[-1]
    assert not (tmp_path / "ltbench-runs").exists()


def test_a_method_that_cannot_run_on_a_task_says_which_can(cli: Cli) -> None:
    said = cli(
        "run", "--task", "shapes-micro", "--method", "zero-shot", "--weights", "random", "--backbone", "timm:resnet10t"
    )
    assert said.code == 2
    last = said.err.splitlines()[-1]
    assert "needs text" in last
    assert "tiny-clip" in last


def test_runs_are_listed_and_shown_by_key_and_by_path(cli: Cli, beside: Path) -> None:
    rows = json.loads(cli("list", "runs", "--json").out)
    assert [(row["method"], row["seed"], row["status"]) for row in rows] == [
        ("linear-probe", 0, "completed"),
        ("linear-probe", 1, "completed"),
    ]
    assert json.loads(cli("list", "runs", "--method", "other", "--json").out) == []
    by_key = cli("show", "run", rows[0]["key"][:10])
    assert by_key.code == 0
    assert "Check it: ltbench verify" in by_key.out
    assert cli("show", "run", rows[0]["path"]).out == by_key.out
    assert json.loads(cli("show", "run", str(Path(rows[0]["path"]).parent), "--json").out)["seed"] == 0


def test_verify_says_right_or_names_what_is_wrong(cli: Cli, beside: Path) -> None:
    said = cli("verify", "ltbench-runs")
    assert said.code == 0, said.out
    assert "2 of 2 records verified." in said.out
    path = sorted(beside.rglob("record.json"))[0]
    document = json.loads(path.read_text())
    document["scores"]["mAP"]["total"] += 0.1
    path.write_text(canonical_json(document))
    said = cli("verify", "ltbench-runs", "--json")
    assert said.code == 1
    wrong = [report for report in json.loads(said.out) if not report["ok"]]
    assert len(wrong) == 1
    assert any(problem.startswith("scores.mAP.total") for problem in wrong[0]["problems"])


def test_a_leaderboard_prints_imports_writes_and_checks(cli: Cli, beside: Path, tmp_path: Path) -> None:
    said = cli("leaderboard", "--task", "shapes-micro")
    assert said.code == 0, said.err
    assert said.out.startswith("shapes-micro version 1, mAP in %")
    assert "random weights" in " ".join(said.out.split())
    assert all(len(line) <= 80 for line in said.out.splitlines())
    entries = json.loads(cli("leaderboard", "--json").out)
    assert {entry["method"] for entry in entries} == {"linear-probe"}
    assert cli("leaderboard", "--format", "csv").out.startswith("task,version,")
    assert cli("leaderboard", "--task", "shapes-lt").err.startswith(
        "error: no runs of shapes-lt in ltbench-runs; there are runs of shapes-micro → ltbench run --task shapes-lt"
    )

    said = cli("leaderboard", "--import", "ltbench-runs")
    assert said.code == 0, said.err
    page = tmp_path / "leaderboards" / "shapes-micro" / "v1" / "README.md"
    assert page.is_file()
    assert cli("leaderboard", "--check").code == 0
    before = page.read_bytes()
    page.write_text("old")
    stale = cli("leaderboard", "--check")
    assert stale.code == 1
    assert "out of date: leaderboards/shapes-micro/v1/README.md" in stale.out
    assert cli("leaderboard", "--format", "md").code == 0
    assert page.read_bytes() == before


def test_the_library_does_what_the_command_does(runs: Path) -> None:
    import ltbench

    (done,) = ltbench.run("shapes-micro", "linear-probe", weights="random", options={"epochs": 2}, seed=1, out=runs)
    assert done.reused
    frame = ltbench.leaderboard(runs, "shapes-micro")
    assert set(frame["method"]) == {"linear-probe"}
    total = frame[(frame["metric"] == "mAP") & (frame["subset"] == "total")]
    assert total["n"].tolist() == [2]


def test_a_sweep_plan_and_options_exclude_each_other(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("tasks: [shapes-plt]\nmethods: [zero-shot, lmpt]\nseeds: [0, 1]\n")
    said = cli("sweep", "--plan", "plan.yaml", "--dry-run")
    assert said.code == 0, said.err
    assert len(said.out.splitlines()) == 4 * (1 + 2)
    assert "zero-shot is deterministic: one run in place of 2, of seed 0" in said.err
    assert said.out.splitlines()[0] == "shapes-plt@mr0 zero-shot seed 0"
    said = cli("sweep", "--plan", "plan.yaml", "--seeds", "1")
    assert said.err == "error: --seeds and --plan exclude each other → put it into plan.yaml\n"
    said = cli("sweep", "--tasks", "shapes-lt", "--methods", "coop", "--seeds", "3,4", "--dry-run", "--json")
    assert json.loads(said.out) == ["shapes-lt coop seed 3", "shapes-lt coop seed 4"]


def test_tune_searches_on_validation_and_says_how_to_use_what_it_found(cli: Cli, tmp_path: Path) -> None:
    tune = ("tune", "--task", "shapes-micro", "--weights", "random", "--method", "linear-probe", "-o", "epochs=2")
    said = cli(*tune, "--trials", "2", "--space", "lr=[0.001, 0.01]")
    assert said.code == 0, said.err
    assert said.out.startswith("mAP on validation rows, in %\n")
    assert "unchanged" in said.out
    assert "*: the best." in said.out
    last = said.out.splitlines()[-1]
    assert last.startswith("Use it: ltbench run --task shapes-micro --method linear-probe --preset ")
    preset = last.rpartition(" ")[2]
    assert Path(preset).is_file()
    said = cli(*RUN, "--method", "linear-probe", "--preset", preset, "--dry-run", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)[0]["origin"] == "tuned(2, on shapes-micro)"
    assert cli(*tune, "--trials", "2", "--space", "lr=3").err.startswith("error: search space of 'lr' must be a list")
    said = cli("tune", "--task", "shapes-plt", "--method", "zero-shot", "--trials", "1")
    assert "shapes-plt stands for 4 settings" in said.err


@pytest.mark.parametrize(("status", "code"), [("passed", 0), ("failed", 1), ("skipped", 0)])
def test_plugin_check_shows_what_the_kit_found(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, status: str, code: int
) -> None:
    from ltbench.testing import kit

    asked = []

    def check_method(*args: object, **options: object) -> list[kit.CheckResult]:
        asked.append((args, options))
        return [kit.CheckResult("finite loss", status, "why")]  # type: ignore[arg-type]

    monkeypatch.setattr(kit, "check_method", check_method)
    said = cli("plugin", "check", "lmpt", "--weights", "random")
    assert (said.code, asked) == (code, [(("lmpt", "tiny-clip"), {"weights": "random", "seconds": 600.0})])
    assert said.out.splitlines()[-2].split() == ["finite", "loss", status, "why"]
    assert said.out.splitlines()[-1].startswith(f"lmpt: {int(status == 'passed')} of 1 checks passed")
    assert json.loads(cli("plugin", "check", "lmpt", "--json").out)[0]["status"] == status
    assert "unknown method 'lmp'" in cli("plugin", "check", "lmp").err
