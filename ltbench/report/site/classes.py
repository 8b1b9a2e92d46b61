"""Classes of a task setting with their groups, and what a row scored on each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ltbench.plugin.errors import UserError
from ltbench.records.record import RunRecord
from ltbench.report.rows import Row
from ltbench.tasks.groups import groups_from_counts
from ltbench.tasks.registry import load_task
from ltbench.tasks.task import Task

#: Of classes whose groups no installed task tells.
UNKNOWN = "classes"


@dataclass(frozen=True)
class ClassFacts:
    """A class.

    Attributes:
        group: head, medium or tail, seen or unseen; :data:`UNKNOWN` where it cannot be told.
        observed: images on which it was observed in training; ``None`` where that was not counted.
    """

    name: str
    group: str
    observed: int | None


def classes_of(record: RunRecord) -> list[ClassFacts]:
    """Classes of the setting that a record ran on, by group and then by how often they were observed.

    Groups come from the counts that the installed task was pinned with, and only where its groups are those that the
    record states: a task of the same name may be another one.
    """
    names = list(record.per_class_ap)
    task = _installed(record)
    if task is None:
        return [ClassFacts(name, UNKNOWN, None) for name in names]
    # What was observed is counted over the classes that training names.
    observed = dict(zip(task.seen, task.counts.observed, strict=True)) if task.counts.observed else {}
    groups = groups_from_counts([observed.get(name, 0) for name in task.classes], task.groups, task.classes)
    order = {name: place for place, name in enumerate(groups)}
    member = {task.classes[column]: name for name, columns in groups.items() for column in columns}
    found = [ClassFacts(name, member.get(name, UNKNOWN), observed.get(name)) for name in names]
    return sorted(found, key=lambda one: (order.get(one.group, len(order)), -(one.observed or 0), one.name))


def _installed(record: RunRecord) -> Task | None:
    """The task that a record ran on, if one of that definition is installed and says how its classes are grouped."""
    try:
        task = load_task(record.task.address)
    except UserError:
        return None
    pinned, stated = task.fingerprints, record.task.fingerprints
    same = task.version == record.task.version and set(task.classes) == set(record.per_class_ap)
    same = same and pinned.groups is not None and pinned.groups == stated.get("groups")
    return task if same and (task.counts.observed or not task.groups.by_count) else None


def class_scores(row: Row, classes: Sequence[ClassFacts]) -> list[list[float | None]]:
    """Average precision of every class, one a seed, percent with two decimals."""
    return [[_rounded(record.per_class_ap.get(one.name)) for record in row.records] for one in classes]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
