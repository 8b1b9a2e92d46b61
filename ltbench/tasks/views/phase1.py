"""What phase 1 sees: training and test views, and no way back from them to what they leave out.

In phase 1 no object holds test labels or complete training labels: :func:`open_train` turns complete labels into
observed ones and lets them go, :func:`open_test` never reads any. Only ``ltbench.tasks.views.truth`` opens true labels.
A plugin that reads a data set's files from disk by itself is out of this guard's reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from ltbench.data.base import DataSet, ImageRows, Images, Labels
from ltbench.tasks.task import Task
from ltbench.tasks.views.rows import (
    columns_of,
    held_out,
    mask_namespace,
    share_of,
    test_rows,
    training_rows,
    unused_rows,
)

Purpose = Literal["final", "tune"]
#: Labels of the validation rows that a final run asks for: through the label protocol, or all.
Asked = Literal["observed", "clean"]


def validation_labels(task: Task, asked: Asked = "observed") -> Literal["", "observed", "clean"]:
    """What the labels of the validation rows of a final run are; empty where it has no such rows.

    Where a protocol hides no label of a training class, the observed ones are the clean ones.
    """
    if not task.validation.in_final_runs:
        return ""
    return "clean" if task.protocol.kind in ("full", "seen-only") else asked


@dataclass(frozen=True)
class TrainView:
    """What a method may learn from.

    Attributes:
        ids: row ids.
        images: images by row.
        observed: int8 [N, C] in {+1, -1, 0}.
        captions: one a row, where the task allows them.
        class_names: columns of ``observed``.
        label_groups: semantic groups of these classes.
        validation: rows for a method's own choices, where the task has them.
    """

    ids: tuple[str, ...]
    images: Images
    observed: Labels
    class_names: tuple[str, ...]
    captions: tuple[str, ...] | None = None
    label_groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    validation: TrainView | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def limited(self, rows: int | None) -> TrainView:
        """The first rows only, for trying a path out; never ranked."""
        if rows is None or rows >= len(self):
            return self
        return _select(self, np.arange(rows))

    def sampled(self, task: Task, share: float | None) -> TrainView:
        """A share of the rows, for few-shot training; see :func:`ltbench.tasks.views.rows.share_of`. Never ranked.

        Validation rows are left as they are.
        """
        return self if share is None else _select(self, share_of(task, self.ids, share))


@dataclass(frozen=True)
class TestView:
    """What a method answers for. ``class_names`` may hold classes that training never named."""

    __test__ = False  # not a pytest class

    ids: tuple[str, ...]
    images: Images
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def limited(self, rows: int | None) -> TestView:
        """The first rows only, for trying a path out; never ranked."""
        if rows is None or rows >= len(self):
            return self
        return TestView(self.ids[:rows], ImageRows(self.images, range(rows)), self.class_names)


def _select(view: TrainView, rows: np.ndarray) -> TrainView:
    return TrainView(
        ids=tuple(view.ids[int(row)] for row in rows),
        images=ImageRows(view.images, rows.tolist()),
        observed=view.observed[rows],
        class_names=view.class_names,
        captions=None if view.captions is None else tuple(view.captions[int(row)] for row in rows),
        label_groups=view.label_groups,
        validation=view.validation,
    )


def caption_from_labels(names: Sequence[str]) -> str:
    """The caption that observed labels allow: "a photo of a cup and a star." names only what was observed."""
    spoken = [name.replace("_", " ") for name in names] or ["scene"]
    listed = [f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}" for name in spoken]
    joined = listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}"
    return f"a photo of {joined}."


def open_train(task: Task, data: DataSet, purpose: Purpose = "final", validation: Asked = "observed") -> TrainView:
    """The training view with its validation view.

    In a final run validation rows show their observed labels, drawn by the task's protocol, unless clean ones are asked
    for. With purpose ``tune`` they show what the task says of validation, rows are held out also where a final run
    trains on all of them, and a zero-shot task withholds its validation classes from training and validates on them.

    Raises:
        UserError: the data set lacks a part, a class, a listed image or a published file.
    """
    source = training_rows(task, data)
    names = task.seen
    captions = source.captions
    if task.captions == "observed":
        captions = tuple(caption_from_labels([names[c] for c in np.flatnonzero(row == 1)]) for row in source.observed)
    groups = _groups_within(data.label_groups, names)
    view = TrainView(source.ids, source.images, source.observed, names, captions, groups)
    withheld = task.validation.classes if purpose == "tune" else ()
    labels = task.validation.labels if purpose == "tune" else validation
    if task.validation.kind == "holdout" and (purpose == "tune" or task.validation.in_final_runs):
        held = held_out(task, source.ids)
        rows = _select(view, np.flatnonzero(held))
        if labels == "clean" or withheld:
            clean = source.complete[np.ix_(held, columns_of(task.classes, withheld or names, task))]
            rows = TrainView(rows.ids, rows.images, clean, withheld or names)
        view = replace(_select(view, np.flatnonzero(~held)), validation=rows)
    elif task.validation.kind == "part":
        view = replace(view, validation=_validation_part(task, data, withheld or names, source.ids, labels))
    return _without(view, withheld, task) if withheld else view


def _without(view: TrainView, withheld: Sequence[str], task: Task) -> TrainView:
    """Training without some of its classes: their columns go, and rows as ``train_rows`` says of unseen classes."""
    kept = tuple(name for name in view.class_names if name not in set(withheld))
    shown = view.observed == 1
    rows = shown[:, columns_of(view.class_names, kept, task)].any(axis=1)
    if task.train_rows != "any-seen":
        rows = ~shown[:, columns_of(view.class_names, withheld, task)].any(axis=1)
    view = _select(view, np.flatnonzero(rows))
    return replace(
        view,
        observed=np.ascontiguousarray(view.observed[:, columns_of(view.class_names, kept, task)]),
        class_names=kept,
        label_groups=_groups_within(view.label_groups, kept),
    )


def _validation_part(
    task: Task, data: DataSet, names: Sequence[str], train_ids: Sequence[str], asked: Asked
) -> TrainView:
    """Rows of a validation part over the named classes; rows that show an unseen class are left out."""
    part = data.part(task.validation.part or "")
    complete = part.read_labels()
    rows = np.arange(len(part)) if task.validation.unused is None else unused_rows(task, data, part.ids, train_ids)
    if task.unseen:
        rows = rows[~(complete[np.ix_(rows, columns_of(data.class_names, task.unseen, task))] == 1).any(axis=1)]
    labels = np.ascontiguousarray(complete[np.ix_(rows, columns_of(data.class_names, names, task))])
    ids = tuple(part.ids[int(row)] for row in rows)
    if asked == "observed" and task.protocol.kind not in ("full", "seen-only"):
        labels = task.protocol.apply(labels, ids, tuple(names), mask_namespace(task), task.mask_seed)
    return TrainView(ids, ImageRows(part.images, rows.tolist()), labels, tuple(names))


def has_groups(task: Task, data: DataSet) -> bool:
    """Whether the training view has semantic groups of classes."""
    return bool(_groups_within(data.label_groups, task.seen))


def _groups_within(groups: Mapping[str, tuple[str, ...]], names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    wanted = set(names)
    kept = {group: tuple(name for name in members if name in wanted) for group, members in groups.items()}
    return {group: members for group, members in kept.items() if members}


def open_test(task: Task, data: DataSet) -> TestView:
    """The test view: ids and images.

    Reads no label, unless the task's definition of its test rows does ("annotated images"): then row numbers are all
    that is kept.
    """
    rows = test_rows(task, data)
    return TestView(rows.ids, rows.images, task.classes)
