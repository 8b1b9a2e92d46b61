"""Phase 2 only: complete training labels beside the observed ones, to judge what a method decided about its labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ltbench.data.base import DataSet, Labels
from ltbench.tasks.task import Task
from ltbench.tasks.views.rows import columns_of, held_out, share_of, training_rows


@dataclass(frozen=True)
class TrainTruth:
    """Labels of the rows that a final run trains on, row by row as it saw them.

    Attributes:
        complete: int8 [N, C], 0 where not even the data set says.
        observed: int8 [N, C], what the method was given, before its policy for unknown labels.
        class_names: columns, the task's seen classes.
    """

    ids: tuple[str, ...]
    complete: Labels
    observed: Labels
    class_names: tuple[str, ...]

    def limited(self, rows: int | None) -> TrainTruth:
        """The first rows only, to judge a run with ``--limit``."""
        if rows is None or rows >= len(self.ids):
            return self
        return replace(self, ids=self.ids[:rows], complete=self.complete[:rows], observed=self.observed[:rows])

    def sampled(self, task: Task, share: float | None) -> TrainTruth:
        """The rows that a run with ``--share`` was given."""
        if share is None:
            return self
        rows = share_of(task, self.ids, share)
        ids = tuple(self.ids[int(row)] for row in rows)
        return replace(self, ids=ids, complete=self.complete[rows], observed=self.observed[rows])


def open_train_truth(task: Task, data: DataSet) -> TrainTruth:
    """Open them; called after the files of phase 1 are written and closed.

    Raises:
        UserError: the data lack a part, a class, a listed image or a published file.
    """
    source = training_rows(task, data)
    rows = np.arange(len(source.ids))
    if task.validation.kind == "holdout" and task.validation.in_final_runs:
        rows = np.flatnonzero(~held_out(task, source.ids))
    columns = columns_of(task.classes, task.seen, task)
    return TrainTruth(
        ids=tuple(source.ids[int(row)] for row in rows),
        complete=np.ascontiguousarray(source.complete[np.ix_(rows, columns)]),
        observed=np.ascontiguousarray(source.observed[rows]),
        class_names=task.seen,
    )
