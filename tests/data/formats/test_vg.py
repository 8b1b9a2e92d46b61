"""The VG-200 reader: lists, two folders of photographs, label files of 200 or 500 categories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltbench.data.base import DataRoot, DataSet
from ltbench.data.formats.vg200 import open_vg200, vg200_status
from ltbench.plugin.errors import UserError
from ltbench.testing.trees import Tree, make_tree

SMALL = (32, 24)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return make_tree("vg-200", tmp_path / "root", images=9, image_size=SMALL)


def opened(tree: Tree, tmp_path: Path) -> DataSet:
    return open_vg200(DataRoot(cache=tmp_path / "cache", root=tree.root))


def labels_file(tree: Tree, categories: int = 200) -> Path:
    return tree.root / "VG" / f"vg_category_{categories}_labels_index.json"


def test_columns_are_numbers_because_names_were_never_published(tree: Tree, tmp_path: Path) -> None:
    data = opened(tree, tmp_path)
    assert data.parts == ("train", "test")
    assert len(data.class_names) == 200
    assert data.class_names[17] == "category_017"
    assert data.label_groups == {}


def test_photographs_of_both_folders(tree: Tree, tmp_path: Path) -> None:
    assert {path.parent.name for path in tree.root.rglob("*.jpg")} == {"VG_100K", "VG_100K_2"}
    data = opened(tree, tmp_path)
    for part in data.parts:
        images = data.part(part).images
        assert [images.load(row).size for row in range(len(images))] == [SMALL] * 9


def test_all_photographs_in_one_folder(tree: Tree, tmp_path: Path) -> None:
    folder = tree.root / "VG"
    for path in (folder / "VG_100K_2").iterdir():
        path.rename(folder / "VG_100K" / path.name)
    (folder / "VG_100K_2").rmdir()
    images = opened(tree, tmp_path).part("train").images
    assert [images.load(row).size for row in range(len(images))] == [SMALL] * 9


def test_the_first_200_of_500_categories(tree: Tree, tmp_path: Path) -> None:
    expected = opened(tree, tmp_path).part("train").read_labels()
    document: dict[str, list[int]] = json.loads(labels_file(tree).read_text())
    more = {name: [*numbers, 200, 499] for name, numbers in document.items()}
    labels_file(tree, 500).write_text(json.dumps(more))
    labels_file(tree).unlink()
    np.testing.assert_array_equal(opened(tree, tmp_path).part("train").read_labels(), expected)


def test_opening_a_part_reads_no_labels(tree: Tree, tmp_path: Path) -> None:
    labels_file(tree).unlink()
    part = opened(tree, tmp_path).part("test")
    assert part.ids == tree.ids["test"]
    assert part.images.load(0).size == SMALL
    with pytest.raises(UserError, match=r"vg_category_200_labels_index\.json or .* is missing .*never published"):
        part.read_labels()
    status = vg200_status(DataRoot(cache=tmp_path / "cache", root=tree.root))[0]
    assert (status.state, status.detail) == ("partly", "VG lacks vg_category_200_labels_index.json")


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        ({}, r"has no labels of 9 images: 2315001\.jpg, 2315002\.jpg, 2315003\.jpg and 6 more"),
        ({"2315001.jpg": [200]}, r"2315001\.jpg has category 200, which is not in 0\.\.199"),
        ({"2315001.jpg": [-1]}, "has category -1"),
        ({"2315001.jpg": ["tree"]}, "no JSON of file names and category numbers"),
        ([1], "no JSON of file names and category numbers"),
    ],
)
def test_labels_that_cannot_be_used(labels: Any, match: str, tree: Tree, tmp_path: Path) -> None:
    if isinstance(labels, dict) and labels:
        labels = {**json.loads(labels_file(tree).read_text()), **labels}
    labels_file(tree).write_text(json.dumps(labels))
    with pytest.raises(UserError, match=match):
        opened(tree, tmp_path).part("train").read_labels()


def test_labels_cut_off(tree: Tree, tmp_path: Path) -> None:
    labels_file(tree).write_text(labels_file(tree).read_text()[:-3])
    with pytest.raises(UserError, match=r"vg_category_200_labels_index\.json is no JSON"):
        opened(tree, tmp_path).part("train").read_labels()


def test_lists_and_folders(tree: Tree, tmp_path: Path) -> None:
    path = tree.root / "VG" / "train_list_500.txt"
    path.write_text("VG_100K/2315001.jpg\n2315001.jpg\n")
    with pytest.raises(UserError, match=r"train_list_500\.txt lists 2315001\.jpg more than once"):
        opened(tree, tmp_path).part("train")
    path.unlink()
    with pytest.raises(UserError, match=r"Visual Genome \(VG-200\) is not below root"):
        opened(tree, tmp_path)
