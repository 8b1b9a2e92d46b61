"""Rows and present labels of a task: as pinned, as published files at hand list them, or as the data have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ltbench.plugin.errors import UserError
from ltbench.plugin.manager import registry
from ltbench.tasks.task import Counts, PublishedFile, Task
from ltbench.tasks.views.published import class_numbers, read_lines

if TYPE_CHECKING:
    from ltbench.data.base import DataSet

OpenFile = Callable[[PublishedFile], Path]
OpenData = Callable[[Task], "DataSet"]

_PINNED = "as counted when the task was pinned"


@dataclass(frozen=True)
class Counted:
    """Counts to show.

    Attributes:
        counts: empty where nothing is known.
        where: where they come from, or why there are none.
        unknown: ``training`` and ``test`` → (labels that nobody knows, all labels), where the data were counted.
    """

    counts: Counts
    where: str
    unknown: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def counted(task: Task, open_file: OpenFile | None = None, open_data: OpenData | None = None) -> Counted:
    """What is known of a task's rows and classes.

    Pinned counts are taken first, published files next, and only for what neither says are the data opened.

    Args:
        open_file: finds a published file on this machine, or raises UserError; None looks at none.
        open_data: opens the task's data on this machine, or raises UserError; None opens none.

    Raises:
        UserError: a published file at hand does not fit what the task pins.
    """
    counts, places = task.counts, [_PINNED] if task.counts != Counts() else []
    if open_file is not None:
        found, names = counts_at_hand(task, open_file)
        wrong = _differing(found, counts)
        if wrong:
            raise UserError(
                f"task {task.address}: {', '.join(names)} does not give the pinned counts ({', '.join(wrong)})",
                f"ltbench data prepare {task.name}",
            )
        counts = _joined(found, counts)
        places = [f"counted in {', '.join(names)}"] if names else places
    if open_data is not None and not (counts.train and counts.observed and counts.test):
        try:
            data = open_data(task)
            here, unknown = count(task, data)
        except UserError:
            # Not here, or not whole: what is known without it is shown, and ``data status`` says the rest.
            pass
        else:
            wrong = _differing(here, counts)
            differ = f"; the data at hand have other counts than pinned ({', '.join(wrong)})" if wrong else ""
            places.append("the rest counted in the data at hand" if places else "counted in the data at hand")
            return Counted(_joined(counts, here), ", ".join(places) + differ, unknown)
    return Counted(counts, ", ".join(places) or _why_not(task, open_data is not None))


def _why_not(task: Task, looked: bool) -> str:
    if not looked:
        return "not counted: its data were not at hand when the task was pinned"
    if task.family == "custom":
        return "not counted: its folder is not here"
    # A task that is no plugin's, but lies in a folder, has nothing to prepare.
    advice = f" (ltbench data prepare {task.name})" if task.name in registry().tasks else ""
    return f"not counted: the data are not here{advice}"


def _differing(found: Counts, pinned: Counts) -> list[str]:
    both = ((name, getattr(found, name), getattr(pinned, name)) for name in Counts.model_fields)
    return [name for name, one, other in both if one and other and one != other]


def _joined(first: Counts, second: Counts) -> Counts:
    """The first, and what it leaves out from the second."""
    return second.model_copy(update={name: value for name, value in first.model_dump().items() if value})


def counts_at_hand(task: Task, open_file: OpenFile) -> tuple[Counts, tuple[str, ...]]:
    """What published files on this machine say of rows and classes, and which files were counted.

    Raises:
        UserError: a file at hand is another one, or cannot be read.
    """
    from ltbench.data.getting.hashes import WrongFile

    found: dict[str, object] = {}
    names = []
    for file in task.published:
        part = {"train": "train", "test": "test", "observed": "observed"}.get(file.role)
        if part is None or (not file.labels and file.role != "observed"):
            continue
        try:
            path = open_file(file)
        except WrongFile:
            raise
        except UserError:
            # Not here: the card says what was counted when the task was pinned.
            continue
        numbers = class_numbers(read_lines(path), len(task.classes), file.name)
        counts = [0] * len(task.classes)
        for row in numbers:
            for number in set(row):
                counts[number] += 1
        found[part] = tuple(counts)
        found["test_rows" if part == "test" else "train_rows"] = len(numbers)
        names.append(file.name)
    if "train" in found and task.protocol.kind == "full":
        found["observed"] = found["train"]
    return Counts.model_validate(found), tuple(names)


def count(task: Task, data: DataSet) -> tuple[Counts, dict[str, tuple[int, int]]]:
    """Count a task's rows and present labels in its data, and the labels that even the data do not know.

    Raises:
        UserError: the data lack a part, a class, a listed image or a published file.
    """
    import numpy as np

    from ltbench.tasks.views import open_train
    from ltbench.tasks.views.rows import held_out, test_rows, training_rows

    view = open_train(task, data)
    rows = training_rows(task, data)
    trained = np.ones(len(rows.ids), dtype=bool)
    if task.validation.kind == "holdout" and task.validation.in_final_runs:
        trained = ~held_out(task, rows.ids)
    complete = rows.complete[trained]
    tested = test_rows(task, data).read_labels()
    counts = Counts(
        train=tuple((complete == 1).sum(axis=0).tolist()),
        observed=tuple((view.observed == 1).sum(axis=0).tolist()),
        test=tuple((tested == 1).sum(axis=0).tolist()),
        train_rows=len(view),
        val_rows=None if view.validation is None else len(view.validation),
        test_rows=len(tested),
    )
    unknown = {"training": complete, "test": tested}
    return counts, {name: (int((labels == 0).sum()), labels.size) for name, labels in unknown.items()}
