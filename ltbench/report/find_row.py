"""The row of records that a user names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ltbench.plugin.errors import UserError
from ltbench.records.read import LoadedRecord, all_records
from ltbench.report.board import labels_of
from ltbench.report.rows import Row, make_rows


@dataclass(frozen=True)
class Named:
    """A row and what it is called.

    Attributes:
        entries: where its records lie.
    """

    row: Row
    label: str
    entries: tuple[LoadedRecord, ...]


def find_row(name: str, records: Sequence[LoadedRecord], task: str | None, where: str) -> Named:
    """A row by the name of its recipe or its label on a leaderboard, by a path to records, or by digits of a run key.

    Args:
        name: ``comic``, ``comic (code)``, a record, a folder with records of one row, or at least four digits of a key.
        records: to look up names and keys in.
        task: address; may lack its setting where rows of one setting fit only.
        where: what to call the place of the records.

    Raises:
        UserError: nothing fits, or several rows do.
    """
    if Path(name).exists():
        entries = all_records([Path(name)])
        if entries.problems:
            raise entries.problems[0]
        return _only(name, entries.records, None, where)
    own = [entry for entry in records if _on(entry, task)]
    by_name = _only_named(name, own, where, task)
    if by_name is not None:
        return by_name
    keyed = [entry for entry in own if len(name) >= 4 and entry.record.key.startswith(name)]
    if keyed:
        return _only(name, keyed, task, where)
    on = f" on {task}" if task else ""
    known = sorted({entry.record.method.name for entry in own})
    raise UserError(
        f"no completed run of {name!r}{on} in {where}; there are {', '.join(known) or 'no runs'}",
        f"ltbench run --task {task or 'TASK'} --method {name}",
    )


def _on(entry: LoadedRecord, task: str | None) -> bool:
    facts = entry.record.task
    return task is None or task in (facts.address, facts.name)


def _only_named(name: str, entries: Sequence[LoadedRecord], where: str, task: str | None) -> Named | None:
    rows = _rows(entries)
    fitting = [one for one in rows if one.label == name] or [one for one in rows if one.row.first.method.name == name]
    return _single(name, fitting, where, task) if fitting else None


def _only(name: str, entries: Sequence[LoadedRecord], task: str | None, where: str) -> Named:
    rows = _rows(entries)
    if not rows:
        raise UserError(f"there is no completed run in {name}", f"ltbench list runs --out {where}")
    return _single(name, rows, where, task)


def _single(name: str, found: Sequence[Named], where: str, task: str | None) -> Named:
    if len(found) == 1:
        return found[0]
    addresses = sorted({one.row.first.task.address for one in found})
    if len(addresses) > 1:
        raise UserError(f"{name!r} has rows on {', '.join(addresses)}", f"ltbench compare … --task {addresses[0]}")
    shown = "; ".join(" +".join([f"{one.label}, {one.row.equals.encoder}", *one.row.equals.extras]) for one in found)
    raise UserError(
        f"{name!r} fits {len(found)} rows: {shown}", f"ltbench list runs --out {where}, and give a path or key"
    )


def _rows(entries: Sequence[LoadedRecord]) -> list[Named]:
    """Rows of completed records, labelled among those of their task setting and equals as on a leaderboard."""
    places = {entry.record.record_sha256: entry for entry in entries}
    made = []
    by_task: dict[tuple[str, int], list[LoadedRecord]] = {}
    for entry in entries:
        by_task.setdefault((entry.record.task.name, entry.record.task.version), []).append(entry)
    for members in by_task.values():
        rows = make_rows(entry.record for entry in members)
        for equals in dict.fromkeys(row.equals for row in rows):
            section = [row for row in rows if row.equals == equals]
            for row, label in zip(section, labels_of(section), strict=True):
                made.append(Named(row, label, tuple(places[record.record_sha256] for record in row.records)))
    return made
