"""Which rows a task trains, validates and tests on, and what is observed of them.

Everything here handles complete labels, so nothing here is handed to a method: ``ltbench.tasks.views`` takes what a
method may see and lets the rest go.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ltbench.data.base import DataSet, ImageRows, Images, Labels
from ltbench.plugin.errors import UserError
from ltbench.tasks.protocols.masks import random_state_split
from ltbench.tasks.task import PublishedFile, Task
from ltbench.tasks.views.opened import file_of, test_set
from ltbench.tasks.views.published import Line, class_numbers, keys_of, read_lines, row_numbers

Numbers = NDArray[np.int64]
RowRule = Callable[[Sequence[str], Labels], Sequence[int]]


def columns_of(source: Sequence[str], wanted: Sequence[str], task: Task, data_set: str | None = None) -> Numbers:
    """Column numbers of class names.

    Raises:
        UserError: the data set lacks a class.
    """
    position = {name: i for i, name in enumerate(source)}
    missing = [name for name in wanted if name not in position]
    if missing:
        raise UserError(f"task {task.address}: data set {data_set or task.data_set} has no class {', '.join(missing)}")
    return np.array([position[name] for name in wanted], dtype=np.int64)


def mask_namespace(task: Task) -> str:
    """Name under which a task's masks are drawn: the same for all its settings, so that shares are nested."""
    return task.mask_namespace or f"{task.name}.v{task.version}"


@dataclass(frozen=True)
class TrainRows:
    """Training rows with complete and observed labels.

    Attributes:
        complete: int8 [N, C] over all classes of the task.
        observed: int8 [N, C'] over its seen classes.
    """

    ids: tuple[str, ...]
    images: Images
    complete: Labels
    observed: Labels
    captions: tuple[str, ...] | None


@dataclass(frozen=True)
class TestRows:
    """Test rows; ``read_labels`` opens their true labels, int8 [n, C]."""

    __test__ = False  # not a pytest class

    ids: tuple[str, ...]
    images: Images
    read_labels: Callable[[], Labels]


def training_rows(task: Task, data: DataSet) -> TrainRows:
    """Rows of the training part that the task means, before any validation rows are held out.

    Raises:
        UserError: the data lack a part, a class, a listed image or a published file.
    """
    part = data.part(task.train_part)
    columns = columns_of(data.class_names, task.classes, task)
    rows = np.arange(len(part))
    lines: list[Line] | None = None
    listing = task.defining("train", "observed")
    if listing is not None:
        lines = read_lines(file_of(task, data, listing))
        where = f"task {task.address}: data set {data.name}"
        rows = np.array(row_numbers(lines, part.ids, listing.name, where), dtype=np.int64)
    if listing is not None and lines is not None and listing.labels and listing.role == "train":
        complete = _labels_of(lines, task, listing)
    else:
        complete = np.ascontiguousarray(part.read_labels()[np.ix_(rows, columns)])
    kept = _kept(task, tuple(part.ids[int(row)] for row in rows), complete)
    whole = kept is None and len(rows) == len(part) and listing is None
    if kept is not None:
        rows, complete = rows[kept], complete[kept]
        lines = None if lines is None else [lines[int(row)] for row in kept]
    ids = part.ids if whole else tuple(part.ids[int(row)] for row in rows)
    captions = None
    if task.captions == "given":
        file = task.defining("captions")
        if file is not None:
            captions = _captions(task, data, file, ids)
        elif part.read_captions is not None:
            every = part.read_captions()
            captions = tuple(every[int(row)] for row in rows)
    if listing is not None and lines is not None and listing.role == "observed":
        observed = _single_positives(lines, task, listing)
    else:
        observed = task.protocol.apply(complete, ids, task.classes, mask_namespace(task), task.mask_seed)
    return TrainRows(ids, part.images if whole else ImageRows(part.images, rows.tolist()), complete, observed, captions)


def _kept(task: Task, ids: Sequence[str], complete: Labels) -> Numbers | None:
    """Numbers of the rows that the task's rules keep; None when there is no rule."""
    kept: Numbers | None = None
    if task.select is not None:
        kept = np.asarray(_rule(task.select)(ids, complete), dtype=np.int64)
    if task.train_rows != "all":
        position = np.arange(len(ids)) if kept is None else kept
        seen = columns_of(task.classes, task.seen, task)
        fitting = (complete[np.ix_(position, seen)] == 1).any(axis=1)
        if task.train_rows == "seen-only":
            unseen = columns_of(task.classes, task.unseen, task)
            fitting &= ~(complete[np.ix_(position, unseen)] == 1).any(axis=1)
        kept = position[fitting]
    return kept


def _rule(target: str) -> RowRule:
    module, _, name = target.partition(":")
    return cast(RowRule, getattr(importlib.import_module(module), name))


