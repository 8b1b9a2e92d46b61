"""The makers of small trees: what they write is what the readers read, and it looks like the genuine thing."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from ltbench.data.base import DataRoot, DataSet
from ltbench.plugin.errors import UnknownName, UserError
from ltbench.plugin.manager import registry
from ltbench.testing.trees import TREES, make_tree

SMALL = (32, 24)


def open_tree(name: str, root: Path, cache: Path) -> DataSet:
    data: DataSet = registry().datasets.get(name).spec.load()(DataRoot(cache=cache, root=root))
    return data


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", TREES)
def test_readers_read_what_was_written(name: str, tmp_path: Path) -> None:
    tree = make_tree(name, tmp_path / "root", images=9, seed=3, image_size=SMALL)
    data = open_tree(name, tree.root, tmp_path / "cache")
    plain = [part for part in data.parts if "+" not in part]
    assert set(plain) == set(tree.ids)
    assert all(tree.labels[name] for name in tree.ids["train"])
    for part in plain:
        opened = data.part(part)
        assert opened.ids == tree.ids[part]
        labels = opened.read_labels()
        assert labels.shape == (len(opened), len(data.class_names))
        for row, values in zip(opened.ids, labels, strict=True):
            shown = tuple(class_name for class_name, value in zip(data.class_names, values, strict=True) if value == 1)
            assert shown == tree.labels[row]
        assert opened.images.load(len(opened) - 1).size == SMALL
        assert len({opened.images.sha256(row) for row in range(len(opened))}) == len(opened)


@pytest.mark.parametrize("name", TREES)
def test_same_call_writes_the_same_bytes(name: str, tmp_path: Path) -> None:
    for folder, seed in (("one", 1), ("two", 1), ("other", 2)):
        make_tree(name, tmp_path / folder, images=4, seed=seed, image_size=SMALL)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert files(tmp_path / "one") != files(tmp_path / "other")


@pytest.mark.parametrize(
    ("name", "size"),
    [("voc2007", (500, 375)), ("coco2017", (640, 480)), ("nus-wide", (240, 180)), ("cub", (500, 400))],
)
def test_photographs_have_the_usual_size(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    make_tree(name, tmp_path, images=1)
    pictures = list(tmp_path.rglob("*.jpg"))
    assert pictures
    for path in pictures:
        with Image.open(path) as image:
            assert (image.format, image.size, image.mode) == ("JPEG", size, "RGB")


def test_ids_and_labels_of_a_real_split(tmp_path: Path) -> None:
    ids = ("2008_000008", "2011_003276", "2009_000001")
    labels = {"2008_000008": ["person", "horse"], "2011_003276": ["cat"], "2009_000001": []}
    tree = make_tree("voc2012", tmp_path, images={"trainval": ids}, labels=labels, image_size=SMALL)
    assert tree.ids["trainval"] == ids
    assert set(tree.ids["train"]) | set(tree.ids["val"]) == set(ids)
    assert tree.labels["2008_000008"] == ("horse", "person")
    assert not tree.disputed
    data = open_tree("voc2012", tmp_path, tmp_path / "cache")
    for part in ("trainval", "trainval+difficult-negative", "trainval+difficult-unknown"):
        assert data.part(part).ids == ids
        assert (data.part(part).read_labels() == 1).sum(axis=1).tolist() == [2, 1, 0]


def test_data_sets_share_a_root(tmp_path: Path) -> None:
    make_tree("voc2007", tmp_path, images=2, image_size=SMALL)
    before = files(tmp_path)
    make_tree("voc2012", tmp_path, images=2, image_size=SMALL)
    assert before.items() <= files(tmp_path).items()


def test_voc_lists_of_classes_agree_with_the_annotations(tmp_path: Path) -> None:
    """``Main/<class>_<part>.txt``: 1 present, 0 shown by difficult objects only, -1 absent."""
    tree = make_tree("voc2007", tmp_path, images=30, image_size=SMALL)
    folder = tmp_path / "VOCdevkit" / "VOC2007"
    seen = set()
    for line in (folder / "ImageSets" / "Main" / "person_trainval.txt").read_text().splitlines():
        name, value = line.split()
        root = ElementTree.parse(folder / "Annotations" / f"{name}.xml").getroot()
        flags = [item.findtext("difficult") for item in root.findall("object") if item.findtext("name") == "person"]
        assert int(value) == (1 if "0" in flags else 0 if flags else -1)
        seen.add(value)
    assert seen == {"1", "0", "-1"}
    assert tree.disputed


def test_coco_files_have_what_the_genuine_ones_have(tmp_path: Path) -> None:
    make_tree("coco2017", tmp_path, images=30, image_size=SMALL)
    document = json.loads((tmp_path / "coco" / "annotations" / "instances_train2017.json").read_text())
    assert len(document["categories"]) == 80
    assert {annotation["iscrowd"] for annotation in document["annotations"]} == {0, 1}
    assert any(annotation["bbox"][2] < 1 for annotation in document["annotations"])
    numbers = [annotation["id"] for annotation in document["annotations"]]
    assert len(set(numbers)) == len(numbers)


def test_what_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'voc2007'"):
        make_tree("voc207", tmp_path)
    with pytest.raises(UserError, match="no parts"):
        make_tree("coco2017", tmp_path, images={"test": 3})
    with pytest.raises(UserError, match="no parts"):
        make_tree("voc2012", tmp_path, images={"train": 3, "trainval": 3})
    with pytest.raises(UserError, match="'12' is no id"):
        make_tree("voc2007", tmp_path, images={"train": ["12"]})
    with pytest.raises(UserError, match="stands twice"):
        make_tree("voc2007", tmp_path, images={"train": ["000012"], "val": ["000012"]})
    with pytest.raises(UserError, match="no class 'unicorn'"):
        make_tree("voc2007", tmp_path, images={"train": ["000012"]}, labels={"000012": ["unicorn"]})
    assert not list(tmp_path.iterdir())
