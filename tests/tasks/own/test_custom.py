"""Tasks of a user's own: pinned, versioned, with validation and unknown labels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ltbench.data.own.folder import open_folder
from ltbench.metrics.versions import CONTRACT_VERSIONS
from ltbench.plugin import UserError
from ltbench.tasks.own.custom import load_custom
from ltbench.tasks.own.new import Order, create_task
from ltbench.tasks.views import check_fingerprints, open_test, open_train, open_truth
from tests.tasks.own.custom_toys import ROWS, picture, table


def test_a_task_is_pinned_and_opens_through_the_views(order: Order) -> None:
    created = create_task(order)
    task = created.task
    assert (task.name, task.version, task.family, task.data_set) == ("my-photos", 1, "custom", "folder:my-photos")
    assert (task.protocol.kind, task.unknown_policy, task.classes) == ("full", "ignore", ("cat", "dog"))
    assert (task.groups.head_from, task.groups.medium_from) == (100, 20)
    assert task.official
    assert (created.rows, created.changed) == ({"train": 3, "test": 2}, True)

    data = open_folder(created.folder)
    train, test, truth = open_train(task, data), open_test(task, data), open_truth(task, data)
    assert train.observed.tolist() == [[1, -1], [1, 1], [-1, -1]]
    assert train.validation is None
    assert (test.ids, truth.labels.tolist()) == (("d.png", "e.png"), [[-1, 1], [1, -1]])
    assert truth.groups["tail"] == (0, 1)
    check_fingerprints(task, truth.fingerprints)
    pinned = {name for name, value in task.fingerprints if value is not None}
    assert pinned == {
        "class_names", "train_ids", "observed_labels", "train_labels", "test_ids", "test_labels", "groups", "images",
    }  # fmt: skip


def test_labels_lie_in_files_of_their_own_and_paths_stay_out_of_the_task(order: Order, tmp_path: Path) -> None:
    folder = create_task(order).folder
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*")) == [
        "source.json", "task.json", "v1/labels-test.npy", "v1/labels-train.npy", "v1/rows.json", "v1/stamps.json",
        "v1/task.json",
    ]  # fmt: skip
    for name in ("task.json", "v1/task.json", "v1/rows.json", "v1/stamps.json"):
        assert str(tmp_path) not in (folder / name).read_text()
    rows = json.loads((folder / "v1/rows.json").read_text())
    assert set(rows["parts"]["test"]) == {"ids", "sha256"}
    assert json.loads((folder / "source.json").read_text())["images"] == str(tmp_path / "photos")


def test_the_same_again_changes_nothing_and_other_data_make_a_new_version(order: Order, tmp_path: Path) -> None:
    first = create_task(order)
    before = (first.folder / "task.json").read_bytes()
    again = create_task(order)
    assert (again.changed, again.task) == (False, first.task)
    assert (first.folder / "task.json").read_bytes() == before

    table(tmp_path, [*ROWS[:4], "e.png,test,cat|dog"])
    second = create_task(order)
    assert (second.changed, second.task.version) == (True, 2)
    assert second.task.fingerprints.test_labels != first.task.fingerprints.test_labels
    assert second.task.fingerprints.train_labels == first.task.fingerprints.train_labels

    picture(tmp_path / "photos" / "a.png", 77)
    third = create_task(order)
    assert third.task.version == 3
    assert third.task.fingerprints.images != second.task.fingerprints.images

    assert load_custom(first.folder).version == 3
    assert load_custom(first.folder / "v1") == first.task
    old = open_truth(first.task, open_folder(first.folder / "v1"))
    assert old.fingerprints == first.task.fingerprints


def test_a_new_task_takes_the_newest_contract_and_an_old_one_keeps_its_own(order: Order) -> None:
    created = create_task(order)
    assert created.task.contract == CONTRACT_VERSIONS[-1] == 2
    path = created.folder / "task.json"
    document = json.loads(path.read_text())
    assert document.pop("contract") == 2
    path.write_text(json.dumps({**document, "contract": 1}, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    again = create_task(order)
    assert (again.changed, again.task.contract, again.task.version) == (False, 1, 1)


def test_another_validation_is_another_version(order: Order) -> None:
    create_task(order)
    held = create_task(replace(order, validation=0.3))
    assert (held.task.version, held.task.validation.kind, held.task.validation.fraction) == (2, "holdout", 0.3)
    train = open_train(held.task, open_folder(held.folder))
    assert (len(train), train.validation is not None and len(train.validation)) == (2, 1)
    assert create_task(replace(order, validation=0.3)).changed is False


def test_a_val_part_is_used_for_validation(order: Order, tmp_path: Path) -> None:
    table(tmp_path, [ROWS[0], ROWS[1], "c.png,val,dog", *ROWS[3:]])
    created = create_task(order)
    assert (created.task.validation.kind, created.task.validation.part) == ("part", "val")
    assert open_train(created.task, open_folder(created.folder)).validation is not None
    with pytest.raises(UserError, match="--validation has no meaning"):
        create_task(replace(order, validation=0.2))


def test_unknown_labels_are_zero_and_said(order: Order, tmp_path: Path) -> None:
    table(tmp_path, ["a.png,train,cat,dog", "b.png,train,dog,", "d.png,test,cat,dog"], "file,split,labels,unknown")
    created = create_task(order)
    data = open_folder(created.folder)
    assert open_train(created.task, data).observed.tolist() == [[1, 0], [-1, 1]]
    assert open_truth(created.task, data).labels.tolist() == [[1, 0]]
    assert created.notes == (
        "1 of 2 classes have no test image, means leave them out: dog",
        "1 of 2 classes are shown by every test image: their AP is 100 whatever a method answers, and lifts the mean: "
        "cat",
        "2 labels are unknown: ignored in training and in scores",
    )


def test_without_a_split_column_the_split_is_seeded(order: Order, tmp_path: Path) -> None:
    rows = [",".join((row.split(",")[0], row.split(",")[2])) for row in ROWS]
    table(tmp_path, rows, "file,labels")
    first = create_task(replace(order, test_share=0.4))
    assert first.rows == {"train": 3, "test": 2}
    assert create_task(replace(order, test_share=0.4)).changed is False
    table(tmp_path, rows[::-1], "file,labels")
    reordered = create_task(replace(order, name="reordered", test_share=0.4))
    ids = open_folder(first.folder).part("test").ids
    assert sorted(open_folder(reordered.folder).part("test").ids) == sorted(ids)
