"""How many rows a task has, told before its data are opened. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from ltbench.tasks.task import Task

#: Images of the published lists of parts, as their authors state them: MS-COCO (cocodataset.org), NUS-WIDE's
#: TrainImagelist.txt and TestImagelist.txt, SSGRL's lists of VG-200, CUB-200-2011's train_test_split.txt. Tasks that
#: are not counted yet have at most so many rows.
_LISTED = {
    ("coco2014", "train"): 82_783,
    ("coco2014", "val"): 40_504,
    ("coco2017", "train"): 118_287,
    ("coco2017", "val"): 5_000,
    ("nus-wide", "train"): 161_789,
    ("nus-wide", "test"): 107_859,
    ("vg-200", "train"): 98_249,
    ("vg-200", "test"): 10_000,
    ("voc2007", "trainval"): 5_011,
    ("voc2007", "test"): 4_952,
    ("cub", "train"): 5_994,
    ("cub", "test"): 5_794,
}
#: What the papers say of training rows that a rule draws: COMIC, section 4.1.
_DRAWN = {"plt-coco": 2_962}


@dataclass(frozen=True)
class Rows:
    """Rows of a task's parts.

    Attributes:
        train: without validation rows.
        validation: 0 where a final run has none.
        exact: counted when the task was pinned; else at most so many.
    """

    train: int
    validation: int
    test: int
    exact: bool


def rows_of(task: Task) -> Rows | None:
    """Rows of a task; None where nobody has counted them, as for one's own photographs."""
    counts, drawn = task.counts, _DRAWN.get(task.name)
    train = counts.train_rows or drawn or _listed(task.data_set, task.train_part)
    test = counts.test_rows or _listed(task.test_data_set or task.data_set, task.test_part)
    if train is None or test is None:
        return None
    validation = 0
    if task.validation.in_final_runs:
        validation = counts.val_rows or task.validation.unused or round(train * (task.validation.fraction or 0.0))
        if not validation and task.validation.part is not None:
            validation = _listed(task.data_set, task.validation.part) or 0
    return Rows(train, validation, test, None not in (counts.train_rows, counts.test_rows))


def _listed(data_set: str, part: str) -> int | None:
    # What follows the plus leaves images out, or reads them otherwise.
    return _LISTED.get((data_set, part.partition("+")[0]))
