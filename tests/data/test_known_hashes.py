"""Photographs are hashed once for all processes, and again when they change."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from ltbench.data import known_hashes
from ltbench.data.base import FileImages


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """300 files of a minute ago, and an empty cache."""
    monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(known_hashes, "_folders", {})
    (tmp_path / "photos").mkdir()
    paths = [tmp_path / "photos" / f"{number}.jpg" for number in range(300)]
    for number, path in enumerate(paths):
        path.write_bytes(f"picture {number}".encode())
        os.utime(path, (time.time() - 60,) * 2)
    return paths


def _hashes(paths: list[Path]) -> list[str]:
    images = FileImages(paths)
    return [images.sha256(row) for row in range(len(paths))]


def _another_process(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Forget what this process knows; names of the files that are read from then on."""
    known_hashes.remember()
    monkeypatch.setattr(known_hashes, "_folders", {})
    read: list[str] = []
    true = hashlib.file_digest

    def counted(file: object, kind: str) -> object:
        read.append(Path(file.name).name)  # type: ignore[attr-defined]
        return true(file, kind)  # type: ignore[arg-type]

    monkeypatch.setattr(known_hashes.hashlib, "file_digest", counted)
    return read


def test_another_process_reads_none_of_them(photographs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    first = _hashes(photographs)
    assert first == [hashlib.sha256(path.read_bytes()).hexdigest() for path in photographs]
    read = _another_process(monkeypatch)
    assert _hashes(photographs) == first
    assert read == []


def test_what_changed_is_read_again(photographs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    first = _hashes(photographs)
    read = _another_process(monkeypatch)
    # The same size: the time stamp alone tells.
    photographs[7].write_bytes(b"Picture 7")
    again = _hashes(photographs)
    assert read == ["7.jpg"]
    assert again[7] == hashlib.sha256(b"Picture 7").hexdigest()
    assert again[:7] + again[8:] == first[:7] + first[8:]


def test_a_file_that_was_just_written_is_not_trusted_later(
    photographs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs[3].write_bytes(b"new")
    _hashes(photographs)
    read = _another_process(monkeypatch)
    _hashes(photographs)
    assert read == ["3.jpg"]


def test_few_files_and_a_cache_that_cannot_be_used_cost_nothing_but_time(
    photographs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = _hashes(photographs[:20])
    known_hashes.remember()
    assert not list((tmp_path / "cache").rglob("*.json"))
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path / "file"))
    assert _hashes(photographs)[:20] == few
    known_hashes.remember()


def test_a_damaged_file_of_hashes_is_made_again(
    photographs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _hashes(photographs)
    read = _another_process(monkeypatch)
    (place,) = (tmp_path / "cache" / "hashes").glob("*.json")
    place.write_text('{"0.jpg": "?"}', encoding="utf-8")
    assert _hashes(photographs) == first
    assert len(read) == 300
