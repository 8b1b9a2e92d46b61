"""The NUS-WIDE reader: concepts and tags by place in the official list, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ltbench.data.base import DataRoot, DataSet
from ltbench.data.formats.nus_names import NUS_CLASSES, NUS_CONCEPTS, NUS_GROUPS, NUS_TAGS
from ltbench.data.formats.nus_wide import nus_wide_status, open_nus_wide
from ltbench.plugin.errors import UserError
from ltbench.testing.trees import Tree, make_tree

SMALL = (32, 24)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return make_tree("nus-wide", tmp_path / "root", images=5, image_size=SMALL)


def opened(tree: Tree, tmp_path: Path) -> DataSet:
    return open_nus_wide(DataRoot(cache=tmp_path / "cache", root=tree.root))


def test_parts_and_columns(tree: Tree, tmp_path: Path) -> None:
    data = opened(tree, tmp_path)
    assert data.parts == ("train", "train+concepts", "test", "test+concepts", "all", "all+concepts")
    assert set(data.part("all").ids) == {*data.part("train").ids, *data.part("test").ids}
    assert len(data.class_names) == len(set(data.class_names)) == 1006
    assert data.class_names[:81] == NUS_CONCEPTS
    # The lists of the parts are in another order than the list of all, as in the genuine data set.
    assert list(data.part("train").ids) != sorted(data.part("train").ids)
    assert "/" in data.part("test").ids[0]


def test_tags_are_read_by_their_names(tree: Tree, tmp_path: Path) -> None:
    """The file of tags names its columns; another order of the names is another order of the columns."""
    before = opened(tree, tmp_path).part("train").read_labels()
    folder = tree.root / "NUS-WIDE" / "NUS_WID_Tags"
    names = (folder / "TagList1k.txt").read_text().split()
    (folder / "TagList1k.txt").write_text("\n".join(reversed(names)))
    lines = (folder / "AllTags1k.txt").read_text().splitlines()
    (folder / "AllTags1k.txt").write_text("\n".join(" ".join(reversed(line.split())) for line in lines))
    np.testing.assert_array_equal(opened(tree, tmp_path).part("train").read_labels(), before)
    (folder / "TagList1k.txt").write_text("\n".join(names))
    assert (opened(tree, tmp_path).part("train").read_labels() != before).any()


def test_concepts_alone_need_no_tags(tree: Tree, tmp_path: Path) -> None:
    whole = opened(tree, tmp_path).part("test").read_labels()
    assert set(np.unique(whole)) == {-1, 1}
    shutil.rmtree(tree.root / "NUS-WIDE" / "NUS_WID_Tags")
    labels = opened(tree, tmp_path).part("test+concepts").read_labels()
    np.testing.assert_array_equal(labels[:, :81], whole[:, :81])
    assert (labels[:, 81:] == 0).all()
    with pytest.raises(UserError, match=r"NUS_WID_Tags/AllTags1k\.txt or .* is missing \(the tags\)"):
        opened(tree, tmp_path).part("test").read_labels()
    assert nus_wide_status(DataRoot(cache=tmp_path / "cache", root=tree.root))[0].state == "partly"


def test_opening_a_part_reads_no_labels(tree: Tree, tmp_path: Path) -> None:
    shutil.rmtree(tree.root / "NUS-WIDE" / "Groundtruth")
    shutil.rmtree(tree.root / "NUS-WIDE" / "NUS_WID_Tags")
    part = opened(tree, tmp_path).part("train")
    assert part.ids == tree.ids["train"]
    assert part.images.load(0).size == SMALL
    with pytest.raises(UserError, match=r"Groundtruth/AllLabels or .* is missing"):
        part.read_labels()


def test_damaged_files_of_the_parts_are_passed_by(tree: Tree, tmp_path: Path) -> None:
    (tree.root / "NUS-WIDE" / "Groundtruth" / "TrainTestLabels" / "Labels_lake_Train.txt").write_text("-1130179\n")
    assert set(np.unique(opened(tree, tmp_path).part("train").read_labels())) == {-1, 1}


def test_other_names_of_folders(tree: Tree, tmp_path: Path) -> None:
    folder = tree.root / "NUS-WIDE"
    (folder / "Flickr").rename(folder / "images")
    (folder / "Groundtruth" / "AllLabels").rename(folder / "AllLabels")
    for path in (folder / "ImageList").iterdir():
        path.rename(folder / path.name)
    folder.rename(tree.root / "nus_wide")
    part = opened(tree, tmp_path).part("test")
    assert part.ids == tree.ids["test"]
    assert part.images.load(0).size == SMALL
    assert (part.read_labels() == 1).any()
    assert nus_wide_status(DataRoot(cache=tmp_path / "cache", root=tree.root))[0].state == "here"


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def _replace_first(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new, 1))


@pytest.mark.parametrize(
    ("name", "change", "match"),
    [
        ("Groundtruth/AllLabels/Labels_zebra.txt", lambda p: append(p, "1\n"), r"\w+\.txt has 10 lines, others 11"),
        (
            "Groundtruth/AllLabels/Labels_lake.txt",
            lambda p: p.write_text("0\n-1130179\n"),
            "lake.txt line 2 is neither",
        ),
        ("Groundtruth/AllLabels/Labels_sky.txt", Path.unlink, r"AllLabels lacks Labels_sky\.txt"),
        ("ImageList/Imagelist.txt", lambda p: append(p, "a\\b.jpg\n"), "has 10 rows, Imagelist.txt has 11"),
        ("ImageList/Imagelist.txt", lambda p: p.write_text("a\\b.jpg\n"), r"Imagelist\.txt lacks 5 images: \w+/"),
        ("NUS_WID_Tags/AllTags1k.txt", lambda p: append(p, "0\t1\n"), "line 11 is not 1000 times 0 or 1"),
        ("NUS_WID_Tags/AllTags1k.txt", lambda p: _replace_first(p, "1", "7"), "line 1 is not 1000 times 0 or 1"),
        ("NUS_WID_Tags/AllTags1k.txt", lambda p: p.write_text(""), r"AllTags1k\.txt is empty"),
        ("NUS_WID_Tags/TagList1k.txt", lambda p: append(p, "unicorn\n"), r"TagList1k\.txt is not the official list"),
        ("NUS_WID_Tags/TagList1k.txt", lambda p: _replace_first(p, "nature", "unicorn"), "is not the official list"),
    ],
)
def test_labels_that_do_not_fit(
    name: str, change: Callable[[Path], object], match: str, tree: Tree, tmp_path: Path
) -> None:
    change(tree.root / "NUS-WIDE" / name)
    with pytest.raises(UserError, match=match):
        opened(tree, tmp_path).part("train").read_labels()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a\\b.jpg\na\\b.jpg\n", r"TrainImagelist\.txt lists a/b\.jpg more than once"),
        ("..\\..\\b.jpg\n", "which is no path below the photographs"),
        ("\n\n", r"TrainImagelist\.txt is empty"),
    ],
)
def test_lists_that_cannot_be_used(text: str, match: str, tree: Tree, tmp_path: Path) -> None:
    (tree.root / "NUS-WIDE" / "ImageList" / "TrainImagelist.txt").write_text(text)
    with pytest.raises(UserError, match=match):
        opened(tree, tmp_path).part("train")


def test_nothing_here(tmp_path: Path) -> None:
    root = DataRoot(cache=tmp_path, root=tmp_path)
    with pytest.raises(UserError, match="NUS-WIDE is not below"):
        open_nus_wide(root)
    assert nus_wide_status(root)[0].state == "missing"


def test_a_photograph_that_flickr_lost(tree: Tree, tmp_path: Path) -> None:
    lost = tree.ids["test"][2]
    (tree.root / "NUS-WIDE" / "Flickr" / lost).unlink()
    images = opened(tree, tmp_path).part("test").images
    with pytest.raises(UserError, match=rf"image {lost.rpartition('/')[2]} is missing"):
        images.load(2)


def test_classes_and_groups_are_the_published_ones(shared: Path) -> None:
    golden = shared / "golden" / "limited-labels"
    split = json.loads((golden / "nus_925_81.json").read_text())
    assert list(NUS_CONCEPTS) == split["unseen"]
    assert list(NUS_TAGS) == split["seen"]
    assert NUS_CLASSES == NUS_CONCEPTS + NUS_TAGS
    groups = json.loads((golden / "hspnet_groups.json").read_text())["nus"]
    assert list(NUS_CONCEPTS) == groups["labels"]
    assert {name: list(members) for name, members in NUS_GROUPS.items()} == groups["members"]
    assert list(NUS_GROUPS) == groups["groups"]
