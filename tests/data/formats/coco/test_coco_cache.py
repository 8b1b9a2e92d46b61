"""The cache of parsed COCO files: what is read again, what is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltbench.data.formats import coco, coco_json
from ltbench.testing.trees import Tree
from tests.data.formats.coco.coco_toys import SMALL, instances, opened, rewrite


class Lines:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def task(self, label: str, total: int) -> Any:
        from ltbench.data.progress import SILENT

        return SILENT.task(label, total)

    def line(self, text: str) -> None:
        self.said.append(text)


def test_ids_come_without_labels(tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> Any:
        raise AssertionError("labels were read")

    monkeypatch.setattr(coco, "read_presence", refuse)
    part = opened(tree, tmp_path).part("train")
    assert part.ids == tree.ids["train"]
    assert part.images.load(0).size == SMALL
    assert [path.parent.name for path in (tmp_path / "cache" / "parsed").rglob("*.npz")] == ["coco-images.1"]
    with pytest.raises(AssertionError, match="labels were read"):
        part.read_labels()


def test_a_parsed_file_is_not_parsed_again(tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened(tree, tmp_path).part("train").read_labels()

    def refuse(path: Path, kind: type) -> Any:
        raise AssertionError("parsed again")

    monkeypatch.setattr(coco_json, "_decode", refuse)
    part = opened(tree, tmp_path).part("train")
    assert part.ids == tree.ids["train"]
    np.testing.assert_array_equal(part.read_labels(), first)


@pytest.mark.parametrize("large", [False, True], ids=["hashed each time", "hash remembered"])
def test_a_changed_file_is_parsed_again(
    large: bool, tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltbench.data.formats.parsed.LARGE", 0 if large else 2**40)
    monkeypatch.setattr("ltbench.data.formats.parsed.SETTLED_NS", 0)
    assert (opened(tree, tmp_path).part("train").read_labels() == 1).any()
    assert bool(list((tmp_path / "cache").rglob("hashes/*.json"))) == large
    rewrite(instances(tree), lambda document: document.update(annotations=[]))
    assert (opened(tree, tmp_path).part("train").read_labels() == -1).all()


def test_the_hash_of_a_file_just_written_is_not_remembered(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltbench.data.formats.parsed.LARGE", 0)
    monkeypatch.setattr("ltbench.data.formats.parsed.SETTLED_NS", 3600 * 10**9)
    opened(tree, tmp_path).part("train")
    assert not list((tmp_path / "cache").rglob("hashes/*.json"))


def test_a_damaged_cache_file_is_told_and_replaced(tree: Tree, tmp_path: Path) -> None:
    first = opened(tree, tmp_path).part("train").read_labels()
    for path in (tmp_path / "cache" / "parsed").rglob("*.npz"):
        path.write_bytes(path.read_bytes()[:100])
    lines = Lines()
    part = opened(tree, tmp_path, reporter=lines).part("train")
    np.testing.assert_array_equal(part.read_labels(), first)
    assert (
        lines.said
        == ["a cache file of instances_train2017.json is damaged; reading instances_train2017.json again"] * 2
    )
    lines.said.clear()
    opened(tree, tmp_path, reporter=lines).part("train").read_labels()
    assert not lines.said


def test_a_cache_that_cannot_be_written_is_told(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    lines = Lines()
    part = opened(tree, tmp_path, reporter=lines).part("train")
    assert part.ids == tree.ids["train"]
    assert len(lines.said) == 1
    assert "what was read from instances_train2017.json is not kept" in lines.said[0]
