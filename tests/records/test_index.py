"""The index of records: looked at, not believed; started again where it is damaged; two processes at once."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from pathlib import Path

import pytest

from ltbench.records import read
from ltbench.records.index import RecordIndex
from ltbench.records.read import all_records, all_summaries
from records import builders as b

HOUR = 3600


def put(folder: Path, *seeds: int) -> list[Path]:
    """Records an hour old, so that the index takes them."""
    paths = []
    for seed in seeds:
        path = folder / "runs" / f"{seed:02d}" / "record.json"
        path.parent.mkdir(parents=True)
        path.write_text(b.record(seed=seed).to_json(), encoding="utf-8")
        age(path, HOUR)
        paths.append(path)
    return paths


def age(path: Path, seconds: int) -> None:
    now = path.stat().st_mtime
    os.utime(path, (now - seconds, now - seconds))


@pytest.fixture
def index(tmp_path: Path) -> RecordIndex:
    return RecordIndex(tmp_path / "cache" / "records.sqlite")


def seeds(folder: Path, index: RecordIndex) -> list[int]:
    return [summary["seed"] for _, summary in all_summaries([folder / "runs"], index).summaries]


def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Files that are read from now on, each with how: its bytes, then in full unless it is the record seen before."""
    done: list[tuple[str, str]] = []
    content, full = read._content, read._record

    def noted(path: Path) -> bytes:
        done.append((path.parent.name, "bytes"))
        return content(path)

    def noted_full(path: Path, found: bytes) -> object:
        done.append((path.parent.name, "in full"))
        return full(path, found)

    monkeypatch.setattr(read, "_content", noted)
    monkeypatch.setattr(read, "_record", noted_full)
    return done


def test_files_that_did_not_change_are_not_read_again(
    tmp_path: Path, index: RecordIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, 0, 1, 2)
    plain = all_summaries([tmp_path / "runs"])
    whole = all_records([tmp_path / "runs"])
    assert not index.path.exists()
    done = reads(monkeypatch)
    assert all_summaries([tmp_path / "runs"], index) == plain
    assert done == [(name, how) for name in ("00", "01", "02") for how in ("bytes", "in full")]
    done.clear()
    assert all_summaries([tmp_path / "runs"], index) == plain
    assert done == []
    assert all_records([tmp_path / "runs"], index) == whole
    assert done == [("00", "bytes"), ("01", "bytes"), ("02", "bytes")]


def test_a_file_that_changed_is_read_and_one_that_is_gone_is_forgotten(tmp_path: Path, index: RecordIndex) -> None:
    first, second, third = put(tmp_path, 0, 1, 2)
    assert seeds(tmp_path, index) == [0, 1, 2]
    first.write_text(b.record(seed=7).to_json(), encoding="utf-8")  # same size, another time
    second.unlink()
    assert seeds(tmp_path, index) == [7, 2]
    age(first, HOUR // 2)
    assert seeds(tmp_path, index) == [7, 2]
    with sqlite3.connect(index.path) as base:
        known = {Path(row[0]).parent.name for row in base.execute("SELECT path FROM files")}
    assert known == {"00", "02"}
    assert third.exists()


@pytest.mark.parametrize(
    ("was", "made", "said"),
    [
        ('"threads": 1', '"threads": 0', "threads"),
        ('"platform": "Linux x86_64"', '"platform": "/home/x86_64"', "platform holds a file path"),
        ('"leaf"', '"l\\u0"', "damaged"),
    ],
)
def test_other_bytes_of_the_same_size_and_time_are_read_in_full(
    tmp_path: Path, index: RecordIndex, was: str, made: str, said: str
) -> None:
    (path,) = put(tmp_path, 0)
    seeds(tmp_path, index)
    status = path.stat()
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, made), encoding="utf-8")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    (problem,) = all_records([tmp_path / "runs"], index).problems
    assert said in problem.message


def test_a_hash_that_somebody_put_into_the_index_saves_no_field_its_check(tmp_path: Path, index: RecordIndex) -> None:
    (path,) = put(tmp_path, 0)
    seeds(tmp_path, index)
    status = path.stat()
    path.write_text(path.read_text().replace('"threads": 1', '"threads": 0'), encoding="utf-8")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with sqlite3.connect(index.path) as base:
        base.execute("UPDATE files SET sha256 = ?", [hashlib.sha256(path.read_bytes()).hexdigest()])
    (problem,) = all_records([tmp_path / "runs"], index).problems
    assert "threads" in problem.message


def test_a_file_that_was_only_just_written_is_not_indexed(
    tmp_path: Path, index: RecordIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs" / "new" / "record.json"
    path.parent.mkdir(parents=True)
    path.write_text(b.record(seed=5).to_json(), encoding="utf-8")
    done = reads(monkeypatch)
    assert seeds(tmp_path, index) == seeds(tmp_path, index) == [5]
    assert done.count(("new", "in full")) == 2


def test_damaged_records_are_named_each_time_and_the_rest_works(tmp_path: Path, index: RecordIndex) -> None:
    paths = put(tmp_path, *range(8))
    for path in paths[:5]:
        path.write_text("{", encoding="utf-8")
        age(path, HOUR)
    for _ in range(2):
        found = all_summaries([tmp_path / "runs"], index)
        assert [summary["seed"] for _, summary in found.summaries] == [5, 6, 7]
        assert len(found.problems) == 5
        assert all(str(path) in problem.message for path, problem in zip(paths, found.problems, strict=False))


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"", b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_damaged_index_is_made_anew(tmp_path: Path, index: RecordIndex, content: bytes) -> None:
    put(tmp_path, 0, 1)
    index.path.parent.mkdir()
    index.path.write_bytes(content)
    for _ in range(3):
        assert seeds(tmp_path, index) == [0, 1]
    with sqlite3.connect(index.path) as base:
        assert base.execute("SELECT COUNT(*) FROM files").fetchone() == (2,)


def test_entries_that_say_less_and_those_of_another_version_do_not_count(tmp_path: Path, index: RecordIndex) -> None:
    put(tmp_path, 0)
    seeds(tmp_path, index)
    with sqlite3.connect(index.path) as base:
        base.execute("UPDATE files SET summary = '{\"seed\": 99}'")
    assert seeds(tmp_path, index) == [0]
    with sqlite3.connect(index.path) as base:
        base.execute("UPDATE files SET summary = replace(summary, '\"seed\": 0', '\"seed\": 99')")
        base.execute("PRAGMA user_version = 77")
    assert seeds(tmp_path, index) == [0]
    assert seeds(tmp_path, index) == [0]


def test_an_index_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    put(tmp_path, 0)
    (tmp_path / "file").write_text("")
    assert seeds(tmp_path, RecordIndex(tmp_path / "file" / "records.sqlite")) == [0]


def test_several_readers_at_once_find_the_same(tmp_path: Path, index: RecordIndex) -> None:
    put(tmp_path, *range(12))
    found: list[list[int]] = []
    threads = [threading.Thread(target=lambda: found.append(seeds(tmp_path, index))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [list(range(12))] * 4
    assert seeds(tmp_path, index) == list(range(12))


def test_few_files_leave_the_cache_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path / "cache"))
    put(tmp_path, 0, 1)
    all_summaries([tmp_path / "runs"])
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr(read, "WORTH", 2)
    all_summaries([tmp_path / "runs"])
    assert (tmp_path / "cache" / "records.sqlite").exists()
