from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ltbench.plugin.errors import UserError
from ltbench.records.read import all_records, load_record
from ltbench.records.store import Overwrite, RunBusyError, RunStore
from records import builders as b

KEY = b.record().key
PLACE = ("toy-lt", "coop", KEY)


def finish(store: RunStore, **changes: object) -> Path:
    with store.begin(*PLACE) as attempt:
        return attempt.write(b.record(attempt=attempt.number, **changes))


def test_layout_and_round_trip(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    assert store.finished(KEY) is None
    assert store.attempts(*PLACE) == []
    with store.begin(*PLACE) as attempt:
        assert attempt.path == tmp_path / "runs" / "toy-lt" / "coop" / KEY[:16] / "attempt-1"
        assert (attempt.number, attempt.resumed) == (1, False)
        path = attempt.write(b.record())
    assert path == attempt.path / "record.json"
    assert load_record(path) == b.record()
    assert store.finished(KEY) == b.record()
    assert [a.number for a in store.attempts(*PLACE)] == [1]


def test_a_record_is_never_rewritten(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    path = finish(store)
    before = path.read_bytes()
    with pytest.raises(UserError, match="never rewritten"):
        store.write(b.record(mAP=99.0))
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["record.json"]


def test_attempts_count_on_and_sort_as_numbers(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    for number in range(1, 12):
        assert finish(store, created=f"2026-03-{number:02d}T00:00:00Z").parent.name == f"attempt-{number}"
    assert [a.number for a in store.attempts(*PLACE)] == list(range(1, 12))
    standing = store.finished(KEY)
    assert standing is not None
    assert standing.attempt == 11


def test_overwrite_policies(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    with store.begin(*PLACE) as attempt:
        attempt.write(b.failure("diverged"))
    assert store.finished(KEY, Overwrite("never")) == b.failure("diverged")
    assert store.finished(KEY, Overwrite("failed")) is None
    finish(store)
    with store.begin(*PLACE) as attempt:
        attempt.write(b.failure(attempt=3))
    for policy in (Overwrite.NEVER, Overwrite.FAILED):
        standing = store.finished(KEY, policy)
        assert standing is not None
        assert (standing.attempt, standing.status) == (2, "completed")
    assert store.finished(KEY, Overwrite.ALWAYS) is None


def test_a_record_of_other_code_does_not_stand_for_a_run(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    finish(store)
    mine = b.record().method.code_sha256
    assert mine is not None
    assert store.finished(KEY, code=mine) == b.record()
    assert store.finished(KEY, code="f" * 64) is None
    assert store.finished(KEY) == b.record()


def test_what_other_code_left_half_done_is_not_gone_on_with(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    first, second = "a" * 64, "b" * 64
    with store.begin(*PLACE, code=first) as attempt:
        attempt.checkpoints.mkdir()
        (attempt.checkpoints / "stage-0.pt").write_text("weights")
        attempt.log.write_text("{}")
    with store.begin(*PLACE, code=first) as attempt:
        assert (attempt.number, attempt.resumed) == (1, True)
    with store.begin(*PLACE, code=second) as attempt:
        assert (attempt.number, attempt.resumed) == (1, False)
        assert not attempt.checkpoints.exists()
        assert not attempt.log.exists()
        attempt.discard_empty()
    assert store.attempts(*PLACE) == []


def test_finished_compares_the_whole_key(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    finish(store)
    assert store.finished(KEY[:16] + "0" * 48) is None


def test_an_interrupted_attempt_is_resumed(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    with store.begin(*PLACE) as attempt:
        attempt.log.write_text("{}\n")
    with store.begin(*PLACE) as attempt:
        assert (attempt.number, attempt.resumed) == (1, False)
        attempt.checkpoints.mkdir()
    with store.begin(*PLACE) as attempt:
        assert (attempt.number, attempt.resumed) == (1, False)
        (attempt.checkpoints / "epoch-3.pth").write_bytes(b"state")
    assert store.attempts(*PLACE)[0].resumable
    with store.begin(*PLACE) as attempt:
        assert (attempt.number, attempt.resumed) == (1, True)
        attempt.write(b.record())
    with store.begin(*PLACE) as attempt:
        assert (attempt.number, attempt.resumed) == (2, False)


def test_two_processes_never_run_one_key(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    code = (
        "import sys; from pathlib import Path; from ltbench.records.store import RunStore\n"
        "attempt = RunStore(Path(sys.argv[1])).begin(*sys.argv[2:])\n"
        "print('begun', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), *PLACE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"begun\n"
        with pytest.raises(RunBusyError, match="another process is running coop on toy-lt"):
            store.begin(*PLACE)
        store.begin("toy-lt", "coop", "1" * 64).close()
    finally:
        other.kill()
        other.wait()
    with store.begin(*PLACE) as attempt:
        assert attempt.number == 1


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file, not a folder")
    with pytest.raises(UserError, match="could not write toy-lt/coop"):
        RunStore(tmp_path / "runs").begin(*PLACE)


def test_all_records_reads_any_depth_and_reports_the_rest(tmp_path: Path) -> None:
    path = finish(RunStore(tmp_path / "a" / "b"))
    (path.parent / "decisions.json").write_text("[]")
    board = tmp_path / "boards" / "toy-lt" / "v1" / "records"
    board.mkdir(parents=True)
    (board / "all-coop-s1.json").write_text(b.record(seed=1).to_json())
    (board / "broken.json").write_text('{"schema_version": 1, ')
    (board / "newer.json").write_text(json.dumps({"schema_version": 4, "environment": {"ltbench": "3.1"}}))
    (board / "other.json").write_text("[1]")
    document = json.loads(b.record(seed=2).to_json())
    (board / "field.json").write_text(json.dumps({**document, "seed": "two"}))
    (board / "nan.json").write_text('{"schema_version": 1, "seed": NaN}')
    found = all_records([tmp_path, tmp_path / "a", tmp_path / "nowhere"])
    assert [(f.path, f.record.seed) for f in found.records] == [(path, 0), (board / "all-coop-s1.json", 1)]
    said = "\n".join(str(problem) for problem in found.problems)
    assert len(found.problems) == 6
    for words in (
        "broken.json is damaged",
        "newer.json has schema 4, this ltbench reads 1, 2 and 3 → pip install ltbench==3.1",
        "other.json is no record",
        "field.json: seed: Input should be a valid integer",
        "nan.json is damaged (NaN is no JSON)",
        "nowhere does not exist",
    ):
        assert words in said
    assert all(problem.hint for problem in found.problems)
    (only,) = all_records([board / "all-coop-s1.json"]).records
    assert only.record.seed == 1


def test_a_missing_record_names_the_next_command(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist → ltbench list runs"):
        load_record(tmp_path / "record.json")
