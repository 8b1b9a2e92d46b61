"""Validation rows where a task has none: a share of the training rows, while something is chosen and no longer."""

from __future__ import annotations

from typing import Final

from ltbench.tasks.task import Task, Validation

#: Share of the training rows that is held out where a task says nothing of validation.
SHARE: Final = 0.2


def with_validation(task: Task) -> tuple[Task, bool]:
    """The task with rows to choose by: its own, else a share of the training rows; and whether it is that share."""
    if task.validation.kind != "none":
        return task, False
    held = Validation(kind="holdout", fraction=SHARE, tuning_only=True, labels="observed")
    return task.model_copy(update={"validation": held}), True
