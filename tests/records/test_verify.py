from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltbench.plugin.errors import UserError
from ltbench.records.canonical import canonical_json
from ltbench.records.logits import write_logits
from ltbench.records.record import RunRecord, document_sha256
from ltbench.records.verify import VerifyReport, verify
from ltbench.tasks.task import Task
from ltbench.tasks.views import Truth, open_truth
from records import builders as b


def opener(record: RunRecord, seed: int = 0) -> tuple[Task, Truth]:
    task = b.task()
    if record.task.address != task.address:
        raise UserError(f"unknown task {record.task.address!r}", "ltbench list tasks")
    return task, open_truth(task, b.data_set(seed))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> b.Run:
    return b.run_on_disk(tmp_path_factory.mktemp("run"))


@pytest.fixture
def copied(run: b.Run, tmp_path: Path) -> Path:
    """The record's file beside its logits, free to be altered."""
    shutil.copytree(run.folder, tmp_path / "copy")
    return tmp_path / "copy" / "record.json"


def check(path: Path, *dirs: Path) -> VerifyReport:
    return verify(path, opener, dirs, replicates=b.REPLICATES)


def test_an_honest_record_passes(run: b.Run) -> None:
    report = check(run.path)
    assert report.problems == []
    assert report.ok
    assert report.checked == [
        "schema",
        "canonical text",
        "record hash",
        "run key",
        "task",
        "fingerprints",
        "logits",
        "alignment",
        "scores",
        "intervals",
        "per_class_ap",
        "excluded_classes",
    ]


def test_logits_are_found_in_the_usual_places(run: b.Run, tmp_path: Path) -> None:
    content = (run.folder / "logits.safetensors").read_bytes()
    sha16 = (run.record.logits or pytest.fail("no logits")).sha256[:16]
    board = tmp_path / "board" / "records" / "all-coop-s0.json"
    board.parent.mkdir(parents=True)
    shutil.copy(run.path, board)
    without = check(board)
    assert (without.ok, without.verdict, without.problems) == (False, "unscored", [])
    assert "were not found" in without.absent
    bundle = tmp_path / "bundle"
    for place in (
        board.with_suffix(".safetensors"),
        tmp_path / "board" / "logits" / f"{sha16}.safetensors",
        bundle / f"{sha16}.safetensors",
    ):
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content)
        assert check(board, bundle).ok
        place.unlink()
    assert not check(board, bundle).ok
    # A folder of runs is searched at any depth, by the hash alone.
    assert check(board, run.folder.parent).ok


