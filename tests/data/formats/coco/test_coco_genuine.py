"""All of a genuine sample of MS-COCO 2017 through the reader: 50 + 50 images, official annotation files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ltbench.data.base import DataRoot, DataSet
from ltbench.data.formats.coco import open_coco2017
from ltbench.data.formats.names import COCO_CATEGORY_IDS, COCO_CLASSES, COCO_GROUPS
from tests.conftest import SHARED


@pytest.fixture(scope="module")
def sample() -> Path:
    folder = SHARED / "data" / "tiny_coco"
    if not folder.is_dir():
        pytest.skip("needs the genuine sample in ../shared/data/tiny_coco, which is not part of the project")
    return folder


@pytest.fixture(scope="module", params=["the folder itself", "below coco", "below coco, photographs below images"])
def data(request: pytest.FixtureRequest, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    place = tmp_path_factory.mktemp("genuine")
    root = sample
    if request.param != "the folder itself":
        root = place / "root"
        shutil.copytree(sample / "annotations", root / "coco" / "annotations")
        pictures = root / "coco" / ("images" if "images" in request.param else "")
        for split in ("train2017", "val2017"):
            shutil.copytree(sample / split, pictures / split)
    return open_coco2017(DataRoot(cache=place / "cache", root=root))


@pytest.mark.parametrize("split", ["train", "val"])
def test_labels_are_those_of_the_file(split: str, data: DataSet, sample: Path) -> None:
    document = json.loads((sample / "annotations" / f"instances_{split}2017.json").read_text())
    part = data.part(split)
    assert part.ids == tuple(image["file_name"] for image in document["images"])
    expected = np.full((50, 80), -1, dtype=np.int8)
    row = {image["id"]: place for place, image in enumerate(document["images"])}
    for annotation in document["annotations"]:
        expected[row[annotation["image_id"]], COCO_CATEGORY_IDS.index(annotation["category_id"])] = 1
    np.testing.assert_array_equal(part.read_labels(), expected)
    assert any(annotation["iscrowd"] for annotation in document["annotations"])
    # One image of train and two of val show no category, and stay.
    assert int((expected == -1).all(axis=1).sum()) == {"train": 1, "val": 2}[split]


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_photograph_opens_at_its_size(split: str, data: DataSet, sample: Path) -> None:
    document = json.loads((sample / "annotations" / f"instances_{split}2017.json").read_text())
    images = data.part(split).images
    sizes = [images.load(row).size for row in range(len(images))]
    assert sizes == [(image["width"], image["height"]) for image in document["images"]]
    assert len({images.sha256(row) for row in range(len(images))}) == 50


@pytest.mark.parametrize("split", ["train", "val"])
def test_captions(split: str, data: DataSet, sample: Path) -> None:
    document = json.loads((sample / "annotations" / f"captions_{split}2017.json").read_text())
    part = data.part(split)
    assert part.read_captions is not None
    numbers = {image["file_name"]: image["id"] for image in document["images"]}
    found = part.read_captions()
    for name, caption in zip(part.ids, found, strict=True):
        written = next(each["caption"] for each in document["annotations"] if each["image_id"] == numbers[name])
        assert caption == " ".join(written.split())
        assert caption == caption.strip() != ""


def test_categories_are_the_facts(sample: Path) -> None:
    document = json.loads((sample / "annotations" / "instances_val2017.json").read_text())
    assert tuple(category["name"] for category in document["categories"]) == COCO_CLASSES
    assert tuple(category["id"] for category in document["categories"]) == COCO_CATEGORY_IDS
    groups: dict[str, list[str]] = {}
    for category in document["categories"]:
        groups.setdefault(category["supercategory"], []).append(category["name"])
    assert groups == {name: list(members) for name, members in COCO_GROUPS.items()}
    assert list(groups) == list(COCO_GROUPS)


def test_labels_agree_with_the_list_of_coco_lt(shared: Path, data: DataSet) -> None:
    """Where the published COCO-LT test list has an image of the sample, it shows the same classes."""
    (path,) = (shared / "data" / "mirror" / "github" / "richard-peng-xia" / "LMPT").glob("*/data/coco/coco_lt_test.txt")
    lines = [line.split() for line in path.read_text().splitlines()]
    listed = {name.rpartition("/")[2]: sorted(int(value) for value in values) for name, *values in lines}
    part = data.part("val+valid-boxes")
    for name, values in zip(part.ids, part.read_labels(), strict=True):
        assert np.flatnonzero(values == 1).tolist() == listed[name]
