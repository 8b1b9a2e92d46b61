"""What a task opens: its data set, a second one with the test rows where it has one, and its published files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ltbench.data.base import DataSet
from ltbench.plugin.errors import UserError
from ltbench.tasks.task import PublishedFile, Task


@dataclass(frozen=True)
class TaskData(DataSet):
    """A data set with what else a task needs.

    Attributes:
        test: the data set with the test rows; None where it is the same.
        open_file: fetches a published file by its name and returns where it lies.
    """

    test: DataSet | None = None
    open_file: Callable[[str], Path] | None = None


def test_set(data: DataSet) -> DataSet:
    """The data set with the test rows."""
    return data.test if isinstance(data, TaskData) and data.test is not None else data


def file_of(task: Task, data: DataSet, file: PublishedFile) -> Path:
    """Where a published file of a task lies.

    Raises:
        UserError: it cannot be had.
    """
    if not isinstance(data, TaskData) or data.open_file is None:
        raise UserError(f"task {task.address} needs {file.name}", f"ltbench data prepare {task.name}")
    return data.open_file(file.name)
