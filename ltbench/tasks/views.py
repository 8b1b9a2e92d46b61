"""The way of the data: training and test views for phase 1, the truth for phase 2, and no way back.

In phase 1 no object holds test labels or complete training labels: :func:`open_train` turns complete labels into
observed ones and lets them go, :func:`open_test` never reads any. Only :func:`open_truth` opens true labels; the engine
calls it after the files of phase 1 are written and closed. A plugin that reads a data set's files from disk by itself
is out of this guard's reach.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from ltbench.data.base import DataSet, ImageRows, Images, Labels, Part
from ltbench.plugin.errors import UserError
from ltbench.tasks.groups import groups_from_counts
from ltbench.tasks.protocols import fingerprint
from ltbench.tasks.task import Fingerprints, Task

Purpose = Literal["final", "tune"]


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


@dataclass(frozen=True)
class Truth:
    """What phase 2 judges by.

    Attributes:
        labels: int8 [n, C], true test labels; 0 is unknown and ignored.
        groups: group name → class columns.
        unseen: columns of classes that training never named; empty outside zero-shot tasks.
        fingerprints: everything the task fixes, as found.
    """

    ids: tuple[str, ...]
    labels: Labels
    class_names: tuple[str, ...]
    groups: Mapping[str, tuple[int, ...]]
    unseen: tuple[int, ...]
    fingerprints: Fingerprints

    def limited(self, rows: int | None) -> Truth:
        """The first rows only, to judge a run with ``--limit``."""
        if rows is None or rows >= len(self.ids):
            return self
        return replace(self, ids=self.ids[:rows], labels=self.labels[:rows])


def _columns(source: Sequence[str], wanted: Sequence[str], task: Task) -> np.ndarray:
    position = {name: i for i, name in enumerate(source)}
    missing = [name for name in wanted if name not in position]
    if missing:
        raise UserError(f"task {task.address}: data set {task.data_set} has no class {', '.join(missing)}")
    return np.array([position[name] for name in wanted], dtype=np.int64)


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
    listed = [f"a {name.replace('_', ' ')}" for name in names] or ["a scene"]
    joined = listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}"
    return f"a photo of {joined}."


@dataclass(frozen=True)
class _TrainRows:
    """Training rows with complete labels; lives only inside the functions below."""

    part: Part
    rows: np.ndarray
    complete: Labels
    captions: tuple[str, ...] | None


def _training_rows(task: Task, data: DataSet) -> _TrainRows:
    part = data.part(task.train_part)
    complete = part.read_labels()
    rows = np.arange(len(part))
    if task.train_rows == "seen-only":
        unseen = _columns(data.class_names, task.unseen, task)
        rows = rows[~(complete[:, unseen] == 1).any(axis=1)]
        seen = _columns(data.class_names, task.seen, task)
        rows = rows[(complete[np.ix_(rows, seen)] == 1).any(axis=1)]
    captions = part.read_captions() if task.captions == "given" and part.read_captions is not None else None
    return _TrainRows(part, rows, complete, captions)


def _observed(task: Task, data: DataSet, source: _TrainRows) -> Labels:
    """Observed labels of the training rows over the seen classes."""
    columns = _columns(data.class_names, task.classes, task)
    ids = tuple(source.part.ids[int(row)] for row in source.rows)
    complete = np.ascontiguousarray(source.complete[np.ix_(source.rows, columns)])
    observed = task.protocol.apply(complete, ids, task.classes, mask_namespace(task), task.mask_seed)
    return observed


def mask_namespace(task: Task) -> str:
    """Name under which a task's masks are drawn: the same for all its settings, so that shares are nested."""
    return f"{task.name}.v{task.version}"


def _holdout(task: Task, ids: Sequence[str]) -> np.ndarray:
    """Boolean [N]: rows held out, a pure function of (task, version, row id)."""
    assert task.validation.fraction is not None
    scored = [
        int.from_bytes(hashlib.sha256(f"holdout|{task.name}.v{task.version}|{row}".encode()).digest()[:8], "big")
        for row in ids
    ]
    share = max(1, round(task.validation.fraction * len(ids)))
    held = np.zeros(len(ids), dtype=bool)
    held[np.argsort(np.array(scored, dtype=np.uint64), kind="stable")[:share]] = True
    return held


