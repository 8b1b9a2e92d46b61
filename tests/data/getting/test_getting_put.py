"""One archive: it is put in place as a whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from small_web import Web
from toy_pieces import LAYOUT, TRAIN, as_tar, home, piece, tree

from ltbench.data.base import DataRoot
from ltbench.data.getting.here import is_here
from ltbench.data.getting.needs import Needs, Piece
from ltbench.data.getting.notes import manifest
from ltbench.data.getting.put import put
from ltbench.data.getting.sources import Source
from ltbench.plugin.errors import UserError


def test_a_killed_process_leaves_no_half_piece_and_the_next_goes_on(
    web: Web, root: DataRoot, needs: Needs, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, moved = os.replace, []

    def killed(source: Any, target: Any) -> None:
        if ".unpacking" in str(source):
            moved.append(target)
            if len(moved) == 4:
                raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        put(needs.pieces[0], root)
    monkeypatch.setattr(os, "replace", real)
    # What shows the piece is there, yet it is not whole, and that is known.
    assert needs.pieces[0].shown(root)
    assert not is_here(needs.pieces[0], root)
    put(needs.pieces[0], root)
    assert tree(home(root)) == TRAIN
    assert is_here(needs.pieces[0], root)


def test_a_truncated_archive_is_named_and_does_not_stay(web: Web, root: DataRoot) -> None:
    whole = as_tar(TRAIN)
    # No sha256 tells, and the server itself has only the first half.
    cut = piece(web, "train", whole[: len(whole.rstrip(b"\0")) - 700], pinned=False)
    with pytest.raises(UserError, match=r"archive train\.tar is cut short or damaged") as caught:
        put(cut, root)
    assert "was removed" in caught.value.message
    assert not list(root.cache.rglob("*.tar"))
    assert tree(home(root)) == {}
    assert not is_here(cut, root)
    put(piece(web, "train", whole, pinned=False), root)
    assert tree(home(root)) == TRAIN


def test_a_truncated_archive_in_a_mirror_is_left_there(
    web: Web, root: DataRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = piece(web, "train", as_tar(TRAIN), pinned=False)
    assert cut.source is not None
    place = tmp_path / "mirror" / cut.source.layout
    place.parent.mkdir(parents=True)
    place.write_bytes(as_tar(TRAIN)[:900])
    monkeypatch.setenv("LTBENCH_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(UserError, match="it lies in the mirror"):
        put(cut, root)
    assert place.exists()


def test_a_hostile_archive_puts_nothing_in_place(web: Web, root: DataRoot) -> None:
    hostile = piece(web, "train", as_tar(TRAIN | {"../../../../evil": b"x"}))
    with pytest.raises(UserError, match="leads out of its folder"):
        put(hostile, root)
    assert tree(home(root)) == {}
    assert not list(root.home.parent.rglob("evil"))


def test_a_single_file_is_put_beside(web: Web, root: DataRoot) -> None:
    web.files["/x/train_list.txt"] = b"1\n"
    digest = hashlib.sha256(b"1\n").hexdigest()
    source = Source("train.txt", web.url("/x/train_list.txt"), digest, 2, "CC0")
    put(Piece("train.txt", LAYOUT, (("train.txt",),), source=source), root)
    assert tree(home(root)) == {"train.txt": b"1\n"}


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_data_root_that_cannot_be_written(
    web: Web, root: DataRoot, needs: Needs, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real = Path.mkdir

    def refuse(self: Path, *args: Any, **kwargs: Any) -> None:
        if self.is_relative_to(root.home):
            raise OSError(number, os.strerror(number), str(self))
        real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match="no permission to write") as caught:
        put(needs.pieces[0], root)
    assert str(root.home) in caught.value.message
    assert "--data-root DIR" in caught.value.hint


def _put_in_child(cache: str, data: str, made: Piece, ready: Any, answers: Any) -> None:
    ready.wait(20)
    put(made, DataRoot(cache=Path(cache), root=Path(data), offline=False))
    answers.put(len(list((Path(data) / "toykit" / "TOY" / "images").iterdir())))


def test_two_processes_at_once_do_no_harm(web: Web, root: DataRoot) -> None:
    many = {"lists/train.txt": b"x", **{f"images/{row}.jpg": os.urandom(2000) for row in range(800)}}
    made = piece(web, "train", as_tar(many))
    context = multiprocessing.get_context("spawn")
    ready, answers = context.Event(), context.Queue()
    arguments = (str(root.cache), str(root.home), made, ready, answers)
    children = [context.Process(target=_put_in_child, args=arguments) for _ in range(2)]
    for child in children:
        child.start()
    ready.set()
    assert [answers.get(timeout=60) for _ in children] == [800, 800]
    for child in children:
        child.join(timeout=20)
    assert tree(home(root)) == many
    assert len(web.asked) == 1


def test_the_manifest_is_read_by_sha256sum(web: Web, root: DataRoot, needs: Needs) -> None:

    if shutil.which("sha256sum") is None:
        pytest.skip("needs the program sha256sum")
    put(needs.pieces[0], root)
    path = manifest(needs.pieces[0], home(root))
    subprocess.run(["sha256sum", "-c", "--quiet", str(path)], cwd=home(root), check=True, timeout=20)
