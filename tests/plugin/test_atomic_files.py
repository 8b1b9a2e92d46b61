"""Files are whole or absent: a crash, a full disk or a read-only folder harms nothing already written."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

import pytest

from ltbench.plugin import UserError
from ltbench.plugin.files import explain_os_error, write_atomic, write_with


def test_writes_bytes_and_text_and_makes_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.txt"
    write_atomic(path, "grüße\n")
    assert path.read_bytes() == "grüße\n".encode()
    write_atomic(path, b"\x00\x01")
    assert path.read_bytes() == b"\x00\x01"
    assert os.listdir(path.parent) == ["file.txt"]


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        write_atomic(tmp_path / "file", "x")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("killed")])
def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path, error: Exception) -> None:
    path = tmp_path / "record.json"
    write_atomic(path, "old")

    def half(file: BinaryIO) -> None:
        file.write(b"ne")
        raise error

    with pytest.raises((UserError, RuntimeError)) as caught:
        write_with(path, half)
    if isinstance(error, OSError):
        assert "the disk is full: record.json was not written" in str(caught.value)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["record.json"]


def test_a_file_where_a_folder_should_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match=r"could not write x\.json") as caught:
        write_atomic(tmp_path / "taken" / "x.json", "y")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "disk is full"),
        (errno.EACCES, "no permission"),
        (errno.EROFS, "no permission"),
        (errno.EIO, "could not write"),
    ],
)
def test_operating_system_errors_become_one_line_with_a_hint(number: int, words: str) -> None:
    explained = explain_os_error(OSError(number, os.strerror(number)), "record.json")
    assert words in explained.message
    assert "record.json" in explained.message
    assert explained.hint
    assert "\n" not in str(explained)
