"""What a user asks of ``ltbench task new``, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ltbench.data.own.annotated import Format
from ltbench.data.own.places import DEFAULT
from ltbench.data.own.table import Minus
from ltbench.tasks.task import Task

#: Whatever a user may accept by name.
Accept = Literal["names", "duplicates"]


@dataclass(frozen=True)
class Order:
    """What a user asks for.

    Attributes:
        name: of the task; lower case, digits, dots and hyphens.
        labels: table, COCO JSON file or folder of labels.
        images: folder of images; None for a task that uses features only.
        out: folder that gets the task folder.
        classes: file with class names in column order; None takes all that occur, sorted.
        features: ``.npz`` that becomes the default backbone of the task.
        validation: share of the training rows to hold out for tuning; None or 0 for none.
        test_share: share of test rows where the labels name no parts.
        split_seed: of that split.
        format: layout of the labels; None guesses.
        sep: what joins labels in a cell; None guesses.
        minus: what -1 means in a matrix; None guesses.
        columns: role → name of a column.
        absent: what classes are that training images do not name.
        skip_bad: leave out rows that are no good, and list them.
        accept: doubts that a user has looked at.
        protocol: how labels of the training part are hidden, as in ``partial:0.5``; empty for not at all.
        head_from: positives from which on a class is head.
        medium_from: positives from which on a class is medium.
    """

    name: str
    labels: Path
    images: Path | None
    out: Path = DEFAULT
    classes: Path | None = None
    features: Path | None = None
    validation: float | None = None
    test_share: float | None = None
    split_seed: int = 0
    format: Format | None = None
    sep: str | None = None
    minus: Minus | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    absent: Literal["negative", "unknown"] = "negative"
    skip_bad: bool = False
    accept: frozenset[str] = frozenset()
    protocol: str = ""
    head_from: int = 100
    medium_from: int = 20


@dataclass(frozen=True)
class Created:
    """What came of it.

    Attributes:
        folder: the task folder.
        rows: number of images by part.
        changed: a new version was written; false when everything is as it was.
        notes: what a user should know about the data.
        left_out: with ``skip_bad``: rows that are no good, one line each.
    """

    task: Task
    folder: Path
    rows: dict[str, int]
    changed: bool
    notes: tuple[str, ...] = field(default=())
    left_out: tuple[str, ...] = field(default=())