def _validation_part(task: Task, data: DataSet, names: Sequence[str]) -> TrainView:
    """Rows of a validation part over the named classes; rows that show an unseen class are left out."""
    assert task.validation.part is not None
    part = data.part(task.validation.part)
    complete = part.read_labels()
    rows = np.arange(len(part))
    if task.unseen:
        rows = rows[~(complete[:, _columns(data.class_names, task.unseen, task)] == 1).any(axis=1)]
    columns = _columns(data.class_names, names, task)
    labels = np.ascontiguousarray(complete[np.ix_(rows, columns)])
    ids = tuple(part.ids[int(row)] for row in rows)
    if task.validation.labels == "observed":
        labels = task.protocol.apply(labels, ids, tuple(names), mask_namespace(task), task.mask_seed)
    return TrainView(ids, ImageRows(part.images, rows.tolist()), labels, tuple(names))


def open_train(task: Task, data: DataSet, purpose: Purpose = "final") -> TrainView:
    """The training view with its validation view.

    With purpose ``tune`` a zero-shot task withholds its validation classes from training and validates on them.

    Raises:
        UserError: the data set lacks a part or a class.
    """
    source = _training_rows(task, data)
    observed = _observed(task, data, source)
    ids = tuple(source.part.ids[int(row)] for row in source.rows)
    captions = None if source.captions is None else tuple(source.captions[int(row)] for row in source.rows)
    if task.captions == "observed":
        captions = tuple(
            caption_from_labels([name for name, value in zip(task.seen, row, strict=True) if value == 1])
            for row in observed
        )
    names = task.seen
    view = TrainView(
        ids=ids,
        images=ImageRows(source.part.images, source.rows.tolist()),
        observed=observed,
        class_names=names,
        captions=captions,
        label_groups=_groups_within(data.label_groups, names),
    )
    if task.validation.kind == "holdout":
        held = _holdout(task, ids)
        clean = np.ascontiguousarray(source.complete[np.ix_(source.rows, _columns(data.class_names, names, task))])
        validation = _select(view, np.flatnonzero(held))
        if task.validation.labels == "clean":
            validation = TrainView(validation.ids, validation.images, clean[held], names)
        view = _with_validation(_select(view, np.flatnonzero(~held)), validation)
    elif task.validation.kind == "part":
        asked = task.validation.classes if purpose == "tune" and task.validation.classes else names
        view = _with_validation(view, _validation_part(task, data, asked))
    if purpose == "tune" and task.validation.classes:
        kept = tuple(name for name in names if name not in set(task.validation.classes))
        withheld = _columns(names, task.validation.classes, task)
        view = _select(view, np.flatnonzero(~(view.observed[:, withheld] == 1).any(axis=1)))
        view = TrainView(
            ids=view.ids,
            images=view.images,
            observed=np.ascontiguousarray(view.observed[:, _columns(names, kept, task)]),
            class_names=kept,
            captions=view.captions,
            label_groups=_groups_within(view.label_groups, kept),
            validation=view.validation,
        )
    return view


def _with_validation(view: TrainView, validation: TrainView) -> TrainView:
    return TrainView(
        view.ids, view.images, view.observed, view.class_names, view.captions, view.label_groups, validation
    )


