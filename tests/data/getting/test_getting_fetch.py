"""One file in the cache: what is wrong with it is found and said, and several processes bring it once."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_web import Web
from toy_pieces import TEXT, into_mirror, lines, make

from ltbench.data.base import DataRoot
from ltbench.data.getting.fetch import fetch
from ltbench.data.getting.hashes import likely_cause
from ltbench.data.getting.notes import cached
from ltbench.data.getting.sources import Source
from ltbench.plugin.errors import UserError


@pytest.mark.parametrize(
    ("offered", "cause"),
    [
        (TEXT[:-5], f"it is cut short ({len(TEXT) - 5} of {len(TEXT)} bytes)"),
        (TEXT[::-1], "another draw or version of the same list"),
        (TEXT + b"x", "another version of the file"),
        (TEXT.replace(b"\n", b"\r\n"), "its line ends were changed"),
        (b"<!DOCTYPE html><title>Please log in</title>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"", "it is empty"),
    ],
    ids=["cut", "other", "longer", "line ends", "login", "lfs", "empty"],
)
@pytest.mark.parametrize("place", ["mirror", "web"])
def test_a_wrong_hash_shows_both_and_the_likely_cause(
    web: Web, root: DataRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offered: bytes, cause: str, place: str
) -> None:
    web.files["/a.txt"] = offered
    source = make(TEXT, web.url("/a.txt"))
    if place == "mirror":
        into_mirror(tmp_path / "mirror", source, offered)
        monkeypatch.setenv("LTBENCH_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(UserError) as caught:
        fetch(source, root)
    message = caught.value.message
    assert cause in message
    assert hashlib.sha256(offered).hexdigest() in message
    assert str(source.sha256) in message
    assert ("mirror" in message) == (place == "mirror")
    # A mirror that answers wrongly is an error, never passed over in silence.
    assert len(web.asked) == (1 if place == "web" else 0)
    assert not [each for each in root.cache.rglob("*") if each.is_file() and each.suffix != ".lock"]


def test_line_ends_that_belong_to_the_file_and_were_taken_away(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a\nb\n")
    wanted = hashlib.sha256(b"a\r\nb\r\n").hexdigest()
    assert "line ends" in likely_cause(tmp_path / "a.txt", wanted, 6)
    assert "cut short" in likely_cause(tmp_path / "a.txt", "0" * 64, 6)


def test_a_harmed_file_in_the_cache_is_brought_again_and_named(web: Web, root: DataRoot) -> None:
    web.files["/a.txt"] = TEXT
    source = make(TEXT, web.url("/a.txt"))
    path = fetch(source, root)
    path.write_bytes(TEXT[:100])
    with pytest.raises(UserError, match="cut short") as caught:
        fetch(source, replace(root, offline=True))
    assert str(source.sha256) in caught.value.message
    assert fetch(source, root).read_bytes() == TEXT
    assert "list.txt in the cache is not what it was" in lines(root).said[-1]


def test_an_unpinned_file_is_held_to_its_first_arrival(web: Web, root: DataRoot) -> None:
    web.files["/a.txt"] = TEXT
    source = make(TEXT, web.url("/a.txt"), sha256=None, size=None, unpinned="the authors name no hash")
    path = fetch(source, root)
    note = json.loads((path.parent / "a.txt.unpinned.json").read_text())
    assert note == {
        "name": "list.txt",
        "from": web.url("/a.txt"),
        "sha256": hashlib.sha256(TEXT).hexdigest(),
        "unpinned": "the authors name no hash",
    }
    path.write_bytes(b"harmed")
    with pytest.raises(UserError, match="that of its first arrival"):
        fetch(source, replace(root, offline=True))
    web.files["/a.txt"] = b"new"
    assert fetch(source, root).read_bytes() == b"new"
    assert "is not pinned, and not what it was" in lines(root).said[-1]


def test_an_unpinned_file_put_into_the_cache_by_hand(root: DataRoot) -> None:
    source = make(TEXT, "https://example.org/a.txt", sha256=None, unpinned="only on request")
    place = cached(source, root)
    place.parent.mkdir(parents=True)
    place.write_bytes(TEXT)
    assert fetch(source, replace(root, offline=True)) == place
    place.write_bytes(b"other")
    with pytest.raises(UserError, match="first arrival"):
        fetch(source, replace(root, offline=True))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_folder_that_cannot_be_written(
    web: Web, root: DataRoot, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    web.files["/a.txt"] = TEXT
    source = make(TEXT, web.url("/a.txt"))
    real = Path.open

    def refuse(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        # Whoever runs the tests may be allowed everything: the system's answer is what is tested.
        if self.suffix == ".part" and mode != "rb":
            raise OSError(number, os.strerror(number), str(self))
        return real(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UserError) as caught:
        fetch(source, root)
    full = number == errno.ENOSPC
    assert ("the disk is full" if full else "no permission to write") in caught.value.message
    assert full or "LTBENCH_CACHE" in caught.value.hint
    monkeypatch.setattr(Path, "open", real)
    assert fetch(source, root).read_bytes() == TEXT


def test_a_cache_folder_that_cannot_be_made(root: DataRoot, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *args: Any, **kwargs: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match="no permission to write") as caught:
        fetch(make(TEXT, web.url("/a.txt")), root)
    assert "LTBENCH_CACHE" in caught.value.hint


def test_a_disk_without_room(web: Web, root: DataRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    web.files["/a.txt"] = TEXT
    usage = type("Usage", (), {"free": 50_000_000})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    with pytest.raises(UserError, match=r"list.txt needs 1\.3 MB on the disk of .* 50\.0 MB are free"):
        fetch(make(TEXT, web.url("/a.txt")), root)
    assert web.asked == []


def _fetch_in_child(cache: str, url: str, sha256: str, size: int, ready: Any, answers: Any) -> None:
    ready.wait(20)
    source = Source("list.txt", url, sha256, size, "CC0")
    root = DataRoot(cache=Path(cache), root=None, offline=False)
    answers.put(hashlib.sha256(fetch(source, root).read_bytes()).hexdigest())


def test_several_processes_at_once_bring_it_once(web: Web, root: DataRoot) -> None:
    content = os.urandom(8 << 20)
    web.files["/a.bin"] = content
    source = make(content, web.url("/a.bin"))
    context = multiprocessing.get_context("spawn")
    ready, answers = context.Event(), context.Queue()
    arguments = (str(root.cache), source.url, source.sha256, source.size, ready, answers)
    children = [context.Process(target=_fetch_in_child, args=arguments) for _ in range(3)]
    for child in children:
        child.start()
    ready.set()
    found = [answers.get(timeout=180) for _ in children]
    for child in children:
        child.join(timeout=60)
    assert found == [source.sha256] * 3
    assert len(web.asked) == 1
