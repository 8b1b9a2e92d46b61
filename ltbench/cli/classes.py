"""Average precision by class: what ``ltbench show run`` lists below the scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ltbench.cli.output import Column, fold, print_table

if TYPE_CHECKING:
    from ltbench.records.record import RunRecord


def classes_of(record: RunRecord) -> list[dict[str, Any]]:
    """One entry for each class of a record, in the task's order.

    ``group`` and the positives are what the task was pinned with, ``None`` where this installation does not have the
    task in the record's version, or nobody could count: of the observed training labels, by which classes are grouped,
    and of the test labels. ``ap`` is percent, ``None`` for a class without a test label.
    """
    known = _pinned(record)
    empty = {"group": None, "train_positives": None, "test_positives": None}
    return [{"class": name, "ap": ap, **known.get(name, empty)} for name, ap in record.per_class_ap.items()]


def _pinned(record: RunRecord) -> dict[str, dict[str, Any]]:
    from ltbench.plugin.errors import UserError
    from ltbench.tasks.cards.card_tables import groups_of_classes, over_all_classes
    from ltbench.tasks.registry import load_task

    try:
        task = load_task(record.task.address)
    except UserError:
        return {}
    counts = task.counts
    if task.version != record.task.version or not counts.observed or not counts.test:
        return {}
    groups = groups_of_classes(task, counts)
    observed = over_all_classes(task, counts.observed)
    if not len(task.classes) == len(observed) == len(counts.test):
        return {}
    return {
        name: {"group": group or None, "train_positives": train, "test_positives": test}
        for name, group, train, test in zip(task.classes, groups, observed, counts.test, strict=True)
    }


def print_classes(record: RunRecord) -> None:
    """A table of the classes, the best first; nothing for a run without any."""
    classes = classes_of(record)
    if not classes:
        return
    classes.sort(key=lambda entry: (entry["ap"] is None, -(entry["ap"] or 0.0)))
    click.echo()
    counted = any(entry["group"] is not None or entry["train_positives"] is not None for entry in classes)
    columns = [Column("class", whole=True), *([Column("group")] if counted else []), Column("AP", right=True)]
    if counted:
        columns += [Column("train positives", right=True), Column("test positives", right=True)]
    rows = []
    for entry in classes:
        ap = "-" if entry["ap"] is None else f"{entry['ap']:.2f}"
        told = [entry["group"] or "-"], [_number(entry["train_positives"]), _number(entry["test_positives"])]
        rows.append([entry["class"], *told[0], ap, *told[1]] if counted else [entry["class"], ap])
    print_table(columns, rows, "Average precision by class, in %")
    if counted:
        click.echo(fold("Train positives: labels that training may see; they decide the group."))


def _number(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"
