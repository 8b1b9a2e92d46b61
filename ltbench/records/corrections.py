"""Phase 2 for rewritten labels: how many of a method's corrections were right, epoch by epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ltbench.plugin.errors import UserError
from ltbench.plugin.reading import read_json
from ltbench.records.facts import Corrections
from ltbench.tasks.views.complete import TrainTruth

__all__ = ["Corrections", "judge_corrections"]

Numbers = NDArray[np.int64]


def judge_corrections(path: Path, truth: TrainTruth, epochs: int | None = None) -> Corrections:
    """Judge a file of decisions, as a run leaves one beside its record.

    A correction counts once an epoch; one to a label that was observed to be present is none, and is not counted.

    Args:
        path: ``decisions.json`` of an attempt.
        truth: of the training rows that the run had.
        epochs: number of epochs; None takes the last that decided something.

    Raises:
        UserError: the file cannot be read, or names rows, classes or epochs that are not there.
    """
    rows, classes, when = _read(path)
    known, columns = truth.complete.shape
    count = int(when.max(initial=-1)) + 1 if epochs is None else epochs
    for what, numbers, size in (("row", rows, known), ("class", classes, columns), ("epoch", when, count)):
        bad = (numbers < 0) | (numbers >= size)
        if bad.any():
            raise UserError(f"{path.name} names {what} {int(numbers[bad][0])} of {size}", "ltbench verify RECORD")
    each = np.unique(np.stack([when, rows, classes], axis=1), axis=0)
    when, at = each[:, 0], (each[:, 1], each[:, 2])
    new = truth.observed[at] != 1
    present = new & (truth.complete[at] == 1)
    right = np.bincount(when[present], minlength=count)
    wrong = np.bincount(when[new & (truth.complete[at] == -1)], minlength=count)
    found = len(np.unique(each[present, 1:], axis=0))
    hidden = int(((truth.complete == 1) & (truth.observed != 1)).sum())
    return Corrections(right=tuple(map(int, right)), wrong=tuple(map(int, wrong)), hidden=hidden, found=found)


def _read(path: Path) -> tuple[Numbers, Numbers, Numbers]:
    try:
        document = read_json(path, hint="ltbench run --overwrite always …", most=2**30)
        columns = [np.asarray(document[name]) for name in ("rows", "classes", "epochs")]
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path.name} cannot be read ({error})", "ltbench run --overwrite always …") from error
    if any(column.ndim != 1 or len(column) != len(columns[0]) for column in columns) or any(
        len(column) and column.dtype.kind != "i" for column in columns
    ):
        raise UserError(f"{path.name} does not hold rows, classes and epochs", "ltbench run --overwrite always …")
    rows, classes, when = (column.astype(np.int64) for column in columns)
    return rows, classes, when
