"""A user's photographs: a fair split, and images that are still the same."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ltbench.data.base import DataRoot
from ltbench.data.own.content import FolderContent, FolderPart, write_content
from ltbench.data.own.folder import open_folder, open_rooted
from ltbench.data.own.images import check_images
from ltbench.data.own.split import stratified_split
from ltbench.plugin import UserError
from ltbench.plugin.files import write_atomic


def draw(rows: int, classes: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    share = rng.uniform(0.02, 0.5, size=classes)
    return np.where(rng.random((rows, classes)) < share, 1, -1).astype(np.int8)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 120), st.integers(1, 8), st.floats(0.1, 0.5), st.integers(0, 5))
def test_a_split_keeps_the_share_of_rows_and_does_not_depend_on_their_order(
    rows: int, classes: int, share: float, seed: int
) -> None:
    labels, ids = draw(rows, classes, seed), [f"{n}.jpg" for n in range(rows)]
    held = stratified_split(labels, ids, share, seed)
    assert abs(held.sum() - share * rows) <= classes + 1
    order = np.random.default_rng(seed).permutation(rows)
    again = stratified_split(labels[order], [ids[n] for n in order], share, seed)
    assert np.array_equal(again, held[order])


def test_a_split_is_fairer_to_rare_classes_than_chance() -> None:
    labels = np.full((200, 3), -1, dtype=np.int8)
    labels[:, 0] = 1
    labels[:10, 1] = 1
    labels[10:14, 2] = 1
    held = stratified_split(labels, [f"{n}.jpg" for n in range(200)], 0.3, 0)
    assert (held & (labels[:, 1] == 1)).sum() == 3
    assert (held & (labels[:, 2] == 1)).sum() == 1
    assert held.sum() == 60


def test_another_seed_gives_another_split() -> None:
    labels, ids = draw(100, 4, 0), [f"{n}.jpg" for n in range(100)]
    assert not np.array_equal(stratified_split(labels, ids, 0.3, 0), stratified_split(labels, ids, 0.3, 1))


def test_a_split_never_changes() -> None:
    """Tasks of users depend on it: the same rows for good."""
    labels, ids = np.where(np.arange(24).reshape(8, 3) % 4 == 0, 1, -1).astype(np.int8), list("abcdefgh")
    held = stratified_split(labels, ids, 0.25, 0)
    assert "".join(row for row, out in zip(ids, held, strict=True) if out) == "dg"


def picture(path: Path, colour: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 8, 3), colour, dtype=np.uint8)).save(path)


def test_images_are_hashed_or_named(tmp_path: Path) -> None:
    picture(tmp_path / "good.png", 1)
    picture(tmp_path / "cut.png", 2)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:900])
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    found, wrong = check_images(tmp_path, ["good.png", "cut.jpg", "text.png", "gone.png", "folder.png"])
    assert list(found) == ["good.png"]
    assert found["good.png"].stamp[0] == (tmp_path / "good.png").stat().st_size
    assert wrong["text.png"] == "image 'text.png' cannot be decoded (no image format that is read)"
    assert wrong["gone.png"] == "image 'gone.png' is missing"
    assert wrong["cut.jpg"].startswith("image 'cut.jpg' cannot be decoded (image file is truncated")
    assert wrong["folder.png"].startswith("image 'folder.png' cannot be read")
    with pytest.raises(UserError, match="does not exist"):
        check_images(tmp_path / "nowhere", [])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A written task folder with two training images and one for test."""
    images = tmp_path / "images"
    for number, name in enumerate(["a.png", "sub/b.png", "c.png"]):
        picture(images / name, number)
    seen, _ = check_images(images, ["a.png", "sub/b.png", "c.png"])

    def part(ids: tuple[str, ...], labels: list[list[int]]) -> FolderPart:
        known = [seen[row] for row in ids]
        return FolderPart(
            ids, np.array(labels, dtype=np.int8), tuple(one.sha256 for one in known), tuple(one.stamp for one in known)
        )

    content = FolderContent(
        ("cat", "dog"), {"train": part(("a.png", "sub/b.png"), [[1, -1], [0, 1]]), "test": part(("c.png",), [[1, 1]])}
    )
    top = tmp_path / "tasks" / "mine"
    write_content(top / "v1", content)
    write_atomic(top / "task.json", '{"version": 1}')
    write_atomic(top / "source.json", f'{{"images": "{images}"}}')
    return top


def test_a_task_folder_opens_as_a_data_set(folder: Path) -> None:
    data = open_folder(folder)
    assert (data.name, data.class_names, data.parts) == ("folder:mine", ("cat", "dog"), ("train", "test"))
    train = data.part("train")
    assert train.ids == ("a.png", "sub/b.png")
    assert train.read_labels().tolist() == [[1, -1], [0, 1]]
    assert train.read_captions is None
    assert [np.asarray(train.images.load(row))[0, 0, 0] for row in range(len(train.images))] == [0, 1]
    assert len(train.images.sha256(0)) == 64
    assert open_rooted(DataRoot(root=folder)).class_names == data.class_names
    assert open_folder(folder / "v1").part("test").ids == ("c.png",)


def test_opening_reads_no_labels(folder: Path) -> None:
    for path in (folder / "v1").glob("labels-*.npy"):
        path.unlink()
    part = open_folder(folder).part("test")
    assert part.images.load(0).size == (8, 6)
    with pytest.raises(UserError, match=r"labels-test\.npy is damaged or missing"):
        part.read_labels()


def test_images_that_moved_are_found_in_the_named_folder(folder: Path, tmp_path: Path) -> None:
    shutil.move(tmp_path / "images", tmp_path / "moved")
    with pytest.raises(UserError, match=r"2 of 2 images are missing: a\.png, b\.png") as caught:
        open_folder(folder).part("train").images.sha256(0)
    assert "ltbench data status" in caught.value.hint
    assert open_folder(folder, images=tmp_path / "moved").part("train").images.load(1).size == (8, 6)


def test_a_changed_image_is_refused_and_a_touched_one_is_not(folder: Path, tmp_path: Path) -> None:
    os.utime(tmp_path / "images" / "a.png", (1, 1))
    assert open_folder(folder).part("train").images.load(0).size == (8, 6)
    picture(tmp_path / "images" / "sub" / "b.png", 200)
    with pytest.raises(UserError, match=r"1 of 2 images are not those of the task: b\.png"):
        open_folder(folder).part("train").images.load(0)
    assert open_folder(folder).part("test").images.load(0).size == (8, 6)


@pytest.mark.parametrize("name", ["task.json", "source.json", "v1/rows.json", "v1/stamps.json"])
@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_damaged_task_folder_is_one_line(folder: Path, name: str, content: str | None) -> None:
    path = folder / name
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError) as caught:
        open_folder(folder)
    assert "ltbench task new mine" in caught.value.hint
    assert "mine" in caught.value.message


def test_another_format_is_refused(folder: Path) -> None:
    rows = (folder / "v1" / "rows.json").read_text().replace('"format": 1', '"format": 2')
    (folder / "v1" / "rows.json").write_text(rows)
    with pytest.raises(UserError, match="task folder mine has format 2, this ltbench reads 1"):
        open_folder(folder)


def test_the_data_set_folder_needs_a_folder() -> None:
    with pytest.raises(UserError, match="needs a task folder"):
        open_rooted(DataRoot(root=None))
