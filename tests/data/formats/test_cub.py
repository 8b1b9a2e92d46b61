"""The CUB reader: attributes as classes, the official split, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ltbench.data.base import DataRoot, DataSet
from ltbench.data.formats.cub import cub_status, open_cub
from ltbench.data.formats.cub_names import CUB_ATTRIBUTES, CUB_CLASSES, CUB_GROUPS
from ltbench.plugin.errors import UserError
from ltbench.testing.trees import Tree, make_tree

SMALL = (32, 24)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return make_tree("cub", tmp_path / "root", images=5, image_size=SMALL)


def opened(tree: Tree, tmp_path: Path) -> DataSet:
    return open_cub(DataRoot(cache=tmp_path / "cache", root=tree.root))


def folder(tree: Tree) -> Path:
    return tree.root / "CUB_200_2011"


def test_parts_follow_the_split_in_the_order_of_the_images(tree: Tree, tmp_path: Path) -> None:
    data = opened(tree, tmp_path)
    lines = [line.split() for line in (folder(tree) / "images.txt").read_text().splitlines()]
    split = dict(line.split() for line in (folder(tree) / "train_test_split.txt").read_text().splitlines())
    assert data.part("train").ids == tuple(name for number, name in lines if split[number] == "1")
    assert data.part("test").ids == tuple(name for number, name in lines if split[number] == "0")
    assert set(split.values()) == {"0", "1"}


def test_columns_are_the_third_field(tree: Tree, tmp_path: Path) -> None:
    numbers = dict(line.split()[::-1] for line in (folder(tree) / "images.txt").read_text().splitlines())
    path = folder(tree) / "attributes" / "image_attribute_labels.txt"
    rows = [line.split() for line in path.read_text().splitlines()]
    # As in the official file, a few rows have a field too many.
    assert {len(fields) for fields in rows} == {5, 6}
    present = {(fields[0], int(fields[1])) for fields in rows if fields[2] == "1"}
    part = opened(tree, tmp_path).part("test")
    labels = part.read_labels()
    assert labels.shape == (5, 312)
    for name, values in zip(part.ids, labels, strict=True):
        assert [(numbers[name], column + 1) in present for column in range(312)] == (values == 1).tolist()


def test_opening_a_part_reads_no_labels(tree: Tree, tmp_path: Path) -> None:
    shutil.rmtree(folder(tree) / "attributes")
    part = opened(tree, tmp_path).part("train")
    assert part.images.load(0).size == SMALL
    with pytest.raises(UserError, match=r"attributes/image_attribute_labels\.txt is missing"):
        part.read_labels()
    status = cub_status(DataRoot(cache=tmp_path / "cache", root=tree.root))[0]
    assert (status.state, status.detail) == ("partly", "CUB_200_2011 lacks attributes/image_attribute_labels.txt")


def test_second_reading_comes_from_the_cache(tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened(tree, tmp_path).part("train").read_labels()

    def refuse(path: Path) -> None:
        raise AssertionError("parsed again")

    monkeypatch.setattr("ltbench.data.formats.cub._parse", refuse)
    np.testing.assert_array_equal(opened(tree, tmp_path).part("train").read_labels(), first)


def test_another_order_of_attributes_is_refused(tree: Tree, tmp_path: Path) -> None:
    path = tree.root / "attributes.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0].replace("curved", "bent"), *lines[1:]]))
    with pytest.raises(UserError, match=r"attributes\.txt lists other attributes than the official 312"):
        opened(tree, tmp_path).part("train").read_labels()
    path.unlink()
    assert opened(tree, tmp_path).part("train").read_labels().shape == (5, 312)


def _append(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(path.read_text() + text)


def _without_last_line(path: Path) -> None:
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")


def _without_first_image(path: Path) -> None:
    path.write_text("\n".join(path.read_text().splitlines()[312:]) + "\n")


@pytest.mark.parametrize(
    ("name", "change", "match"),
    [
        ("images.txt", _append("7x name.jpg\n"), r"images\.txt line 11 is not of the form NUMBER TEXT"),
        ("images.txt", _append("1 again.jpg\n"), r"images\.txt line 11 is not of the form"),
        ("images.txt", _append("99 more.jpg\n"), "list other images"),
        ("images.txt", Path.unlink, "CUB-200-2011 is not below root"),
        ("train_test_split.txt", _without_last_line, "list other images"),
        ("train_test_split.txt", _append("99 1\n"), "list other images"),
        ("attributes/image_attribute_labels.txt", _append("1 313 1 1 0.1\n"), "line 3121: no attribute 313 of value 1"),
        ("attributes/image_attribute_labels.txt", _append("1 0 1 1 0.1\n"), "no attribute 0"),
        ("attributes/image_attribute_labels.txt", _append("1 1 2 1 0.1\n"), "no attribute 1 of value 2"),
        ("attributes/image_attribute_labels.txt", _append("1 x 1 1 0.1\n"), r"line 3121 is broken: b'1 x 1 1 0\.1"),
        ("attributes/image_attribute_labels.txt", _append("1 1\n"), "line 3121 is broken"),
        ("attributes/image_attribute_labels.txt", _without_last_line, "lacks attributes of images 10"),
        ("attributes/image_attribute_labels.txt", lambda path: path.write_text(""), "lacks attributes of images alto"),
    ],
)
def test_files_that_cannot_be_used(
    name: str, change: Callable[[Path], object], match: str, tree: Tree, tmp_path: Path
) -> None:
    change(folder(tree) / name)
    with pytest.raises(UserError, match=match):
        opened(tree, tmp_path).part("train").read_labels()


def test_images_without_attributes_are_named(tree: Tree, tmp_path: Path) -> None:
    _without_first_image(folder(tree) / "attributes" / "image_attribute_labels.txt")
    name = (folder(tree) / "images.txt").read_text().split()[1]
    part = next(part for part in ("train", "test") if name in tree.ids[part])
    with pytest.raises(UserError, match=f"has no attributes of 1 images: {name}"):
        opened(tree, tmp_path).part(part).read_labels()


def test_split_without_a_part(tree: Tree, tmp_path: Path) -> None:
    path = folder(tree) / "train_test_split.txt"
    path.write_text("".join(f"{number} 1\n" for number in range(1, 11)))
    with pytest.raises(UserError, match=r"train_test_split\.txt has no test images"):
        opened(tree, tmp_path).part("test")


def test_attributes_and_short_names_go_together() -> None:
    assert len(CUB_ATTRIBUTES) == len(CUB_CLASSES) == len(set(CUB_CLASSES)) == 312
    short = dict(zip(CUB_ATTRIBUTES, CUB_CLASSES, strict=True))
    assert short["has_bill_shape::curved_(up_or_down)"] == "curved bill"
    assert short["has_upper_tail_color::iridescent"] == "iridescent upper"
    assert short["has_size::very_small_(3_-_5_in)"] == "very_small size"
    assert short["has_wing_pattern::multi-colored"] == "multi-colored wing"
    assert sorted(name for members in CUB_GROUPS.values() for name in members) == sorted(CUB_CLASSES)


def test_classes_and_groups_are_those_of_hspnet(shared: Path) -> None:
    golden = json.loads((shared / "golden" / "limited-labels" / "hspnet_groups.json").read_text())["cub"]
    assert list(CUB_CLASSES) == golden["labels"]
    assert {name: list(members) for name, members in CUB_GROUPS.items()} == golden["members"]
    assert list(CUB_GROUPS) == golden["groups"]
