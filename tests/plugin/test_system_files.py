"""File systems without links, modes or synced folders, simulated; names that some system refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from ltbench.engine import checkpoint
from ltbench.plugin import system
from ltbench.plugin.files import write_atomic


def refuse(number: int) -> Any:
    def link(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number))

    return link


def test_a_second_name_is_a_link(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"content")
    assert system.link_or_copy(one, two)
    assert two.samefile(one)


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK, errno.EINVAL])
def test_where_links_are_refused_it_is_a_copy(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", refuse(number))
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"content")
    assert not system.link_or_copy(one, two)
    assert two.read_bytes() == b"content"
    assert not two.samefile(one)
    with pytest.raises(FileExistsError):
        system.link_or_copy(one, two)
    with pytest.raises(FileNotFoundError):
        system.link_or_copy(tmp_path / "none", tmp_path / "three")


def test_a_platform_without_os_link_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "link")
    (tmp_path / "one").write_bytes(b"content")
    assert not system.link_or_copy(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "two").read_bytes() == b"content"


def test_a_copy_that_finds_no_room_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    monkeypatch.setattr(os, "fsync", lambda number: refuse(errno.ENOSPC)(tmp_path, tmp_path))
    (tmp_path / "one").write_bytes(b"content")
    with pytest.raises(OSError, match="No space"):
        system.link_or_copy(tmp_path / "one", tmp_path / "two")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize("links", [True, False])
def test_checkpoints_keep_the_previous_one_with_and_without_links(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    path = tmp_path / "stage-0.pt"
    for epoch in range(3):
        checkpoint.save(path, {"epoch": epoch})
    assert checkpoint.load(path) == {"epoch": 2}
    path.write_bytes(b"damaged")
    assert checkpoint.load(path) == {"epoch": 1}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["stage-0.pt", "stage-0.pt.previous"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_new_files_have_the_mode_that_the_user_asks_for(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "file", "text")
        assert system.new_file_mode() == 0o640
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("call", ["open", "fsync"])
def test_folders_that_cannot_be_synced_are_no_error(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows opens no folders; some file systems sync none."""
    asked: list[Any] = []

    def refused(*given: Any) -> int:
        asked.append(given)
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(os, call, refused)
    system.sync_folder(tmp_path)
    assert asked


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("my-photos", ""),
        ("shapes-plt@mr40", ""),
        ("console", ""),
        ("com10", ""),
        ("aux", "device"),
        ("con.v2", "device"),
        ("LPT1", "device"),
        ("photos.", "ends in '.'"),
        ("timm:resnet18", "':'"),
        ("a/b", "'/'"),
        ("a\x07", "'\\x07'"),
    ],
)
def test_names_that_some_system_refuses(name: str, problem: str) -> None:
    found = system.unportable(name)
    assert problem in found
    assert bool(found) == bool(problem)


def test_slugs_are_names_everywhere() -> None:
    assert system.slug("open_clip:ViT-B-32/laion2b_s34b_b79k") == "open-clip-ViT-B-32-laion2b-s34b-b79k"
    assert len(system.slug("x" * 100)) == 60
    assert not system.unportable(system.slug("a:b\\c") + "-global-0")
