"""Files that are not COCO's are refused with what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ltbench.plugin.errors import UserError
from ltbench.testing.trees import Tree
from tests.data.formats.coco.coco_toys import instances, opened, rewrite


def _drop_images(document: dict[str, Any]) -> None:
    del document["images"]


def _stray_image(document: dict[str, Any]) -> None:
    document["annotations"][3]["image_id"] = 424242


def _stray_category(document: dict[str, Any]) -> None:
    document["annotations"][2]["category_id"] = 12


def _no_box(document: dict[str, Any]) -> None:
    del document["annotations"][1]["bbox"]


def _other_categories(document: dict[str, Any]) -> None:
    document["categories"][0]["name"] = "unicorn"


def _half_the_categories(document: dict[str, Any]) -> None:
    document["categories"] = document["categories"][:48]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (_stray_image, r"instances_train2017\.json: annotation 3 is of image 424242, which the file does not list"),
        (_stray_category, "annotation 2 is of category 12, which the file does not list"),
        (_no_box, r"no COCO annotation file \(Object missing required field `bbox` - at `\$\.annotations\[1\]`\)"),
        (_other_categories, r"does not list COCO's 80 categories \(2 differ, e\.g\. person, unicorn\)"),
        (_half_the_categories, r"does not list COCO's 80 categories \(32 differ"),
    ],
)
def test_labels_that_are_not_cocos(
    change: Callable[[dict[str, Any]], None], match: str, tree: Tree, tmp_path: Path
) -> None:
    rewrite(instances(tree), change)
    part = opened(tree, tmp_path).part("train")
    with pytest.raises(UserError, match=match) as caught:
        part.read_labels()
    assert "ltbench data prepare" in caught.value.hint
    assert not list((tmp_path / "cache" / "parsed" / "coco-labels.1").glob("*"))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (_drop_images, "no COCO annotation file .*`images`"),
        (lambda d: d.update(images=[]), r"instances_train2017\.json lists no images"),
        (lambda d: d["images"].append(d["images"][0]), r"lists image 0+17\.jpg \(id 17\) more than once"),
        (lambda d: d["images"].append({**d["images"][0], "id": 5}), r"lists image 0+17\.jpg \(id 5\) more than once"),
        (lambda d: d["images"][0].update(file_name="../17.jpg"), r"image 17 has the file name '\.\./17\.jpg'"),
        (lambda d: d["images"][0].update(id="17"), r"Expected `int`, got `str` - at `\$\.images\[0\]\.id`"),
    ],
)
def test_images_that_are_not_cocos(
    change: Callable[[dict[str, Any]], None], match: str, tree: Tree, tmp_path: Path
) -> None:
    rewrite(instances(tree), change)
    with pytest.raises(UserError, match=match):
        opened(tree, tmp_path).part("train")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", r"instances_train2017\.json is empty \(0 bytes\)"),
        (b"file,split,labels\n", "is no JSON or is cut off"),
        (b"[1, 2]", "no COCO annotation file"),
        (b'{"images": [{"id": 1, "file_name": "\xff\xfe"}]}', "is no JSON or is cut off|no COCO annotation file"),
    ],
)
def test_files_that_are_no_json_of_coco(content: bytes, match: str, tree: Tree, tmp_path: Path) -> None:
    instances(tree).write_bytes(content)
    with pytest.raises(UserError, match=match):
        opened(tree, tmp_path).part("train")


def test_a_file_that_is_cut_off(tree: Tree, tmp_path: Path) -> None:
    content = instances(tree).read_bytes()
    instances(tree).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"instances_train2017\.json is no JSON or is cut off"):
        opened(tree, tmp_path).part("train").read_labels()
