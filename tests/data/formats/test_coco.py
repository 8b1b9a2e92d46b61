"""The COCO reader: the genuine format, two rules of presence, the cache of parsed files, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltbench.data.base import DataRoot, DataSet
from ltbench.data.formats import coco, coco_json
from ltbench.data.formats.coco import coco2014_status, coco2017_status, open_coco2014, open_coco2017
from ltbench.data.formats.names import COCO_CATEGORY_IDS, COCO_CLASSES, COCO_GROUPS
from ltbench.plugin.errors import UserError
from ltbench.testing.trees import Tree, make_tree

SMALL = (32, 24)


class Lines:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def task(self, label: str, total: int) -> Any:
        from ltbench.data.progress import SILENT

        return SILENT.task(label, total)

    def line(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return make_tree("coco2017", tmp_path / "root", images=20, image_size=SMALL)


def opened(tree: Tree, tmp_path: Path, **more: Any) -> DataSet:
    return open_coco2017(DataRoot(cache=tmp_path / "cache", root=tree.root, **more))


def instances(tree: Tree) -> Path:
    return tree.root / "coco" / "annotations" / "instances_train2017.json"


def rewrite(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


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
