"""``ltbench compare``: two rows against each other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from records import builders as b

from ltbench.metrics.misplaced import misplaced
from ltbench.records.record import RunRecord
from ltbench.tasks.task import Task
from ltbench.tasks.views import Truth, open_truth
from tests.cli.conftest import Cli

TRUTH = open_truth(b.task(), b.data_set())


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two methods with three seeds each, one of them in two variants; a third with one seed; one without logits."""

    def opener(record: RunRecord) -> tuple[Task, Truth]:
        return b.task(), TRUTH

    monkeypatch.setattr("ltbench.records.verify.open_registered", lambda root: opener)
    out = tmp_path / "runs"
    many = [("lmpt", "paper", 1.5, 3), ("coop", "paper", 0.5, 3), ("coop", "code", 0.4, 3), ("single", "paper", 0.1, 1)]
    for name, variant, skill, seeds in [*many, ("bare", "paper", 1.0, 1)]:
        for seed in range(seeds):
            folder = out / f"{name}-{variant}" / str(seed)
            folder.mkdir(parents=True)
            b.run_on_disk(folder, seed=seed, skill=skill, method=b.method_facts(name=name, variant=variant))
    (out / "bare-paper" / "0" / "logits.safetensors").unlink()
    return out


def document(cli: Cli, runs: Path, *names: str) -> dict[str, object]:
    said = cli("compare", *names, "--records", str(runs), "--json")
    assert said.code == 0, said.err
    found: dict[str, object] = json.loads(said.out)
    return found


def test_overall_by_group_by_class_and_by_row(cli: Cli, runs: Path) -> None:
    found = document(cli, runs, "lmpt", "coop (code)", "--task", "toy-lt")
    assert (found["a"], found["b"], found["seeds"], found["paired"]) == ("lmpt", "coop (code)", [[0, 1, 2]] * 2, True)
    assert found["unequal"] == []
    records = {
        side: [json.loads((runs / side / str(seed) / "record.json").read_text()) for seed in range(3)]
        for side in ("lmpt-paper", "coop-code")
    }
    a, c = (np.mean([one["scores"]["mAP"]["total"] for one in records[side]]) for side in records)
    overall = found["overall"]
    assert overall["value"] == pytest.approx(a - c)  # type: ignore[index]
    assert overall["low"] > 0  # type: ignore[index]
    assert overall["separated"] is True  # type: ignore[index]
    assert [gap["name"] for gap in found["groups"]] == ["head", "medium", "tail"]  # type: ignore[attr-defined]
    classes = {gap["name"]: gap for gap in found["classes"]}  # type: ignore[attr-defined]
    assert set(classes) == set(b.CLASSES)
    assert (classes["leaf"]["value"], classes["leaf"]["separated"]) == (None, False), "no test row shows a leaf"
    ap = [np.mean([one["per_class_ap"]["drum"] for one in records[side]]) for side in records]
    assert classes["drum"]["value"] == pytest.approx(ap[0] - ap[1])
    rows = found["rows"]
    errors = [
        np.mean([misplaced(b.logits_for(TRUTH, seed, skill), TRUTH.labels) for seed in range(3)], axis=0)
        for skill in (1.5, 0.4)
    ]
    most = int(np.argmax(np.abs(errors[0] - errors[1])))
    assert len(rows) == 10  # type: ignore[arg-type]
    assert rows[0]["id"] == TRUTH.ids[most]  # type: ignore[index]
    assert rows[0]["value"] == pytest.approx(errors[0][most] - errors[1][most])  # type: ignore[index]
    assert rows[0]["labels"] == [  # type: ignore[index]
        name for name, label in zip(b.CLASSES, TRUTH.labels[most], strict=True) if label == 1
    ]


