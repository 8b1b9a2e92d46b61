"""How long a run takes: measured on a few rows, else as runs like it took, and said which."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ltbench.engine.shipped import Cost, as_one, document_of, shipped
from ltbench.plugin.manager import registry
from tests.cli.conftest import Cli

SMALL = ("--backbone", "timm:test_resnet.r160_in1k", "--weights", "random")


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path / "cache"))
    for name in ("LTBENCH_MIRROR", "LTBENCH_OFFLINE", "LTBENCH_DATA", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return tmp_path


def test_a_run_whose_data_are_not_here_is_measured_on_drawn_rows(cli: Cli, empty: Path) -> None:
    how = ("run", "--task", "voc-lt", "--method", "linear-probe", *SMALL, "-o", "epochs=7", "-o", "batch_size=16")
    said = cli(*how, "--measure", "--dry-run", "--json")
    assert said.code == 0, said.err
    (plan,) = json.loads(said.out)
    found = plan["measured"]
    assert found["what"].startswith("drawn photographs of 500 x 375")
    # 1142 training rows make 72 steps of 16 an epoch.
    assert found["steps"] == {"train": 72 * 7}
    assert found["train_seconds"] == pytest.approx(found["step_seconds"]["train"] * 72 * 7)
    # 1142 training images as they are, and 4952 test images.
    assert found["encode_seconds"] == pytest.approx(found["image_seconds"] * (1142 + 4952))
    parts = found["encode_seconds"] + found["train_seconds"] + found["answer_seconds"]
    assert found["seconds"] == pytest.approx(parts)
    assert min(found["image_seconds"], found["step_seconds"]["train"], found["answer_seconds"]) > 0
    assert not found["at_most"]
    assert list(empty.iterdir()) == [], "nothing is left anywhere"
    said = cli("run", "--task", "voc-lt", "--method", "erm", *SMALL, "-o", "epochs=2", "--measure", "--dry-run")
    line = next(line for line in said.err.splitlines() if line.startswith("  takes "))
    assert ", extrapolated: encoding 0.0 s, training " in line
    assert "measured on this machine (cpu) with drawn photographs of 500 x 375" in line
    assert "a step of " in line


def test_a_run_says_what_was_measured_before_it_starts(cli: Cli) -> None:
    how = ("--task", "shapes-micro", "--method", "linear-probe", "--backbone", "tiny-clip", "-o", "epochs=2")
    said = cli("run", *how, "--measure", "--json")
    assert said.code == 0, said.err
    lines = said.err.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("  takes about "))
    assert "measured on this machine (cpu) with rows of its own: an image encoded in " in lines[at]
    assert any("judging" in line for line in lines[at + 1 :]), "the run came after"
    # A search of the same says what its trials take, and that it tries none.
    said = cli("tune", *how, "--trials", "3", "--seconds", "60", "--dry-run", "--json")
    assert said.code == 0, said.err
    document = json.loads(said.out)
    assert (document["trials"], document["seconds_at_most"]) == (3, 180)
    assert document["expected"]["source"] == "on this machine, in ltbench-runs"
    assert document["seconds"] == pytest.approx(3 * sum(document["expected"][f"{part}_seconds"] for part in PARTS))
    assert not Path("ltbench-runs", "tuning").exists()
    # Other options of the same recipe: said so; a sweep of what is recorded takes no time.
    said = cli("run", *how[:-1], "epochs=3", "--dry-run")
    assert ", as a run did on this machine, in ltbench-runs, with other options" in said.err
    said = cli("sweep", "--tasks", "shapes-micro", "--methods", "linear-probe", "--seeds", "0,1", "--dry-run")
    assert "the sweep: 2 runs\n" in said.err


PARTS = ("encode", "train", "evaluate")


def test_a_search_that_cannot_start_lists_what_is_missing(cli: Cli) -> None:
    said = cli("tune", "--task", "voc-lt", "--method", "lmpt", "--trials", "2", "--offline")
    assert said.code == 2
    assert said.err.splitlines()[-1].startswith("error: tuning lmpt on voc-lt cannot start: 4 things that it needs")


def test_times_are_shipped_with_the_package() -> None:
    boards = Path(__file__).resolve().parents[2] / "leaderboards"
    tasks = {folder.parent.parent.name for folder in boards.glob("*/v1/records")}
    assert tasks
    for name in tasks & {item.spec.name for item in registry().tasks}:
        spec = registry().tasks.get(name).spec
        backbone = "lite0-minilm" if name.startswith("photos-") else "tiny-clip"
        known = [(setting, method) for setting in spec.settings or (None,) for method in ("zero-shot", "dualcoop")]
        assert any(shipped(name, 1, setting, method, backbone) for setting, method in known)
    assert shipped("shapes-lt", 1, None, "no-such-method", "tiny-clip") == []


def test_a_frozen_tower_tells_nothing_of_a_trained_one(cli: Cli) -> None:
    # `rw` stands on the board with a frozen tower alone, `erm` with both.
    rw = ("run", "--task", "photos-lt", "--method", "rw", "--backbone", "lite0", "--dry-run")
    frozen = cli(*rw)
    assert "in the times that ltbench ships" in frozen.err, frozen.err
    trained = cli(*rw, "--preset", "none")
    assert "takes nobody knows how long" in trained.err, trained.err
    took = [
        [cost.train for cost in shipped("photos-lt", 1, None, name, "lite0") if cost.train is not None]
        for name in ("erm (frozen)", "erm")
    ]
    assert min(took[1]) > 20 * max(took[0])
    # Nor do runs of one's own.
    here = ("run", "--task", "shapes-micro", "--method", "erm", "--weights", "random", "-o", "epochs=1")
    assert cli(*here, "-o", "tower=frozen").code == 0
    assert "with other options" in cli(*here, "-o", "tower=frozen", "-o", "head_lr=0.02", "--dry-run").err
    assert "takes nobody knows how long" in cli(*here, "--dry-run").err


def test_records_become_times(tmp_path: Path) -> None:
    boards = Path(__file__).resolve().parents[2] / "leaderboards"
    paths = sorted((boards / "shapes-lt" / "v1" / "records").glob("*lmpt-s*.json"))
    records = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    document = document_of(paths)
    for row in document["rows"]:
        device = document["devices"][row[6]]
        costs = [r["cost"] for r in records if r["cost"]["device"] == device and r["method"]["name"] == row[3]]
        assert row[7] == len(costs)
        assert row[8] == max(cost["encode_seconds"] for cost in costs)
        assert row[11] == max(cost["peak_memory_bytes"] for cost in costs)
    few = [
        Cost(1, "cpu", "x", 9.0, 1.0, None, 5),
        Cost(1, "cpu", "x", 0.0, 3.0, 2.0, 7),
        Cost(1, "cpu", "x", 0.1, 8.0, 4.0, None),
    ]
    assert as_one(few) == Cost(3, "cpu", "x", 9.0, 3.0, 3.0, 7)
