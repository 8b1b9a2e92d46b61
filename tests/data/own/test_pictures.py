"""Pictures in a user's folders: found by content, accounted for, and near names for those that are missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ltbench.data.own.images import check_images, reading_notes
from ltbench.data.own.pictures import find_pictures


def paint(path: Path, kind: str = "PNG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (255, 0, 0)).save(path, kind)


def test_a_folder_is_searched_by_content_and_accounted_for(tmp_path: Path) -> None:
    for name, kind in {"a.jfif": "JPEG", "deep/b": "PNG", "c.dat": "WEBP", "d.AVIF": "PNG", ".e.png": "PNG"}.items():
        paint(tmp_path / name, kind)
    (tmp_path / "f.heic").write_bytes(b"\x00\x00\x00\x24ftypheic")
    (tmp_path / "g.jpg").write_bytes(b"")
    (tmp_path / "labels.csv").write_text("file,labels\n")
    found = find_pictures([tmp_path])
    assert [str(picture.place) for picture in found.pictures] == [
        "a.jfif", "c.dat", "d.AVIF", str(Path("deep/b")), "f.heic", "g.jpg",
    ]  # fmt: skip
    assert [path.name for path in found.left_out] == ["labels.csv"]
    assert found.problems == []


def test_a_folder_without_pictures_says_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "b.txt").write_text("x")
    (problem,) = find_pictures([tmp_path]).problems
    assert problem.message == f"folder {tmp_path} has no images among its 2 files"


def test_missing_files_are_told_what_is_there_instead(tmp_path: Path) -> None:
    for name in ("a.JPG", "sub/b.png", "caf\u00e9.png", "d.jpeg"):
        paint(tmp_path / name, "PNG")
    wanted = ["a.jpg", "b.png", "cafe\u0301.png", "d.png", "e.png", "sub\\b.png"]
    _, wrong = check_images(tmp_path, wanted)
    assert wrong == {
        "a.jpg": "image 'a.jpg' is missing; 'a.JPG' is there",
        "b.png": "image 'b.png' is missing; 'sub/b.png' is there",
        "cafe\u0301.png": "image 'cafe\u0301.png' is missing; 'caf\u00e9.png' is there, in another Unicode form",
        "d.png": "image 'd.png' is missing; 'd.jpeg' is there",
        "e.png": "image 'e.png' is missing",
        "sub\\b.png": "image 'sub\\\\b.png' is missing; 'sub/b.png' is there",
    }


def test_how_pictures_were_read_is_counted(tmp_path: Path) -> None:
    noted = Image.Exif()
    noted[0x0112] = 6
    Image.new("RGB", (8, 4)).save(tmp_path / "a.jpg", exif=noted)
    Image.fromarray(np.full((8, 8), 900, np.uint16)).save(tmp_path / "b.png")
    paint(tmp_path / "c.png")
    found, _ = check_images(tmp_path, ["a.jpg", "b.png", "c.png"])
    assert list(found) == ["a.jpg", "b.png", "c.png"]
    assert reading_notes(list(found.values())) == [
        "1 of 3 images are turned upright, as their camera noted",
        "1 of 3 images are scaled to 8 bits, from 16 or from floats",
        "1 of 3 images are nearly black: no value reaches a sixteenth of what their type can hold; scale them before",
    ]
