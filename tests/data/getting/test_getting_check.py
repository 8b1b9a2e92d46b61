"""Checking: every fault is listed at once."""

from __future__ import annotations

import hashlib
import io
import os
import time

import pytest
from PIL import Image
from small_web import Web
from toy_pieces import FILES, TEST, TRAIN, home, photograph, prepare

from ltbench.data import known_hashes
from ltbench.data.base import DataRoot, DataSet, FileImages, Labels, Part
from ltbench.data.getting.check import Opened, check
from ltbench.data.getting.fetch import fetch
from ltbench.data.getting.needs import Needs
from ltbench.plugin.errors import UserError


def open_toy(root: DataRoot) -> DataSet:
    folder = home(root)

    def part(name: str) -> Part:
        ids = tuple((folder / "lists" / f"{name}.txt").read_text().split())

        def labels() -> Labels:
            import numpy as np

            if not ids:
                raise UserError(f"the toy set: {name}.txt is empty")
            return np.ones((len(ids), 2), dtype=np.int8)

        return Part(name, ids, FileImages([folder / "images" / f"{row}.jpg" for row in ids]), labels)

    return DataSet("toy", ("a", "b"), ("train", "test", "test+odd"), part)


def test_a_whole_data_set_has_no_fault(web: Web, root: DataRoot, needs: Needs) -> None:
    prepare(needs, root)
    seen = check(needs, [Opened("toy", lambda: open_toy(root))], root)
    assert seen.faults == []
    # Two lists, six images and the single file; each image once.
    assert (seen.hashes, seen.unhashed, seen.images, seen.rows) == (9, 0, 6, 6)


def test_all_faults_are_listed_at_once(web: Web, root: DataRoot, needs: Needs) -> None:
    prepare(needs, root)
    images = home(root) / "images"
    (images / "000.jpg").write_bytes(b"")
    (images / "001.jpg").write_bytes(FILES["images/001.jpg"][:-200])
    (images / "002.jpg").unlink()
    (images / "003.jpg").write_bytes(photograph(255))
    (images / "004.jpg").write_text("no image")
    (home(root) / "lists" / "test.txt").write_text("004\n005\n006\n")
    fetch(needs.sources[0], root).write_bytes(b"000 1\r\n")
    faults = check(needs, [Opened("toy", lambda: open_toy(root))], root, workers=2).faults
    assert len(faults) == 8
    text = "\n".join(faults)
    for words in (
        "TOY/images/000.jpg is empty (0 bytes)",
        f"not {hashlib.sha256(FILES['images/001.jpg']).hexdigest()} as in its archive and cannot be decoded (",
        "TOY/images/002.jpg is missing",
        f"TOY/images/003.jpg has sha256 {hashlib.sha256(photograph(255)).hexdigest()}, not",
        "as in its archive and cannot be decoded (no image format that is read)",
        "TOY/images/006.jpg is missing",
        "TOY/lists/test.txt has sha256",
        "its line ends were changed on the way",
    ):
        assert words in text
    assert web.asked == [("/list.txt", ""), ("/train.tar", ""), ("/test.tar", "")]
    (home(root) / "lists" / "test.txt").write_bytes(TEST["lists/test.txt"])
    prepare(needs, root, repair=True)
    assert check(needs, [Opened("toy", lambda: open_toy(root))], root).faults == []


def test_images_that_came_from_elsewhere_are_opened_all_the_same(web: Web, root: DataRoot, needs: Needs) -> None:
    for name, data in (TRAIN | TEST).items():
        (home(root) / name).parent.mkdir(parents=True, exist_ok=True)
        (home(root) / name).write_bytes(data if name != "images/005.jpg" else b"")
    seen = check(needs, [Opened("toy", lambda: open_toy(root), ("test",))], root)
    assert [fault.split(" (")[0] for fault in seen.faults] == ["list.txt is not here", "TOY/images/005.jpg is empty"]
    assert (seen.unhashed, seen.images) == (2, 2)


def test_nothing_here_is_a_fault_for_each_thing(web: Web, root: DataRoot, needs: Needs) -> None:
    def absent() -> DataSet:
        raise UserError("the toy set is not here", details=["line 3 is bad"])

    faults = check(needs, [Opened("toy", absent)], root).faults
    assert len(faults) == 5
    assert faults[1].startswith("train.tar is not here (images, lists/train.txt missing in ")
    assert faults[3:] == ["the toy set is not here", "line 3 is bad"]
    assert web.asked == []


def test_bytes_that_changed_behind_size_and_time_stamp_are_found(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs go by what was noted when a photograph was hashed; contents are compared with it here."""
    monkeypatch.setenv("LTBENCH_CACHE", str(root.cache))
    monkeypatch.setattr(known_hashes, "WORTH", 1)

    def another_process() -> DataSet:
        known_hashes.remember()
        monkeypatch.setattr(known_hashes, "_folders", {})
        return open_toy(root)

    def faults() -> list[str]:
        return check(Needs("toy-task", (), ()), [Opened("toy", another_process, ("train",))], root).faults

    content = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(content, "BMP")
    red = content.getvalue()
    path = home(root) / "images" / "000.jpg"
    for name, data in (("lists/train.txt", b"000\n"), ("images/000.jpg", red)):
        (home(root) / name).parent.mkdir(parents=True, exist_ok=True)
        (home(root) / name).write_bytes(data)
    then = int(time.time() - 60) * 10**9
    os.utime(path, ns=(then, then))
    assert another_process().part("train").images.sha256(0) == hashlib.sha256(red).hexdigest()
    assert faults() == []
    other = red[:-1] + bytes([red[-1] ^ 255])
    path.write_bytes(other)
    os.utime(path, ns=(then, then))
    assert another_process().part("train").images.sha256(0) == hashlib.sha256(red).hexdigest()
    assert faults() == [
        "TOY/images/000.jpg has other bytes than when it was hashed, with the same size and time stamp; touch it"
    ]
    path.touch()
    assert another_process().part("train").images.sha256(0) == hashlib.sha256(other).hexdigest()
    assert faults() == []