def test_turned_round_signs_turn(cli: Cli, runs: Path) -> None:
    there, back = (
        document(cli, runs, *names, "--task", "toy-lt") for names in (("lmpt", "single"), ("single", "lmpt"))
    )
    assert there["overall"]["value"] == pytest.approx(-back["overall"]["value"])  # type: ignore[index]
    assert there["overall"]["low"] is None  # type: ignore[index]
    assert [row["id"] for row in there["rows"]] == [row["id"] for row in back["rows"]]  # type: ignore[attr-defined]


def test_rows_are_named_by_folder_record_and_key(cli: Cli, runs: Path) -> None:
    record = runs / "lmpt-paper" / "0" / "record.json"
    key = json.loads(record.read_text())["key"][:12]
    by_path = document(cli, runs, str(record), str(runs / "coop-code"))
    by_key = document(cli, runs, key, str(runs / "coop-code"))
    assert by_path == by_key
    assert by_path["seeds"] == [[0], [0, 1, 2]]
    assert by_path["paired"] is False


def test_what_is_printed(cli: Cli, runs: Path) -> None:
    said = cli("compare", "lmpt", "coop (code)", "--records", str(runs), "--top", "2")
    assert said.code == 0
    text = " ".join(said.out.split())
    assert said.out.startswith("toy-lt: lmpt minus coop (code), in percentage points\n")
    assert "lmpt is separably better, looking at this pair alone. Over differences seed by seed" in text
    assert len([line for line in said.out.splitlines() if line.startswith("test-")]) == 2
    single = " ".join(cli("compare", "lmpt", "single", "--records", str(runs)).out.split())
    assert "One seed says nothing about others: not separated." in single


ERRORS = {
    "unknown": (
        ("lmpt", "coap"),
        "no completed run of 'coap' in runs; there are bare, coop, lmpt, single → ltbench run ",
    ),
    "no logits": (
        ("lmpt", "bare"),
        "no logits of bare lie beside its records → ltbench run --task toy-lt --method bare ",
    ),
    "same": (("lmpt", "lmpt"), "'lmpt' and 'lmpt' are the same row → ltbench leaderboard --records runs"),
    "no runs": (
        ("lmpt", "coop (code)", "--task", "toy"),
        "no completed run of 'lmpt' on toy in runs; there are no runs → ",
    ),
}


@pytest.mark.parametrize("case", list(ERRORS))
def test_errors_are_one_line_with_the_next_command(cli: Cli, runs: Path, case: str) -> None:
    arguments, says = ERRORS[case]
    said = cli("compare", *arguments, "--records", "runs")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"error: {says}"), said.err
    assert len(said.err.splitlines()) == 1


def test_rows_of_two_tasks_and_ambiguous_names_are_refused(cli: Cli, runs: Path) -> None:
    for number, setting in enumerate(("mr40", "mr50")):
        folder = runs / "other" / str(number)
        folder.mkdir(parents=True)
        of = b.task(name="toy-plt", setting=setting)
        b.run_on_disk(folder, of=of, method=b.method_facts(name="comic", config={"k": number}))
    said = cli("compare", "lmpt", "comic", "--records", "runs", "--task", "toy-plt@mr40")
    assert said.err.startswith("error: no completed run of 'lmpt' on toy-plt@mr40")
    said = cli("compare", "lmpt", "comic", "--records", "runs")
    assert said.err == (
        "error: 'comic' has rows on toy-plt@mr40, toy-plt@mr50 → ltbench compare … --task toy-plt@mr40\n"
    )
    said = cli("compare", "lmpt", "runs/other/0", "--records", "runs")
    assert said.err.startswith(
        "error: lmpt ran on toy-lt version 1, comic on toy-plt@mr40 version 1 → ltbench run --task "
    )
    folder = runs / "again"
    folder.mkdir()
    b.run_on_disk(folder, seed=5, method=b.method_facts(name="lmpt", variant="code", config={"k": 1}))
    b.run_on_disk(folder, seed=5, method=b.method_facts(name="lmpt", config={"k": 1}))
    said = cli("compare", "lmpt", "single", "--records", "runs")
    assert said.err.startswith("error: 'lmpt' fits 2 rows: lmpt [")