def leaves(value: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every numeric leaf of a record."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*where, key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield where


def alter(document: dict[str, Any], where: tuple[Any, ...]) -> dict[str, Any]:
    """Change one digit of one number: the last decimal of a float, the last digit of an integer."""
    changed = copy.deepcopy(document)
    holder: Any = changed
    for key in where[:-1]:
        holder = holder[key]
    text = repr(holder[where[-1]])
    digit = "1" if text[-1] != "1" else "2"
    holder[where[-1]] = type(holder[where[-1]])(text[:-1] + digit)
    assert holder[where[-1]] != float(text)
    return changed


RECOMPUTED = ("scores", "intervals", "per_class_ap")


def test_any_altered_digit_is_caught(run: b.Run, copied: Path) -> None:
    document = json.loads(run.path.read_text())
    places = list(leaves(document))
    assert {place[0] for place in places} >= {"scores", "intervals", "per_class_ap", "cost", "seed", "threads"}
    for place in places:
        changed = alter(document, place)
        copied.write_text(canonical_json(changed))
        problems = "\n".join(check(copied).problems)
        assert problems, place
        if place[0] in RECOMPUTED:
            names = ".".join(str(part) for part in place[: 3 if place[0] != "per_class_ap" else 2])
            assert f"{names}: stored" in problems, place
            assert "recomputed" in problems


def test_a_forger_who_fixes_the_hash_is_caught_where_it_counts(run: b.Run, copied: Path) -> None:
    document = json.loads(run.path.read_text())
    for place in leaves(document):
        if place[0] not in (*RECOMPUTED, "seed", "threads", "task", "logits"):
            continue
        changed = alter(document, place)
        changed["record_sha256"] = document_sha256(changed)
        copied.write_text(canonical_json(changed))
        report = check(copied)
        assert not report.ok, place
        assert not any("record_sha256" in problem for problem in report.problems)
        name = {"seed": "key", "threads": "key"}.get(place[0], place[0])
        assert any(problem.startswith(name) for problem in report.problems), (place, report.problems)


def test_the_report_names_figure_stored_and_recomputed(run: b.Run, copied: Path) -> None:
    document = json.loads(run.path.read_text())
    true = document["scores"]["mAP"]["total"]
    document["scores"]["mAP"]["total"] = 99.0
    copied.write_text(canonical_json(document))
    assert f"scores.mAP.total: stored 99.0, recomputed {true}" in check(copied).problems


def test_swapped_logits_are_caught_and_named(run: b.Run, copied: Path) -> None:
    truth = run.truth
    write_logits(copied.parent / "logits.safetensors", b.logits_for(truth, seed=9), truth.ids, truth.class_names)
    problems = check(copied).problems
    assert problems[0].startswith("logits: logits.safetensors has sha256 ")
    assert run.record.logits is not None
    assert run.record.logits.sha256 in problems[0]
    assert any(problem.startswith("scores.mAP.total: stored") for problem in problems)


def test_swapped_logits_with_a_forged_hash_are_caught(run: b.Run, copied: Path) -> None:
    truth = run.truth
    path = copied.parent / "logits.safetensors"
    document = json.loads(copied.read_text())
    document["logits"]["sha256"] = write_logits(path, b.logits_for(truth, seed=9), truth.ids, truth.class_names)
    document["record_sha256"] = document_sha256(document)
    copied.write_text(canonical_json(document))
    problems = check(copied).problems
    assert any(problem.startswith("scores.mAP.total: stored") for problem in problems)
    assert all(problem.startswith(("scores", "intervals", "per_class_ap")) for problem in problems)


@pytest.mark.parametrize(
    ("rows", "columns", "says"),
    [
        (slice(None, None, -1), slice(None), "other test rows"),
        (slice(None), slice(None, None, -1), "other classes"),
        (slice(0, 50), slice(None), "logits are 50 x 5 but the task has 60 x 5"),
    ],
)
def test_misaligned_logits_are_named(run: b.Run, copied: Path, rows: slice, columns: slice, says: str) -> None:
    truth = run.truth
    logits = np.ascontiguousarray(b.logits_for(truth)[rows, columns])
    path = copied.parent / "logits.safetensors"
    write_logits(path, logits, truth.ids[rows], truth.class_names[columns])
    assert any(says in problem for problem in check(copied).problems)


def test_damaged_logits_are_named(copied: Path) -> None:
    path = copied.parent / "logits.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    assert any("damaged" in problem for problem in check(copied).problems)


def test_other_data_show_both_hashes_and_the_likely_cause(run: b.Run) -> None:
    report = verify(run.path, lambda record: opener(record, seed=3), replicates=b.REPLICATES)
    (line,) = [problem for problem in report.problems if problem.startswith("task.fingerprints.test_labels")]
    stored = run.task.fingerprints.test_labels
    found = open_truth(b.task(), b.data_set(3)).fingerprints.test_labels
    assert stored is not None
    assert found is not None
    assert stored in line
    assert found in line
    assert "likely" in line


def test_a_fingerprint_left_out_or_invented_is_named(run: b.Run, copied: Path) -> None:
    document = json.loads(copied.read_text())
    document["task"]["fingerprints"]["test_ids"] = None
    document["task"]["fingerprints"]["luck"] = "0" * 64
    copied.write_text(canonical_json(document))
    problems = check(copied).problems
    assert f"task.fingerprints.test_ids: stored None, rebuilt {run.task.fingerprints.test_ids}" in problems
    assert "task.fingerprints.luck: no fingerprint of that name" in problems


@pytest.mark.parametrize(
    ("field", "value"), [("family", "plt"), ("headline", "CF1"), ("ranked", False), ("version", 2), ("contract", 2)]
)
def test_a_task_stated_wrongly_is_named(copied: Path, field: str, value: object) -> None:
    document = json.loads(copied.read_text())
    document["task"][field] = value
    copied.write_text(canonical_json(document))
    assert any(problem.startswith(f"task.{field}: stored {value!r}") for problem in check(copied).problems)


def test_text_that_was_edited_by_hand_is_caught(run: b.Run, copied: Path) -> None:
    text = copied.read_text()
    for edited in (
        text.replace('"seed": 0', '"seed":  0'),
        text.replace('"seed": 0', '"seed": 0.0'),
        text.replace('"seed": 0', '"seed": 1,\n "seed": 0'),
        text.rstrip("\n"),
    ):
        copied.write_text(edited)
        assert any("canonical" in problem for problem in check(copied).problems)


def test_figures_left_out_or_invented_are_named(copied: Path) -> None:
    document = json.loads(copied.read_text())
    del document["scores"]["CF1"]["total"], document["intervals"]["CF1"]["total"]
    document["scores"]["luck"] = document["intervals"]["luck"] = {}
    copied.write_text(canonical_json(document))
    problems = check(copied).problems
    assert "scores.CF1.total: missing in the record" in problems
    assert "scores.luck: not a figure of this task" in problems


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "damaged"),
        ("{}", "is no record"),
        ('{"schema_version": 7}', "has schema 7, this ltbench reads 1, 2 and 3"),
        ('{"schema_version": 1}', "key: Field required"),
    ],
)
def test_what_is_no_record_is_said(copied: Path, text: str, says: str) -> None:
    copied.write_text(text)
    report = check(copied)
    assert any(says in problem for problem in report.problems)
    assert report.checked == ["schema"]


def test_unknown_task_and_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    assert "does not exist" in check(path).problems[0]
    path.write_text(b.record(task=b.task_facts(b.task(name="toy-gone"))).to_json())
    assert any("cannot be opened: unknown task 'toy-gone'" in problem for problem in check(path).problems)


def test_a_limited_run_is_verified_on_its_rows(tmp_path: Path) -> None:
    run = b.run_on_disk(tmp_path, limit=40)
    assert run.record.logits is not None
    assert run.record.logits.rows == 40
    assert check(run.path).problems == []


def test_failures_are_verified_without_logits(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(b.failure("diverged").to_json())
    assert check(path).problems == []


def test_decisions_are_checked_where_they_lie(run: b.Run, tmp_path: Path) -> None:
    (tmp_path / "decisions.json").write_text("[]")
    path = tmp_path / "record.json"
    path.write_text(b.failure(decisions="4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945").to_json())
    assert check(path).ok
    (tmp_path / "decisions.json").write_text("[1]")
    assert check(path).problems[0].startswith("decisions: stored 4f53")
