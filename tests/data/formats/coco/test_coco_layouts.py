"""Where COCO's files may lie, what is missing, and facts of the data set."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ltbench.data.base import DataRoot
from ltbench.data.formats.coco import coco2014_status, coco2017_status, open_coco2014, open_coco2017
from ltbench.data.formats.names import COCO_CATEGORY_IDS, COCO_CLASSES, COCO_GROUPS
from ltbench.plugin.errors import UserError
from ltbench.testing.trees import Tree, make_tree
from tests.data.formats.coco.coco_toys import SMALL, instances, opened


def test_missing_files_and_photographs(tree: Tree, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="MS-COCO 2014 is not below root"):
        open_coco2014(DataRoot(cache=tmp_path / "cache", root=tree.root))
    name = tree.ids["train"][0]
    (tree.root / "coco" / "train2017" / name).write_bytes(b"")
    (tree.root / "coco" / "train2017" / tree.ids["train"][1]).unlink()
    images = opened(tree, tmp_path).part("train").images
    with pytest.raises(UserError, match=rf"image {name} cannot be decoded \(0 bytes\)"):
        images.load(0)
    with pytest.raises(UserError, match=rf"image {tree.ids['train'][1]} is missing"):
        images.load(1)
    shutil.rmtree(tree.root / "coco" / "train2017")
    with pytest.raises(UserError, match=r"train2017 or images/train2017 is missing \(the photographs\)"):
        opened(tree, tmp_path).part("train")
    instances(tree).unlink()
    with pytest.raises(UserError, match=r"annotations/instances_train2017\.json is missing"):
        opened(tree, tmp_path).part("train")
    status = coco2017_status(DataRoot(cache=tmp_path / "cache", root=tree.root))[0]
    assert (status.state, status.detail) == ("partly", "coco lacks train2017, annotations/instances_train2017.json")


def test_years_in_one_folder_or_two(tree: Tree, tmp_path: Path) -> None:
    make_tree("coco2014", tree.root, images=3, image_size=SMALL)
    root = DataRoot(cache=tmp_path / "cache", root=tree.root)
    assert open_coco2014(root).part("val").ids[0].startswith("COCO_val2014_")
    assert open_coco2017(root).part("val").ids == tree.ids["val"]
    assert [coco2014_status(root)[0].state, coco2017_status(root)[0].state] == ["here", "here"]
    older = make_tree("coco2014", tmp_path / "older", images=3, image_size=SMALL)
    shutil.rmtree(tree.root / "coco" / "train2014")
    for path in (tree.root / "coco" / "annotations").glob("*2014.json"):
        path.unlink()
    shutil.move(older.root / "coco", tree.root / "coco2014")
    assert open_coco2014(root).part("train").ids == older.ids["train"]


def test_photographs_below_images(tree: Tree, tmp_path: Path) -> None:
    folder = tree.root / "coco"
    (folder / "images").mkdir()
    (folder / "val2017").rename(folder / "images" / "val2017")
    assert opened(tree, tmp_path).part("val").images.load(0).size == SMALL


def test_facts() -> None:
    assert len(COCO_CATEGORY_IDS) == len(COCO_CLASSES) == 80
    numbers = dict(zip(COCO_CLASSES, COCO_CATEGORY_IDS, strict=True))
    assert [numbers[name] for name in ("person", "cat", "umbrella", "sink", "toothbrush")] == [1, 17, 28, 81, 90]


def test_classes_and_groups_are_those_of_hspnet(shared: Path) -> None:
    golden = json.loads((shared / "golden" / "limited-labels" / "hspnet_groups.json").read_text())["coco"]
    assert list(COCO_CLASSES) == golden["labels"]
    assert {name: list(members) for name, members in COCO_GROUPS.items()} == golden["members"]
    assert list(COCO_GROUPS) == golden["groups"]
