"""The COCO reader: the genuine format, two rules of presence, captions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltbench.data.formats.names import COCO_CLASSES
from ltbench.plugin.errors import UserError
from ltbench.testing.trees import Tree
from tests.data.formats.coco.coco_toys import instances, opened, rewrite


def test_parts(tree: Tree, tmp_path: Path) -> None:
    data = opened(tree, tmp_path)
    assert data.parts == ("train", "train+valid-boxes", "val", "val+valid-boxes")
    assert data.class_names == COCO_CLASSES
    labels = data.part("val").read_labels()
    assert labels.dtype == np.int8
    assert set(np.unique(labels)) == {-1, 1}
    # Images without an annotation are rows like any other.
    assert (labels[-1] == -1).all()


def test_two_rules_of_presence(tree: Tree, tmp_path: Path) -> None:
    data = opened(tree, tmp_path)
    seen = 0
    for part in ("train", "val"):
        plain, strict = data.part(part).read_labels(), data.part(f"{part}+valid-boxes").read_labels()
        for row, name in enumerate(data.part(part).ids):
            gone = {COCO_CLASSES[column] for column in np.flatnonzero(plain[row] != strict[row])}
            assert gone == set(tree.disputed.get(name, ()))
            seen += len(gone)
        assert (strict[plain == -1] == -1).all()
    assert seen


@pytest.mark.parametrize(
    ("area", "box", "valid"),
    [
        (1.0, [0, 0, 1, 1], True),
        (0.0, [0, 0, 5, 5], False),
        (5.0, [0, 0, 0.99, 5], False),
        (5.0, [0, 0, 5, 0.99], False),
    ],
)
def test_a_box_has_to_have_area_and_a_pixel_each_way(
    area: float, box: list[float], valid: bool, tree: Tree, tmp_path: Path
) -> None:
    def change(document: dict[str, Any]) -> None:
        number = document["images"][0]["id"]
        document["annotations"] = [
            {"id": 1, "image_id": number, "category_id": 1, "area": area, "bbox": box, "iscrowd": 1, "segmentation": []}
        ]

    rewrite(instances(tree), change)
    data = opened(tree, tmp_path)
    assert data.part("train").read_labels()[0, 0] == 1
    assert data.part("train+valid-boxes").read_labels()[0, 0] == (1 if valid else -1)


def test_one_valid_box_is_enough(tree: Tree, tmp_path: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        common = {"image_id": document["images"][0]["id"], "category_id": 90, "iscrowd": 0, "segmentation": []}
        flat, good = {"area": 0.0, "bbox": [0, 0, 0, 0]}, {"area": 9.0, "bbox": [0, 0, 3, 3]}
        document["annotations"] = [{**common, **box, "id": place} for place, box in enumerate((flat, good, flat))]

    rewrite(instances(tree), change)
    labels = opened(tree, tmp_path).part("train+valid-boxes").read_labels()
    assert np.argwhere(labels == 1).tolist() == [[0, 79]]


def test_captions_are_the_first_in_the_order_of_the_file(tree: Tree, tmp_path: Path) -> None:
    path = tree.root / "coco" / "annotations" / "captions_train2017.json"
    rewrite(path, lambda document: document["annotations"].reverse())
    part = opened(tree, tmp_path).part("train")
    assert part.read_captions is not None
    shown = [" and ".join(f"a {name}" for name in tree.labels[row]) for row in part.ids]
    assert part.read_captions() == tuple(f"A view of {names}." for names in shown)


def test_missing_captions_are_named(tree: Tree, tmp_path: Path) -> None:
    path = tree.root / "coco" / "annotations" / "captions_train2017.json"
    number = int(tree.ids["train"][0].removesuffix(".jpg"))
    rewrite(
        path,
        lambda document: document.update(
            annotations=[caption for caption in document["annotations"] if caption["image_id"] != number]
        ),
    )
    read = opened(tree, tmp_path).part("train").read_captions
    assert read is not None
    with pytest.raises(UserError, match=rf"captions_train2017\.json has no caption of {tree.ids['train'][0]}"):
        read()
    path.unlink()
    with pytest.raises(UserError, match=r"annotations/captions_train2017\.json is missing"):
        read()
