"""The board on a terminal: every name whole, every line inside, what is left out said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from records import builders as b
from report import boards as r

from ltbench.cli.commands.leaderboard import leaderboard
from ltbench.records.record import RunRecord

LEADERBOARDS = Path(__file__).resolve().parents[2] / "leaderboards"
NAMES = ("linear-probe-lbfgs", "zero-shot-ensemble", "semantic-consistency", "lmpt")


def put(folder: Path, *records: RunRecord) -> None:
    for number, record in enumerate(records):
        path = folder / str(number) / "record.json"
        path.parent.mkdir(parents=True)
        path.write_text(record.to_json(), encoding="utf-8")


def printed(monkeypatch: pytest.MonkeyPatch, folder: Path, columns: int) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    said = CliRunner().invoke(leaderboard, ["--records", str(folder)])
    assert said.exit_code == 0, said.output
    return said.stdout.splitlines()


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    """Three seeds of each method, and of two presets of one method that its name does not tell apart."""
    rows = [
        record for number, name in enumerate(NAMES) for record in r.runs(name, *(70.0 - number + s for s in (0, 1, 3)))
    ]
    for number, preset in enumerate(("shapes-single-positive", "shapes-half-tokens")):
        config = {"tokens": number}
        rows += r.runs("dualcoop", 60.5, 61.5, 62.0 + number, facts={"preset": preset, "config": config})
    put(tmp_path / "runs", *rows)
    return tmp_path / "runs"


@pytest.mark.parametrize("columns", [80, 100, 64])
def test_names_stay_whole_and_lines_inside(monkeypatch: pytest.MonkeyPatch, seeds: Path, columns: int) -> None:
    lines = printed(monkeypatch, seeds, columns)
    assert max(map(len, lines)) <= columns
    for name in (*NAMES, "dualcoop"):
        assert any(line.split()[1:2] == [name] for line in lines), (name, lines)
    for preset in ("[shapes-single-positive]", "[shapes-half-tokens]"):
        assert any(preset in line for line in lines[:-1])
    heading = next(line for line in lines if line.startswith("#")).split()
    assert heading[:5] == ["#", "method", "total", "head", "tail"]
    for score in ("71.33", "± 3.79"):
        assert any(score in line for line in lines), lines


def test_what_has_no_room_is_named_and_what_has_is_shown(monkeypatch: pytest.MonkeyPatch, seeds: Path) -> None:
    wide = printed(monkeypatch, seeds, 160)
    assert "71.33 ± 3.79" in next(line for line in wide if "linear-probe-lbfgs" in line)
    assert next(line for line in wide if line.startswith("#")).split()[-4:] == ["n", "params", "train", "s"]
    assert not any("No room here" in line for line in wide)
    narrow = printed(monkeypatch, seeds, 80)
    left_out = [name for name in ("train s", "params") if name not in next(x for x in narrow if x.startswith("#"))]
    assert left_out
    said = next(line for line in narrow if line.startswith("No room here for "))
    assert all(name in said for name in left_out)
    assert said.endswith("; --format csv has all.")


def test_a_terminal_too_narrow_for_any_table_breaks_no_name(monkeypatch: pytest.MonkeyPatch, seeds: Path) -> None:
    lines = printed(monkeypatch, seeds, 30)
    assert next(line for line in lines if line.startswith("#")).split() == ["#", "method", "total"]
    assert any(line.split()[1:2] == ["semantic-consistency"] for line in lines)


def test_names_of_runs_that_do_not_rank_stay_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    facts = b.method_facts(name="linear-probe-robust-to-noise")
    failed = b.failure(method=facts, reason="RuntimeError: a long reason, which may well be folded over lines", seed=1)
    put(tmp_path, *r.runs("lmpt", 70.0, 71.0), failed, b.record(method=facts, limit=100))
    lines = printed(monkeypatch, tmp_path, 80)
    assert max(map(len, lines)) <= 80
    assert sum("linear-probe-robust-to-noise" in line for line in lines) == 2


def test_a_run_shows_its_classes_with_group_and_positives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ltbench.cli.commands.show import run as show_run

    record = next(path for path in sorted((LEADERBOARDS / "shapes-lt" / "v1" / "records").glob("all-lmpt-s0-*.json")))
    monkeypatch.setenv("COLUMNS", "80")
    said = CliRunner().invoke(show_run, [str(record)])
    assert said.exit_code == 0, said.output
    (crown,) = [line.split() for line in said.stdout.splitlines() if line.startswith("crown")]
    assert (crown[1], crown[3:]) == ("tail", ["8", "206"])
    told = json.loads(CliRunner().invoke(show_run, [str(record), "--json"]).stdout)
    (entry,) = [entry for entry in told["classes"] if entry["class"] == "crown"]
    assert entry == {
        "class": "crown",
        "group": "tail",
        "ap": told["per_class_ap"]["crown"],
        "train_positives": 8,
        "test_positives": 206,
    }
    # A task that is not installed here: averages alone.
    path = tmp_path / "record.json"
    path.write_text(b.record().to_json(), encoding="utf-8")
    said = CliRunner().invoke(show_run, [str(path)])
    assert "Average precision by class" in said.stdout
    assert "positives" not in said.stdout
