"""Bringing all that a task needs, end to end: archives served on this machine, unpacked, put in place."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from small_web import Web
from toy_pieces import LAYOUT, TEST, TRAIN, as_tar, home, lines, prepare, tree

from ltbench.data.base import DataRoot
from ltbench.data.getting.needs import Needs, Piece
from ltbench.data.getting.notes import manifest
from ltbench.data.getting.plan import plan
from ltbench.plugin.errors import UserError


def test_all_is_brought_once_and_the_size_told_first(web: Web, root: DataRoot, needs: Needs) -> None:
    assert [item.state for item in plan(needs, root).items] == ["missing"] * 3
    brought = prepare(needs, root)
    assert [item.name for item in brought] == ["list.txt", "train.tar", "test.tar"]
    assert tree(home(root)) == TRAIN | TEST
    size = f"{len(as_tar(TRAIN)) / 1000:.1f} kB"
    assert lines(root).said[0].startswith("toy-task needs ")
    assert f"train.tar ({size})" in lines(root).said[0]
    assert [item.state for item in plan(needs, root).items] == ["here"] * 3
    # Archives are gone, what was in them is listed, and nothing is asked for again.
    assert sorted(path.name for path in root.cache.rglob("*.tar")) == []
    listed = manifest(needs.pieces[1], home(root)).read_text().splitlines()
    assert listed == sorted(
        (f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in TEST.items()), key=lambda x: x[66:]
    )
    web.asked.clear()
    assert prepare(needs, root) == []
    assert prepare(needs, replace(root, offline=True)) == []
    assert web.asked == []


def test_archives_are_kept_on_request(web: Web, root: DataRoot, needs: Needs) -> None:
    prepare(needs, root, keep_archives=True)
    assert len(list((root.cache / "sources").rglob("*.tar"))) == 2


def test_without_a_data_root_it_goes_into_the_cache(web: Web, root: DataRoot, needs: Needs) -> None:
    bare = replace(root, root=None)
    prepare(needs, bare)
    assert tree(root.cache / "data" / "toykit" / "TOY") == TRAIN | TEST


def test_what_a_user_has_already_is_completed_where_it_lies(web: Web, root: DataRoot, needs: Needs) -> None:
    own = root.home / "TOY"
    for name, data in TRAIN.items():
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_bytes(data)
    assert [item.state for item in plan(needs, root).items] == ["missing", "here", "missing"]
    prepare(needs, root)
    assert tree(own) == TRAIN | TEST
    assert not (root.home / "toykit").exists()


def test_a_users_own_files_are_not_overwritten(web: Web, root: DataRoot, needs: Needs) -> None:
    (home(root) / "images").mkdir(parents=True)
    (home(root) / "images" / "004.jpg").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"test\.tar: 1 files in .* differ from the official ones") as caught:
        prepare(needs, root)
    assert caught.value.details == ("images/004.jpg",)
    assert (home(root) / "images" / "004.jpg").read_bytes() == b"mine"
    assert [item.state for item in plan(needs, root).items] == ["here", "here", "missing"]
    prepare(needs, root, repair=True)
    assert tree(home(root)) == TRAIN | TEST


def test_all_that_fails_is_told_together_and_the_rest_is_done(web: Web, root: DataRoot, needs: Needs) -> None:
    del web.files["/list.txt"]
    del web.files["/train.tar"]
    by_hand = Piece("labels.json", LAYOUT, (("labels.json",),), by_hand="ask the authors")
    with pytest.raises(UserError, match="3 of the 4 things that toy-task needs are not here") as caught:
        prepare(replace(needs, pieces=(*needs.pieces, by_hand)), root)
    assert [line.split()[0] for line in caught.value.details] == ["list.txt", "train.tar", "labels.json"]
    assert f"ask the authors: {home(root)}" in caught.value.details[2]
    assert tree(home(root)) == TEST


def test_offline_names_everything_that_is_missing(web: Web, root: DataRoot, needs: Needs) -> None:
    with pytest.raises(UserError) as caught:
        prepare(needs, replace(root, offline=True))
    assert len(caught.value.details) == 3
    assert all("offline" in line and "would lie at" in line for line in caught.value.details)
    assert web.asked == []


def test_a_disk_without_room_is_found_before_the_download(
    web: Web, root: DataRoot, needs: Needs, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 100_010_000})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    with pytest.raises(UserError, match=r"toy-task needs \d.* are free"):
        prepare(needs, root)
    assert web.asked == []
