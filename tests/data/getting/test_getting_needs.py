"""What a task or a data set needs, and what it is made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from toy_pieces import COMMIT, make, on_github

from ltbench.data.base import DataRoot
from ltbench.data.getting import archives
from ltbench.data.getting.needs import Needs
from ltbench.plugin.errors import UserError
from ltbench.plugin.manager import registry
from ltbench.tasks.needs import needs_of, parts_of, pieces_of
from ltbench.tasks.registry import load_task


@pytest.mark.parametrize(
    ("data_set", "part", "names"),
    [
        ("voc2007", "trainval", ["VOCtrainval_06-Nov-2007.tar"]),
        ("voc2007", "test+difficult-unknown", ["VOCtest_06-Nov-2007.tar"]),
        ("voc2012", "train", ["VOCtrainval_11-May-2012.tar"]),
        ("coco2014", "val", ["annotations_trainval2014.zip", "val2014.zip"]),
        ("coco2017", "train+valid-boxes", ["annotations_trainval2017.zip", "train2017.zip"]),
        ("cub", "test", ["CUB_200_2011.tgz"]),
        ("nus-wide", "test", ["ImageList", "Groundtruth", "NUS_WID_Tags", "Flickr"]),
        ("nus-wide", "test+concepts", ["ImageList", "Groundtruth", "Flickr"]),
        ("shapes", "test", []),
    ],
)
def test_a_part_needs_its_own_archives_only(data_set: str, part: str, names: list[str]) -> None:
    assert [piece.name for piece in pieces_of(data_set, [part])] == names


def test_official_pieces_say_what_they_are(root: DataRoot) -> None:
    for item in registry().datasets:
        for each in pieces_of(item.spec.name):
            assert each.layout.data_set == item.spec.name
            assert each.licence or each.by_hand
            assert (each.source is None) == bool(each.by_hand)
            if each.source is not None and each.source.sha256 is None:
                assert each.source.unpinned == archives.NO_HASH
            assert not each.shown(root)


def test_archives_are_pinned_where_a_sha256_was_published() -> None:
    sources = [each.source for item in registry().datasets for each in pieces_of(item.spec.name) if each.source]
    assert sum(source.sha256 is not None and source.unpack is not None for source in sources) == 10
    assert sorted(source.name for source in sources if source.sha256 is None) == ["images.zip", "images2.zip"]
    assert all(source.size for source in sources)


def test_the_shapes_need_nothing_from_elsewhere() -> None:
    assert needs_of("shapes-lt") == Needs("shapes-lt")
    assert parts_of(load_task("shapes-lt")) == {"shapes": ("train-lt", "val", "test")}


def test_a_name_that_is_neither_task_nor_data_set() -> None:
    with pytest.raises(UserError, match=r"unknown task or data set 'coco2041'; did you mean .*'coco2014'"):
        needs_of("coco2041")


def test_where_a_source_lies() -> None:
    source = on_github(path="data/a b+c.txt")
    assert source.layout == f"github/acme/LTs.x/{COMMIT}/data/a b+c.txt"
    assert source.url == f"https://raw.githubusercontent.com/acme/LTs.x/{COMMIT}/data/a%20b%2Bc.txt"
    other = make(b"", "https://example.org:8080/x/a%20b.zip", unpack="zip")
    assert other.layout == "web/example.org_8080/x/a b.zip"
    assert other.url == other.origin


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "github:acme/x@main:data.txt"},
        {"origin": f"github:acme/x@{COMMIT}:../data.txt"},
        {"origin": f"github:acme/x@{COMMIT}:/data.txt"},
        {"origin": "ftp://example.org/x"},
        {"origin": "https://example.org/"},
        {"origin": "https://example.org/a/%2e%2e/b"},
        {"origin": "https://example.org/a?b=1"},
        {"origin": "data.txt"},
        {"sha256": "abc"},
        {"sha256": None},
        {"unpinned": "nobody knows"},
        {"name": "../x"},
        {"size": -1},
        {"unpack": "rar"},
    ],
    ids=str,
)
def test_malformed_sources_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="source"):
        replace(on_github(), **wrong)
