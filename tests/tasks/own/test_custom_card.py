"""Cards of a user's tasks."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from ltbench.data.base import DataRoot
from ltbench.tasks.cards.card import Card, make_card
from ltbench.tasks.defaults import suggested_run
from ltbench.tasks.own.new import Order, create_task
from ltbench.tasks.registry import open_data_set, resolve
from ltbench.tasks.task import Task
from tests.tasks.own.custom_toys import ROWS, table


def card_of(task: Task) -> Card:
    return make_card([task], open_data=lambda each: open_data_set(each, DataRoot(offline=True)))


def test_the_card_counts_the_folder_and_says_what_is_unknown(order: Order, tmp_path: Path) -> None:
    rows = ["a.png,train,cat,", "b.png,train,cat|dog,", "c.png,train,,dog", "d.png,test,dog,", "e.png,test,cat,dog"]
    table(tmp_path, rows, "file,split,labels,unknown")
    card = card_of(create_task(order).task)
    assert card.facts["rows"] == "3 training, 2 test"
    assert card.facts["labels"] == (
        "all known labels observed; 1 of 6 training labels and 1 of 4 test labels are unknown to the data themselves"
    )
    assert card.facts["counts"] == "counted in the data at hand"
    classes = card.table("Classes")
    assert classes is not None
    assert classes.rows == (("cat", "tail", "2", "1"), ("dog", "tail", "1", "1"), ("total", "", "3", "2"))


def test_the_card_of_a_task_without_unknown_labels(order: Order) -> None:
    assert card_of(create_task(order).task).facts["labels"] == "all labels observed"


def test_the_card_of_a_folder_that_is_gone(order: Order) -> None:
    created = create_task(order)
    shutil.rmtree(created.folder)
    card = card_of(created.task)
    assert card.facts["counts"] == "not counted: its folder is not here"
    assert card.table("Classes") is None


def test_the_suggested_command_names_a_backbone_where_there_is_no_default(order: Order, tmp_path: Path) -> None:
    task = create_task(order).task
    assert suggested_run(task, "my-photos") == (
        "ltbench run --task my-photos --method linear-probe-lbfgs --backbone timm:resnet18"
    )
    files = np.array([row.partition(",")[0] for row in ROWS])
    np.savez(tmp_path / "features.npz", files=files, features=np.zeros((5, 3), dtype=np.float32))
    other = create_task(replace(order, name="with-features", features=tmp_path / "features.npz")).task
    assert suggested_run(other, "with-features") == "ltbench run --task with-features --method linear-probe-lbfgs"
    assert suggested_run(resolve("voc-lt")[0], "voc-lt") == "ltbench run --task voc-lt --method zero-shot"
    assert suggested_run(resolve("shapes-lt")[0], "shapes-lt") == "ltbench run --task shapes-lt --method zero-shot"
