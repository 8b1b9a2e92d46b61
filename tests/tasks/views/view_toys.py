"""A data set of two parts whose labels and captions are known, and tasks on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ltbench.data.base import DataSet, Part
from ltbench.tasks.groups import GroupRule
from ltbench.tasks.protocols import Full, SeenOnly, fingerprint
from ltbench.tasks.task import Task, Validation

Labels = npt.NDArray[np.int8]
CLASSES = ("ant", "bee", "cat", "dog", "elk", "fox")
SOURCE = ("fox", "elk", "dog", "cat", "bee", "ant", "gnu")
"""The data set's own order, with a class that the tasks leave out."""


class Pictures:
    """Images that know which row they are."""

    def __init__(self, part: str, ids: Sequence[str]) -> None:
        self.part, self.ids = part, tuple(ids)

    def __len__(self) -> int:
        return len(self.ids)

    def load(self, row: int) -> Any:
        return f"{self.part}/{self.ids[row]}"

    def sha256(self, row: int) -> str:
        return fingerprint([f"{self.part}/{self.ids[row]}"])


def labels_of(part: str, rows: int) -> Labels:
    rng = np.random.default_rng([len(part), rows])
    labels = np.where(rng.random((rows, len(SOURCE))) < 0.3, 1, -1).astype(np.int8)
    labels[np.arange(rows), np.arange(rows) % 6] = 1
    return labels


SIZES = {"train": 90, "val": 30, "test": 40}


def make_data(
    order: Sequence[int] | None = None, labels_for: Callable[[str], Labels] | None = None, rows: int | None = None
) -> DataSet:
    """A data set in memory; ``order`` shuffles the training rows."""

    def open_part(name: str) -> Part:
        size = rows if rows is not None and name == "train" else SIZES[name]
        at = np.arange(size) if order is None or name != "train" else np.asarray(order)
        ids = tuple(f"{name}-{k:03d}" for k in at)
        labels = (labels_for or (lambda part: labels_of(part, SIZES[part])))(name)
        captions = tuple(f"caption of {row} with a bicycle" for row in ids)
        return Part(name, ids, Pictures(name, ids), lambda: labels[at].copy(), lambda: captions)

    groups = {"small": ("ant", "bee"), "large": ("elk", "dog", "fox"), "odd": ("gnu",)}
    return DataSet("toy", SOURCE, tuple(SIZES), open_part, groups)


def make_task(**changes: Any) -> Task:
    facts: dict[str, Any] = {
        "name": "toy-task", "version": 1, "family": "ltml", "title": "a toy", "data_set": "toy", "train_part": "train",
        "test_part": "test", "classes": CLASSES, "protocol": Full(), "groups": GroupRule(head_from=40, medium_from=30),
    }  # fmt: skip
    return Task(**{**facts, **changes})


ZERO_SHOT: dict[str, Any] = {
    "family": "zero-shot",
    "unseen": ("bee", "fox"),
    "train_rows": "seen-only",
    "protocol": SeenOnly(seen=("ant", "cat", "dog", "elk")),
    "groups": GroupRule.zero_shot(("ant", "cat", "dog", "elk"), ("bee", "fox")),
    "validation": Validation(kind="part", part="val", classes=("cat",)),
}


def complete_labels(part: str, classes: Sequence[str] = CLASSES) -> Labels:
    """Complete labels in the task's column order, straight from the source."""
    return labels_of(part, SIZES[part])[:, [SOURCE.index(name) for name in classes]]


HOLDOUT = Validation(kind="holdout", fraction=0.3, labels="clean")