def _groups_within(groups: Mapping[str, tuple[str, ...]], names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    wanted = set(names)
    kept = {group: tuple(name for name in members if name in wanted) for group, members in groups.items()}
    return {group: members for group, members in kept.items() if members}


def open_test(task: Task, data: DataSet) -> TestView:
    """The test view: ids and images. Reads no label."""
    part = data.part(task.test_part)
    return TestView(part.ids, part.images, task.classes)


def open_truth(task: Task, data: DataSet) -> Truth:
    """Phase 2 only: true test labels, groups and everything's fingerprints."""
    part = data.part(task.test_part)
    labels = np.ascontiguousarray(part.read_labels()[:, _columns(data.class_names, task.classes, task)])
    source = _training_rows(task, data)
    observed = _observed(task, data, source)
    position = {name: i for i, name in enumerate(task.classes)}
    unseen = tuple(position[name] for name in task.unseen)
    groups = _groups(task, data, source, observed)
    return Truth(
        ids=part.ids,
        labels=labels,
        class_names=task.classes,
        groups=groups,
        unseen=unseen,
        fingerprints=_fingerprints(task, data, source, observed, part, labels, groups),
    )


def _groups(task: Task, data: DataSet, source: _TrainRows, observed: Labels) -> dict[str, tuple[int, ...]]:
    """Groups from observed counts; tasks that hide labels also get groups from complete counts (``head_fixed`` …)."""
    counts = np.zeros(len(task.classes), dtype=np.int64)
    counts[_columns(task.classes, task.seen, task)] = (observed == 1).sum(axis=0)
    groups = dict(groups_from_counts(counts, task.groups, task.classes))
    if task.groups.by_count and task.protocol.kind != "full":
        complete = source.complete[np.ix_(source.rows, _columns(data.class_names, task.classes, task))]
        counts = (complete == 1).sum(axis=0)
        by_count = task.groups.model_copy(update={"fixed": ()})
        groups.update(groups_from_counts(counts, by_count, suffix="_fixed"))
    return groups


def _fingerprints(
    task: Task,
    data: DataSet,
    source: _TrainRows,
    observed: Labels,
    test: Part,
    test_labels: Labels,
    groups: Mapping[str, tuple[int, ...]],
) -> Fingerprints:
    ids = [source.part.ids[int(row)] for row in source.rows]
    captions = None if source.captions is None else [source.captions[int(row)] for row in source.rows]
    val_ids: Sequence[str] | None = None
    if task.validation.kind == "part":
        val_ids = data.part(task.validation.part or "").ids
    elif task.validation.kind == "holdout":
        val_ids = [row for row, held in zip(ids, _holdout(task, ids), strict=True) if held]
    grouped = [f"{name}: {', '.join(task.classes[c] for c in columns)}" for name, columns in sorted(groups.items())]
    complete = np.ascontiguousarray(source.complete[np.ix_(source.rows, _columns(data.class_names, task.seen, task))])
    return Fingerprints(
        class_names=fingerprint(list(task.classes)),
        train_ids=fingerprint(ids),
        observed_labels=fingerprint(observed),
        train_labels=fingerprint(complete),
        val_ids=None if val_ids is None else fingerprint(list(val_ids)),
        test_ids=fingerprint(list(test.ids)),
        test_labels=fingerprint(test_labels),
        captions=None if captions is None else fingerprint(captions),
        groups=fingerprint(grouped),
        images=task.fingerprints.images,
    )


#: Most likely reason for a mismatch, by fingerprint.
_CAUSES = {
    "class_names": "another class order or spelling",
    "train_ids": "another split under the same name, or rows added or removed",
    "observed_labels": "another mask draw or another version of the protocol",
    "train_labels": "another annotation release, or 'difficult' objects counted differently",
    "val_ids": "another validation split",
    "test_ids": "another test split, or images filtered out",
    "test_labels": "another annotation release, or 'difficult' objects counted differently",
    "captions": "captions from another source or in another order",
    "groups": "other group thresholds (n >= 100 and n >= 20 are meant), or other counts",
    "images": "image files were replaced, re-encoded or resized",
}


def compare_fingerprints(pinned: Fingerprints, found: Fingerprints) -> list[str]:
    """One line for every pinned hash that differs: both hashes and the likely cause."""
    problems = []
    for name in Fingerprints.model_fields:
        expected, actual = getattr(pinned, name), getattr(found, name)
        if expected is not None and actual is not None and expected != actual:
            problems.append(f"{name}: expected sha256 {expected}, found {actual} (likely {_CAUSES[name]})")
    return problems


def check_fingerprints(task: Task, found: Fingerprints) -> None:
    """Refuse data that is not the task's.

    Raises:
        UserError: names every fingerprint that differs, with both hashes and the likely cause.
    """
    problems = compare_fingerprints(task.fingerprints, found)
    if problems:
        raise UserError(
            f"task {task.address}: the data are not those of version {task.version}: {'; '.join(problems)}",
            f"ltbench show task {task.name}",
        )
