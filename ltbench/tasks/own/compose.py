"""Rows of a user's labels become parts: labels as numbers, the split, and pictures that belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ltbench.data.base import Labels
from ltbench.data.own.content import FolderContent, FolderPart
from ltbench.data.own.images import Seen
from ltbench.data.own.split import grouped_split
from ltbench.data.own.table import Row, Table
from ltbench.data.own.twins import twins
from ltbench.plugin.errors import UserError
from ltbench.tasks.own.asked import Asked, tail_rows
from ltbench.tasks.own.order import Order

TEST_SHARE = 0.3


@dataclass(frozen=True)
class Composed:
    """Parts, and what is odd about them.

    Attributes:
        notes: one line each.
        across: test or validation pictures that are, nearly, training pictures, and nobody accepted that.
    """

    content: FolderContent
    notes: tuple[str, ...]
    across: int = 0


def compose(order: Order, table: Table, seen: Mapping[str, Seen], asked: Asked) -> Composed:
    """Split rows where the labels do not, and write labels as numbers.

    Raises:
        UserError: a part is empty, options contradict the labels, or a group is in two parts.
    """
    rows = table.rows
    ids = [row.file for row in rows]
    groups, notes = _groups(rows, seen)
    split = _split(order, table, groups)
    notes += _straddling(order, rows, split)
    across = _across(rows, split, seen, groups)
    if across:
        first = next(iter(across.items()))
        text = (
            f"{len(across)} images of other parts equal, or nearly, training images (first: {first[0]} and {first[1]})"
        )
        fine = "duplicates" in order.accept
        notes.append(text if fine else f"{text}; the task is not ranked: take them out, or --accept duplicates")
    parts = {}
    for part in ("train", "val", "test"):
        places = [place for place, name in enumerate(split) if name == part]
        if not places:
            continue
        labels = _labels(
            [rows[place] for place in places], table.class_names, order.absent == "unknown" and part != "test"
        )
        if part == "train" and asked.tail is not None:
            kept = tail_rows(labels, [ids[place] for place in places], asked.tail)
            notes.append(
                f"{len(kept)} of {len(places)} training images are the long-tailed subset; the others are not used"
            )
            places, labels = [places[row] for row in kept], labels[kept]
        known = [seen[ids[place]] for place in places] if seen else []
        parts[part] = FolderPart(
            ids=tuple(ids[place] for place in places),
            labels=np.ascontiguousarray(labels),
            sha256=tuple(one.sha256 for one in known),
            stamps=tuple(one.stamp for one in known),
        )
    if order.absent == "unknown":
        notes.append("classes that an image does not name are unknown in training, and absent at test")
    refused = "duplicates" not in order.accept
    return Composed(FolderContent(table.class_names, parts), tuple(notes), len(across) if refused else 0)


def _labels(rows: Sequence[Row], class_names: Sequence[str], positives_only: bool) -> Labels:
    column = {name: place for place, name in enumerate(class_names)}
    labels = np.full((len(rows), len(class_names)), 0 if positives_only else -1, dtype=np.int8)
    for place, row in enumerate(rows):
        if row.open:
            labels[place] = 0
        labels[place, [column[name] for name in row.absent]] = -1
        labels[place, [column[name] for name in row.unknown]] = 0
        labels[place, [column[name] for name in row.labels]] = 1
    return labels


def _groups(rows: Sequence[Row], seen: Mapping[str, Seen]) -> tuple[list[int], list[str]]:
    """Number of the group of each row: equal pictures, and those that a user's column says."""
    group = list(range(len(rows)))
    notes = []
    if seen:
        found = [seen[row.file] for row in rows]
        group, equal, near = twins([one.sha256 for one in found], [one.thumbnail for one in found])
        if equal or near:
            kinds = [(equal, "equal others to the byte"), (near, "nearly equal others")]
            notes.append(" and ".join(f"{count} images {text}" for count, text in kinds if count))
    parent: dict[int, int] = {}

    def root(one: int) -> int:
        while one in parent:
            one = parent[one]
        return one

    first: dict[str, int] = {}
    for place, row in enumerate(rows):
        if row.group:
            here, there = root(group[place]), root(first.setdefault(row.group, group[place]))
            if here != there:
                parent[max(here, there)] = min(here, there)
    return [root(one) for one in group], notes


def _split(order: Order, table: Table, groups: Sequence[int]) -> list[str]:
    rows = table.rows
    complete = _labels(rows, table.class_names, False)
    ids = [row.file for row in rows]
    if table.has_split:
        if order.test_share is not None:
            raise UserError(f"{table.name} has a column split, so --test-share has no meaning", "leave one of them out")
        split = [row.split or "" for row in rows]
    else:
        share = TEST_SHARE if order.test_share is None else order.test_share
        held = grouped_split(complete, ids, groups, share, order.split_seed)
        split = ["test" if row else "train" for row in held]
    absent = [part for part in ("train", "test") if part not in split]
    if absent:
        raise UserError(
            f"{table.name} leaves no image for {' and '.join(absent)}",
            "give every image a split of train, val or test, or leave the column out",
        )
    if "val" in split and order.validation:
        raise UserError(f"{table.name} has split val, so --validation has no meaning", "leave one of them out")
    training = [place for place, part in enumerate(split) if part == "train"]
    together = [groups[place] for place in training]
    if order.validation and len(set(together)) < len(together):
        # Held out here, where groups are known; a task draws its hold-out row by row.
        held = grouped_split(
            complete[training], [ids[place] for place in training], together, order.validation, order.split_seed
        )
        for place, out in zip(training, held, strict=True):
            split[place] = "val" if out else "train"
    return split


def _straddling(order: Order, rows: Sequence[Row], split: Sequence[str]) -> list[str]:
    """Groups that a given split tears apart.

    Raises:
        UserError: there are such groups, and the split was asked to keep them.
    """
    parts: dict[str, set[str]] = {}
    for row, part in zip(rows, split, strict=True):
        if row.group:
            parts.setdefault(row.group, set()).add(part)
    torn = sorted(group for group, found in parts.items() if len(found) > 1)
    if torn:
        raise UserError(
            f"{len(torn)} of {len(parts)} groups are in several parts (first: {torn[0]!r})",
            "leave the column split out, and they are kept together",
        )
    return [f"{len(parts)} groups of {order.columns.get('group')!r} stay in one part each"] if parts else []


def _across(
    rows: Sequence[Row], split: Sequence[str], seen: Mapping[str, Seen], groups: Sequence[int]
) -> dict[str, str]:
    """Pictures outside of training that look like one inside, each with that one."""
    if not seen:
        return {}
    training: dict[int, str] = {}
    for row, part, group in zip(rows, split, groups, strict=True):
        if part == "train":
            training.setdefault(group, row.file)
    return {
        row.file: training[group]
        for row, part, group in zip(rows, split, groups, strict=True)
        if part != "train" and group in training
    }