def _labels_of(lines: Sequence[Line], task: Task, file: PublishedFile) -> Labels:
    labels = np.full((len(lines), len(task.classes)), -1, dtype=np.int8)
    for row, numbers in enumerate(class_numbers(lines, len(task.classes), file.name)):
        labels[row, list(numbers)] = 1
    return labels


def _single_positives(lines: Sequence[Line], task: Task, file: PublishedFile) -> Labels:
    """Observed labels of a published file: what it names is present, all else unknown."""
    labels = _labels_of(lines, task, file)
    return np.where(labels == 1, labels, 0).astype(np.int8)


def _captions(task: Task, data: DataSet, file: PublishedFile, ids: Sequence[str]) -> tuple[str, ...]:
    """Captions of a published file, brought into the order of the rows by the names of the images."""
    lines = read_lines(file_of(task, data, file))
    rows = row_numbers(lines, ids, file.name, f"task {task.address}")
    if len(rows) != len(ids):
        raise UserError(f"{file.name} has captions of {len(rows)} of the {len(ids)} training rows of {task.address}")
    text = {row: line.rest for row, line in zip(rows, lines, strict=True)}
    return tuple(text[row] for row in range(len(ids)))


def test_rows(task: Task, data: DataSet) -> TestRows:
    """Rows of the test part that the task means. Labels are read only by a row rule that needs them, and then let go.

    Raises:
        UserError: the data lack a part, a listed image or a published file.
    """
    source = test_set(data)
    part = source.part(task.test_part)
    listing = task.defining("test")
    if listing is not None:
        lines = read_lines(file_of(task, data, listing))
        rows = row_numbers(lines, part.ids, listing.name, f"task {task.address}: data set {source.name}")
    elif task.test_select is not None:
        rows = list(_rule(task.test_select)(part.ids, _test_labels(task, source, part.read_labels())))
    else:
        return TestRows(part.ids, part.images, lambda: _test_labels(task, source, part.read_labels()))

    def read() -> Labels:
        if listing is not None and listing.labels:
            return _labels_of(lines, task, listing)
        return np.ascontiguousarray(_test_labels(task, source, part.read_labels())[rows])

    return TestRows(tuple(part.ids[int(row)] for row in rows), ImageRows(part.images, rows), read)


def _test_labels(task: Task, source: DataSet, labels: Labels) -> Labels:
    return np.ascontiguousarray(labels[:, columns_of(source.class_names, task.classes, task, source.name)])


def held_out(task: Task, ids: Sequence[str]) -> NDArray[np.bool_]:
    """Boolean [N]: rows held out for validation.

    ``hashed`` is a pure function of (task, version, row id); ``cole`` goes by row order.
    """
    assert task.validation.fraction is not None
    held = np.zeros(len(ids), dtype=bool)
    if task.validation.draw == "cole":
        held[random_state_split(len(ids), task.validation.fraction)[1]] = True
        return held
    share = max(1, round(task.validation.fraction * len(ids)))
    held[np.argsort(_scores(task, ids), kind="stable")[:share]] = True
    return held


def share_of(task: Task, ids: Sequence[str], share: float) -> Numbers:
    """Numbers of a share of the rows, at least one, in their order.

    Which rows these are follows from the task and their ids alone: the same for every method and seed, and a smaller
    share lies within a larger one.
    """
    count = max(1, round(share * len(ids)))
    return np.sort(np.argsort(_scores(task, ids, "share"), kind="stable")[:count])


def unused_rows(task: Task, data: DataSet, part_ids: Sequence[str], train_ids: Sequence[str]) -> Numbers:
    """Rows of a validation part that training leaves out: as many as the task asks for, by hash, in the order of ids.

    The order of the part plays no role: which rows these are can be pinned from a list in any order.

    Raises:
        UserError: the published file that lists what they are drawn from cannot be had.
    """
    free = set(part_ids) - set(train_ids)
    pool = task.defining("validation")
    if pool is not None:
        listed = read_lines(file_of(task, data, pool))
        free &= {key for line in listed for key in keys_of(line.image)}
    rows = np.array([row for row, name in enumerate(part_ids) if name in free], dtype=np.int64)
    drawn = np.argsort(_scores(task, [part_ids[int(row)] for row in rows]), kind="stable")[: task.validation.unused]
    chosen: list[int] = rows[drawn].tolist()
    return np.array(sorted(chosen, key=lambda row: part_ids[row]), dtype=np.int64)


def _scores(task: Task, ids: Sequence[str], use: str = "holdout") -> NDArray[np.uint64]:
    keys = (hashlib.sha256(f"{use}|{task.name}.v{task.version}|{row}".encode()).digest()[:8] for row in ids)
    return np.array([int.from_bytes(key, "big") for key in keys], dtype=np.uint64)
