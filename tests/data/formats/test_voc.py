"""The Pascal VOC reader: three countings of difficult objects, layouts, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ltbench.data.base import DataRoot
from ltbench.data.formats.names import VOC_CLASSES, VOC_GROUPS
from ltbench.data.formats.voc import open_voc2007, open_voc2012, voc2007_status, voc2012_status
from ltbench.data.formats.voc_xml import read_objects
from ltbench.plugin.errors import UserError
from ltbench.testing.trees import Tree, make_tree

SMALL = (32, 24)
ID = "000001"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return make_tree("voc2007", tmp_path / "root", images=8, image_size=SMALL)


def rooted(tree: Tree, tmp_path: Path) -> DataRoot:
    return DataRoot(cache=tmp_path / "cache", root=tree.root)


def kit(tree: Tree) -> Path:
    return tree.root / "VOCdevkit" / "VOC2007"


def test_parts_and_order(tree: Tree, tmp_path: Path) -> None:
    data = open_voc2007(rooted(tree, tmp_path))
    assert data.class_names == VOC_CLASSES
    assert [part for part in data.parts if "+" not in part] == ["train", "val", "trainval", "test"]
    assert set(data.part("trainval").ids) == {*data.part("train").ids, *data.part("val").ids}
    assert data.part("test").ids[0].isdecimal()
    make_tree("voc2012", tree.root, images=2, image_size=SMALL)
    assert not any(part.startswith("test") for part in open_voc2012(rooted(tree, tmp_path)).parts)


@pytest.mark.parametrize("part", ["trainval", "test"])
def test_three_countings_of_difficult_objects(part: str, tree: Tree, tmp_path: Path) -> None:
    data = open_voc2007(rooted(tree, tmp_path))
    plain = data.part(part).read_labels()
    unknown = data.part(f"{part}+difficult-unknown").read_labels()
    negative = data.part(f"{part}+difficult-negative").read_labels()
    disputed = np.zeros_like(plain, dtype=bool)
    for row, name in enumerate(data.part(part).ids):
        for class_name in tree.disputed.get(name, ()):
            disputed[row, VOC_CLASSES.index(class_name)] = True
    assert disputed.any()
    assert set(np.unique(plain)) == {-1, 1}
    np.testing.assert_array_equal(unknown, np.where(disputed, 0, plain))
    np.testing.assert_array_equal(negative, np.where(disputed, -1, plain))
    assert (plain[disputed] == 1).all()


def test_difficult_negative_is_what_the_lists_of_classes_say(tree: Tree, tmp_path: Path) -> None:
    part = open_voc2007(rooted(tree, tmp_path)).part("test+difficult-negative")
    labels = part.read_labels()
    for column, class_name in enumerate(VOC_CLASSES):
        lines = (kit(tree) / "ImageSets" / "Main" / f"{class_name}_test.txt").read_text().splitlines()
        assert [line.split()[1] == "1" for line in lines] == (labels[:, column] == 1).tolist()


def test_opening_a_part_reads_no_annotation(tree: Tree, tmp_path: Path) -> None:
    shutil.rmtree(kit(tree) / "Annotations")
    part = open_voc2007(rooted(tree, tmp_path)).part("test")
    assert len(part) == 8
    assert part.images.load(0).size == SMALL
    with pytest.raises(UserError, match="VOC2007/Annotations is missing"):
        part.read_labels()


def test_labels_are_fresh_each_time(tree: Tree, tmp_path: Path) -> None:
    part = open_voc2007(rooted(tree, tmp_path)).part("train")
    part.read_labels()[:] = 0
    assert (part.read_labels() != 0).all()


@pytest.mark.parametrize("kit_folder", ["VOCdevkit", "", "voc/VOCdevkit", "VOCdevkit2007"])
def test_layouts(kit_folder: str, tree: Tree, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(kit(tree), other / kit_folder / "VOC2007")
    found = open_voc2007(DataRoot(cache=tmp_path / "cache", root=other)).part("train")
    assert found.ids == tree.ids["train"]


def test_the_data_root_may_be_the_year_itself(tree: Tree, tmp_path: Path) -> None:
    root = DataRoot(cache=tmp_path / "cache", root=kit(tree))
    assert open_voc2007(root).part("val").ids == tree.ids["val"]
    assert voc2007_status(root)[0].state == "here"
    with pytest.raises(UserError, match="VOC2012 is not below VOC2007"):
        open_voc2012(root)


def test_prepared_data_in_the_cache(tree: Tree, tmp_path: Path) -> None:
    shutil.move(tree.root, tmp_path / "cache" / "data")
    assert len(open_voc2007(DataRoot(cache=tmp_path / "cache", root=None)).part("test")) == 8


def test_a_missing_year_is_named(tree: Tree, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"VOC2012 is not below root .*; VOC2007 is here") as caught:
        open_voc2012(rooted(tree, tmp_path))
    assert "ltbench data prepare" in caught.value.hint
    with pytest.raises(UserError, match="no --data-root is given"):
        open_voc2007(DataRoot(cache=tmp_path / "nothing", root=None))
    assert voc2012_status(rooted(tree, tmp_path))[0].state == "missing"
    status = voc2007_status(rooted(tree, tmp_path))[0]
    assert (status.state, status.detail) == ("here", "")
    assert status.bytes > 10_000


def test_a_missing_test_part_is_named(tree: Tree, tmp_path: Path) -> None:
    (kit(tree) / "ImageSets" / "Main" / "test.txt").unlink()
    with pytest.raises(UserError, match=r"Main/test\.txt is missing \(VOCtest_06-Nov-2007\.tar has it\)"):
        open_voc2007(rooted(tree, tmp_path)).part("test")
    status = voc2007_status(rooted(tree, tmp_path))[0]
    assert status.state == "partly"
    assert "test.txt" in status.detail


def test_missing_and_empty_photographs_are_named(tree: Tree, tmp_path: Path) -> None:
    (kit(tree) / "JPEGImages" / f"{ID}.jpg").write_bytes(b"")
    (kit(tree) / "JPEGImages" / "000002.jpg").unlink()
    images = open_voc2007(rooted(tree, tmp_path)).part("train").images
    with pytest.raises(UserError, match=r"image 000001\.jpg cannot be decoded \(0 bytes\)"):
        images.load(0)
    with pytest.raises(UserError, match=r"image 000002\.jpg is missing"):
        images.load(1)
    assert images.load(2).size == SMALL


def test_missing_annotations_are_counted_and_named(tree: Tree, tmp_path: Path) -> None:
    for name in ("000001", "000002"):
        (kit(tree) / "Annotations" / f"{name}.xml").unlink()
    said = r"2 of 8 annotations are missing: 000001\.xml, 000002\.xml.* ltbench data prepare TASK --repair"
    with pytest.raises(UserError, match=said):
        open_voc2007(rooted(tree, tmp_path)).part("train").read_labels()


def test_duplicate_ids_are_named(tree: Tree, tmp_path: Path) -> None:
    path = kit(tree) / "ImageSets" / "Main" / "train.txt"
    path.write_text(path.read_text() + f"{ID}\n")
    with pytest.raises(UserError, match=rf"train\.txt lists {ID} more than once"):
        open_voc2007(rooted(tree, tmp_path)).part("train")


OBJECT = "<object><name>{}</name><difficult>0</difficult></object>"
LAUGHS = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY l "ha"><!ENTITY m "&l;&l;&l;">]><annotation>&m;</annotation>'
OUTSIDE = (
    '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><annotation><object><name>&x;</name></object></annotation>'
)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("<annotation><object>", r"000001\.xml is damaged \(broken XML: no element found: line 1"),
        ("", r"000001\.xml is damaged \(broken XML"),
        ("\0\1\2", r"000001\.xml is damaged \(broken XML"),
        (LAUGHS, r"000001\.xml is damaged \(it declares a document type"),
        (OUTSIDE, r"000001\.xml is damaged \(it declares a document type"),
        ("<annotation>&nbsp;</annotation>", r"000001\.xml is damaged \(broken XML: undefined entity"),
        ("<html></html>", r"000001\.xml is no VOC annotation \(its root is <html>\)"),
        ("<annotation><object></object></annotation>", r"000001\.xml is damaged \(an object without a name\)"),
        (f"<annotation>{OBJECT.format('unicorn')}</annotation>", "names 'unicorn', which is no class of Pascal VOC"),
    ],
)
def test_broken_annotations_are_named(text: str, match: str, tree: Tree, tmp_path: Path) -> None:
    (kit(tree) / "Annotations" / f"{ID}.xml").write_text(text)
    with pytest.raises(UserError, match=match):
        open_voc2007(rooted(tree, tmp_path)).part("train").read_labels()


def test_every_broken_annotation_is_told(tree: Tree, tmp_path: Path) -> None:
    for name in tree.ids["train"][:5]:
        (kit(tree) / "Annotations" / f"{name}.xml").write_text("<annotation>")
    with pytest.raises(UserError) as caught:
        open_voc2007(rooted(tree, tmp_path)).part("train").read_labels()
    told = "\n".join([caught.value.message, *caught.value.details])
    assert all(f"{name}.xml is damaged (broken XML" in told for name in tree.ids["train"][:5])


def test_an_annotation_as_large_as_an_archive_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.xml"
    with path.open("wb") as file:
        file.truncate(17 * 2**20)
    with pytest.raises(UserError, match=r"large\.xml is damaged \(it has 17825792 bytes"):
        read_objects(path)


def test_parts_of_objects_and_other_names_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "one.xml"
    path.write_text(
        "<annotation><name>cat</name><source><name>dog</name></source>"
        "<object><name> person </name><part><name>head</name><difficult>1</difficult></part></object>"
        "<object><difficult>1</difficult><name>chair</name></object></annotation>"
    )
    assert read_objects(path) == [("person", False), ("chair", True)]


def test_complete_labels_of_voc2012_come_back(shared: Path, tmp_path: Path) -> None:
    """Labels of genuine VOC2012 images, written in the true format and read again."""
    stored = np.load(shared / "data" / "voc2012_trainval_labels.npz")
    ids, labels = [str(name) for name in stored["ids"][::80]], stored["labels"][::80]
    assert len(ids) > 140
    names = {
        row: [VOC_CLASSES[column] for column in np.flatnonzero(values == 1)]
        for row, values in zip(ids, labels, strict=True)
    }
    make_tree("voc2012", tmp_path / "root", images={"trainval": ids}, labels=names, image_size=(8, 8))
    part = open_voc2012(DataRoot(cache=tmp_path / "cache", root=tmp_path / "root")).part("trainval")
    assert part.ids == tuple(ids)
    np.testing.assert_array_equal(part.read_labels() == 1, labels == 1)


def test_classes_and_groups_are_those_of_hspnet(shared: Path) -> None:
    golden = json.loads((shared / "golden" / "limited-labels" / "hspnet_groups.json").read_text())["voc"]
    assert list(VOC_CLASSES) == golden["labels"]
    assert {name: list(members) for name, members in VOC_GROUPS.items()} == golden["members"]
    assert list(VOC_GROUPS) == golden["groups"]
