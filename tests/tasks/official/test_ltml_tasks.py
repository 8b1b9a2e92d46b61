"""VOC-LT and COCO-LT against the published lists."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from ltbench.data.base import Part
from ltbench.tasks.long_tail import long_tailed, reference_counts, visiting_order
from ltbench.tasks.official.ltml import coco_lt, voc_lt
from ltbench.tasks.task import Fingerprints, Task
from ltbench.tasks.views import check_fingerprints, open_test, open_train, open_truth
from tests.tasks.official import official_facts as facts

pytestmark = pytest.mark.usefixtures("shared")

VOC_GROUPS = {
    "head": "bottle car chair diningtable person pottedplant",
    "medium": "bicycle cat dog motorbike sofa tvmonitor",
    "tail": "aeroplane bird boat bus cow horse sheep train",
}


def test_reference_counts_of_voc_lt() -> None:
    assert reference_counts(800, 6, 20) == [
        *(800, 529, 359, 248, 175, 125, 91, 67, 50, 38, 29, 23, 18, 14, 11, 9, 7, 6, 5, 4)
    ]


def test_classes_are_visited_by_how_much_they_appear_with_others() -> None:
    labels = np.full((6, 3), -1, dtype=np.int8)
    labels[:4, 2] = 1
    labels[[0, 1], 0] = 1
    labels[5, 1] = 1
    # P(2|0) = 1, P(0|2) = 1/2, class 1 is alone: column sums 1.5, 1, 2.
    assert visiting_order(labels) == [2, 0, 1]


def test_the_generator_gives_the_published_list_bit_for_bit() -> None:
    ids, labels = facts.voc2012()["trainval"]
    rows = long_tailed(labels, 800, 6, random.Random(0))
    text = "".join(f"{ids[row]}\n" for row in rows)
    assert hashlib.sha256(text.encode()).hexdigest() == (
        "6e49185d5421236718f7393e952f5790e5c0cfeb1694892b1b971f59725d5ebc"
    )


def test_the_generator_gives_comics_published_list_too() -> None:
    ids, labels = facts.voc2012()["trainval"]
    rows = long_tailed(labels, 1600, 10, random.Random(0))
    text = "".join(f"{ids[row]}\n" for row in rows)
    assert hashlib.sha256(text.encode()).hexdigest() == (
        "5e54a185881c85a660b5f6f3b6d54948d421d6a520bb6f6df8f4ac4a0e7a19fc"
    )


def test_voc_lt_equals_lmpts_lists_row_by_row() -> None:
    task = voc_lt()
    view = open_train(task, facts.task_data(task))
    lines = facts.mirrored("richard-peng-xia/LMPT", "data/voc/voc_lt_train.txt")
    assert view.ids == tuple(line.split()[0].rpartition("/")[2].removesuffix(".jpg") for line in lines)
    for row, line in zip(view.observed, lines, strict=True):
        assert set(np.flatnonzero(row == 1)) == {int(word) for word in line.split()[1:]}
    captions = facts.mirrored("richard-peng-xia/LMPT", "data/voc/voc_lt_captions.txt")
    assert view.captions is not None
    for name, caption, line in zip(view.ids, view.captions, captions, strict=True):
        assert name in line.split()[0]
        assert caption == line.split(" ", 1)[1].strip()


def test_voc_lt_groups_and_counts() -> None:
    task = voc_lt()
    truth = open_truth(task, facts.task_data(task))
    check_fingerprints(task, truth.fingerprints)
    named = {group: " ".join(truth.class_names[c] for c in columns) for group, columns in truth.groups.items()}
    assert named == VOC_GROUPS
    assert task.counts.train_rows == 1142
    assert len(truth.ids) == 4952
    assert truth.labels.shape == (4952, 20)
    index = {name: c for c, name in enumerate(task.classes)}
    assert [task.counts.train[index[name]] for name in ("pottedplant", "motorbike", "cow", "person")] == [
        100,
        20,
        4,
        775,
    ]
    assert [task.counts.test[index[name]] for name in ("pottedplant", "cow", "train")] == [254, 127, 259]


def test_voc_lt_validates_on_images_that_it_does_not_train_on() -> None:
    task = voc_lt()
    view = open_train(task, facts.task_data(task))
    assert view.validation is not None
    assert len(view.validation) == 1000
    assert not set(view.validation.ids) & set(view.ids)
    ids, labels = facts.voc2012()["trainval"]
    position = {name: row for row, name in enumerate(ids)}
    np.testing.assert_array_equal(view.validation.observed, labels[[position[name] for name in view.validation.ids]])


def test_coco_lt_rows_labels_and_captions_are_the_published_ones() -> None:
    task = coco_lt()
    data = facts.task_data(task)
    view, test, truth = open_train(task, data), open_test(task, data), open_truth(task, data)
    check_fingerprints(task, truth.fingerprints)
    lines = facts.mirrored("richard-peng-xia/LMPT", "data/coco/coco_lt_train.txt")
    assert view.ids == tuple(line.split()[0].removeprefix("train2017/") for line in lines)
    for row, line in zip(view.observed, lines, strict=True):
        assert set(np.flatnonzero(row == 1)) == {int(word) for word in line.split()[1:]}
    assert {group: len(columns) for group, columns in truth.groups.items()} == {"head": 22, "medium": 33, "tail": 25}
    assert test.ids == truth.ids
    assert len(test.ids) == 5000
    assert ((truth.labels == 1).sum(axis=1) == 0).sum() == 48
    assert view.captions is not None
    assert len(set(view.captions)) == 1909
    assert view.captions[0].startswith("a boy wearing headphones")
    assert view.validation is not None
    assert len(view.validation) == 2000
    assert not set(view.validation.ids) & {*view.ids, *test.ids}
    counts = dict(zip(task.classes, zip(task.counts.train, task.counts.test, strict=True), strict=True))
    assert counts["backpack"] == (100, 228)
    assert counts["toaster"] == (9, 8)
    assert counts["hair drier"] == (6, 9)


@pytest.mark.parametrize(
    ("captions", "validation", "left"),
    [
        (True, True, set()),
        (False, True, {"captions"}),
        (True, False, {"singlelabel"}),
        (False, False, {"captions", "singlelabel"}),
    ],
)
def test_lists_that_a_run_has_no_use_for_are_not_opened(captions: bool, validation: bool, left: set[str]) -> None:
    """Its rows, labels and groups are the same, and what it states of the data, too."""
    task, opened = coco_lt(), set[str]()
    data = facts.task_data(task)

    def open_file(name: str) -> Path:
        opened.add(name)
        return data.open_file(name)

    read = task.read_with(captions=captions, validation=validation)
    assert (read is task) == (not left)
    watched = replace(data, open_file=open_file)
    view, truth = open_train(read, watched), open_truth(read, watched)
    assert (view.captions is not None, view.validation is not None) == (captions, validation)
    assert {name for name in ("captions", "singlelabel") if not any(name in one for one in opened)} == left
    check_fingerprints(task, truth.fingerprints)
    assert task.stating(truth.fingerprints, read) == open_truth(task, data).fingerprints
    assert truth.groups == open_truth(task, data).groups
    # What is not pinned would otherwise go unstated.
    bare = task.model_copy(update={"fingerprints": Fingerprints()})
    assert bare.read_with(captions=captions, validation=validation) is bare


def test_coco_lt_does_not_go_by_the_order_of_the_annotation_file() -> None:
    """The official ``instances_train2017.json`` is in no order of ids; pins were made from sorted ones."""
    task = coco_lt()
    data = facts.task_data(task)
    order = np.random.default_rng(0).permutation(len(data.part("train")))

    def open_part(name: str) -> Part:
        part = data.part(name)
        if name != "train":
            return part
        ids = tuple(part.ids[int(row)] for row in order)
        return Part(name, ids, part.images, lambda: part.read_labels()[order])

    shuffled = replace(data, open_part=open_part)
    truth = open_truth(task, shuffled)
    check_fingerprints(task, truth.fingerprints)
    assert truth.fingerprints.val_ids == task.fingerprints.val_ids is not None
    validation = open_train(task, shuffled).validation
    assert validation is not None
    assert list(validation.ids) == sorted(validation.ids)


@pytest.mark.parametrize("make", [voc_lt, coco_lt])
def test_every_published_file_has_the_pinned_hash_and_size(make: object) -> None:
    task = make()  # type: ignore[operator]
    for file in task.published:
        path = facts.in_mirror(file)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256
        assert path.stat().st_size == file.size


def test_everything_is_pinned() -> None:
    assert voc_lt().official
    assert coco_lt().official
    assert facts.document("ltml") == json.loads(
        Path(str(resources.files("ltbench.tasks.official") / "ltml.json")).read_text()
    )


@pytest.mark.parametrize("task", [voc_lt(), coco_lt()], ids=lambda task: task.name)
def test_the_page_names_whose_figures_are_chosen_on_test(task: Task) -> None:
    (line,) = [trap for trap in task.traps if "best epoch" in trap]
    whose, unstated, also, ours = line.split("; ")
    lmpt, db = whose.split(", DB's ")
    assert lmpt == "LMPT's release picks its best epoch on the test images"
    assert db == "figures are those of its last one, the eighth"
    assert unstated == "DR does not say which epoch its are of"
    assert also.startswith("LMPT and DR print rows of DB's paper")
    assert "never looks at the test images" in ours
