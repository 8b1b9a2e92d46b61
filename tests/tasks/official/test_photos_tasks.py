"""The tasks on VOC2007's test photographs: one split, pinned from an independent list of the labels."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from ltbench.data.base import DataRoot
from ltbench.data.formats.voc import open_voc2007
from ltbench.data.formats.voc_split import PHOTOS, place_of, rows_of
from ltbench.plugin.errors import UserError
from ltbench.tasks.overlap import shown_by, tasks_tested_on
from ltbench.tasks.registry import load_task, open_data_set, resolve
from ltbench.tasks.task import Task
from ltbench.tasks.views import check_fingerprints, open_test, open_train, open_truth
from tests.tasks.official import official_facts as facts

NAMES = ("photos-lt", "photos-plt", "photos-spml", "photos-partial", "photos-zsl", "photos-micro")
TASKS = [task for name in NAMES for task in resolve(name)]
VOC_LT_GROUPS = (6, 6, 8)


def test_a_photographs_part_is_told_by_its_id_alone() -> None:
    ids = tuple(f"{number:06d}" for number in range(1, 4000))
    parts = {suffix: rows_of(suffix, ids) for suffix in PHOTOS}
    assert sorted(row for rows in parts.values() for row in rows) == sorted(ids)
    digest = hashlib.sha256(b"photos.v1|000001").digest()
    assert place_of("000001") == int.from_bytes(digest[:8], "big") / 2**64
    for suffix, rows in parts.items():
        assert rows_of(suffix, ids[::7]) == tuple(row for row in ids[::7] if row in set(rows))


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("task", TASKS, ids=[task.address for task in TASKS])
def test_pins_follow_from_the_independent_list(task: Task) -> None:
    data = facts.task_data(task)
    truth = open_truth(task, data)
    check_fingerprints(task, truth.fingerprints)
    assert truth.fingerprints == task.fingerprints
    assert task.unpinned == {}
    assert task.contract == 2
    view, test = open_train(task, data), open_test(task, data)
    assert view.validation is not None
    shown = [set(view.ids), set(view.validation.ids), set(test.ids)]
    assert sum(map(len, shown)) == len(set().union(*shown))
    assert (len(view), len(view.validation), len(test)) == (
        task.counts.train_rows,
        task.counts.val_rows,
        task.counts.test_rows,
    )


@pytest.mark.usefixtures("shared")
def test_the_tail_has_the_shape_of_voc_lts() -> None:
    task = load_task("photos-lt")
    truth = open_truth(task, facts.task_data(task))
    assert tuple(len(truth.groups[group]) for group in ("head", "medium", "tail")) == VOC_LT_GROUPS
    # VOC-LT itself has 1,142.
    assert task.counts.train_rows == 1141


@pytest.mark.usefixtures("shared")
def test_difficult_objects_count_in_training_and_are_not_judged() -> None:
    task = load_task("photos-partial@p90")
    data = facts.task_data(task)
    assert (open_truth(task, data).labels == 0).sum() == 270
    complete = data.part(task.train_part).read_labels()
    strict = data.part(f"{task.train_part}+difficult-unknown").read_labels()
    assert (complete == 0).sum() == 0
    assert (strict == 0).sum() == 297
    assert (complete[strict == 0] == 1).all()


@pytest.mark.usefixtures("shared")
def test_no_training_photograph_shows_an_unseen_class() -> None:
    task = load_task("photos-zsl")
    data = facts.task_data(task)
    part = data.part(task.train_part)
    rows = {row: number for number, row in enumerate(part.ids)}
    labels = part.read_labels()[[rows[row] for row in open_train(task, data).ids]]
    columns = [task.classes.index(name) for name in task.unseen]
    assert columns == [3, 7, 11, 15, 19]
    assert not (labels[:, columns] == 1).any()
    assert set(task.validation.classes) < set(task.seen)


@pytest.mark.parametrize("address", ["voc-lt", "plt-voc@mr40", "partial-voc2007@p10"])
def test_tasks_that_test_on_these_photographs_say_so(address: str) -> None:
    task = load_task(address)
    assert task.name in tasks_tested_on("photos-lt")
    assert any(trap.startswith("the photos-* tasks are made of these test photographs") for trap in task.traps)


def test_who_tests_on_these_photographs() -> None:
    assert tasks_tested_on("photos-plt@mr40") == ("voc-lt", "plt-voc", "partial-voc2007")
    assert tasks_tested_on("voc-lt") == ()
    assert shown_by("voc-lt", "tuned(8, on photos-lt)") == "photos-lt"
    assert shown_by("plt-voc", "transferred(photos-plt, from comic)") == "photos-plt"
    assert shown_by("partial-voc2007", "ImageNet, then photos-spml") == "photos-spml"
    assert shown_by("coco-lt", "tuned(8, on photos-lt)") == ""
    assert shown_by("voc-lt", "tuned(8, on voc-lt)") == ""


@pytest.fixture
def mini(shared: Path, tmp_path: Path) -> Path:
    """A data root with 200 of the photographs."""
    root = tmp_path / "data"
    shutil.copytree(shared / "data" / "voc2007-mini" / "VOCdevkit", root / "VOCdevkit")
    return root


def test_a_list_without_its_photographs_names_what_is_missing(mini: Path) -> None:
    folder = mini / "VOCdevkit" / "VOC2007" / "Annotations"
    gone = sorted(folder.iterdir())[::2]
    for path in gone:
        path.unlink()
    task = load_task("photos-spml")
    with pytest.raises(UserError, match=r"\d+ of \d+ annotations are missing: \d{6}\.xml"):
        open_truth(task, open_data_set(task, DataRoot(root=mini)))


def test_genuine_photographs_are_split_like_the_list(mini: Path) -> None:
    data = open_voc2007(DataRoot(root=mini))
    whole = data.part("test")
    parts = [data.part(f"test{suffix}") for suffix in PHOTOS]
    assert sorted(row for part in parts for row in part.ids) == sorted(whole.ids)
    for part in parts:
        assert part.images.load(0).mode == "RGB"
        rows = [whole.ids.index(row) for row in part.ids]
        np.testing.assert_array_equal(part.read_labels(), whole.read_labels()[rows])
        assert part.images.sha256(0) == whole.images.sha256(rows[0])
