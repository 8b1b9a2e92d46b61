"""What phase 2 judges by: true labels, groups and fingerprints.

The engine opens them after the files of phase 1 are written and closed; before that, for their hashes alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ltbench.data.base import DataSet, Labels
from ltbench.tasks.groups import groups_from_counts
from ltbench.tasks.protocols import fingerprint
from ltbench.tasks.task import Fingerprints, Task
from ltbench.tasks.views.rows import TrainRows, columns_of, held_out, test_rows, training_rows, unused_rows


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


def open_truth(task: Task, data: DataSet) -> Truth:
    """True test labels, groups and everything's fingerprints.

    Raises:
        UserError: the data set lacks a part, a class, a listed image or a published file.
    """
    test = test_rows(task, data)
    labels = test.read_labels()
    source = training_rows(task, data)
    position = {name: i for i, name in enumerate(task.classes)}
    groups = _groups(task, source)
    return Truth(
        ids=test.ids,
        labels=labels,
        class_names=task.classes,
        groups=groups,
        unseen=tuple(position[name] for name in task.unseen),
        fingerprints=_fingerprints(task, data, source, test.ids, labels, groups),
    )


def _groups(task: Task, source: TrainRows) -> dict[str, tuple[int, ...]]:
    """Groups from observed counts of the rows that a final run trains on.

    Tasks that hide labels also get groups from complete counts (``head_fixed`` …).
    """
    trained = np.ones(len(source.ids), dtype=bool)
    if task.validation.kind == "holdout" and task.validation.in_final_runs:
        trained = ~held_out(task, source.ids)
    counts = np.zeros(len(task.classes), dtype=np.int64)
    counts[columns_of(task.classes, task.seen, task)] = (source.observed[trained] == 1).sum(axis=0)
    groups = dict(groups_from_counts(counts, task.groups, task.classes))
    if task.groups.by_count and task.protocol.kind != "full":
        by_count = task.groups.model_copy(update={"fixed": ()})
        groups.update(groups_from_counts((source.complete[trained] == 1).sum(axis=0), by_count, suffix="_fixed"))
    return groups


def _fingerprints(
    task: Task,
    data: DataSet,
    source: TrainRows,
    test_ids: Sequence[str],
    test_labels: Labels,
    groups: Mapping[str, tuple[int, ...]],
) -> Fingerprints:
    grouped = [f"{name}: {', '.join(task.classes[c] for c in columns)}" for name, columns in sorted(groups.items())]
    complete = np.ascontiguousarray(source.complete[:, columns_of(task.classes, task.seen, task)])
    val_ids = _validation_ids(task, data, source.ids)
    return Fingerprints(
        class_names=fingerprint(list(task.classes)),
        train_ids=fingerprint(list(source.ids)),
        observed_labels=fingerprint(source.observed),
        train_labels=fingerprint(complete),
        val_ids=None if val_ids is None else fingerprint(val_ids),
        test_ids=fingerprint(list(test_ids)),
        test_labels=fingerprint(test_labels),
        captions=None if source.captions is None else fingerprint(source.captions),
        groups=fingerprint(grouped),
        images=task.fingerprints.images,
    )


def _validation_ids(task: Task, data: DataSet, train_ids: Sequence[str]) -> list[str] | None:
    """Ids of the validation rows of a final run; None when it has none."""
    if not task.validation.in_final_runs:
        return None
    if task.validation.kind == "holdout":
        return [row for row, held in zip(train_ids, held_out(task, train_ids), strict=True) if held]
    ids = data.part(task.validation.part or "").ids
    if task.validation.unused is None:
        return list(ids)
    return [ids[int(row)] for row in unused_rows(task, data, ids, train_ids)]
