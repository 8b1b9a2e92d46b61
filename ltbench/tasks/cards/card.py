"""A task's card: what it asks, of which rows, from which files, and what people get wrong about it.

A card is made of facts, tables and lines; the command line prints it and ``docs/reference/tasks`` holds it as pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ltbench.tasks.cards.card_tables import (
    CardTable,
    FewLines,
    classes_table,
    files_table,
    fingerprints_table,
    group_sizes,
    settings_table,
)
from ltbench.tasks.cards.counting import Counted, OpenData, OpenFile, counted
from ltbench.tasks.task import Counts, Task


@dataclass(frozen=True)
class Card:
    """A task's card.

    Attributes:
        facts: name → value, in the order to show.
        tables: settings, classes, files and fingerprints, as far as there are any.
        notes: how the task is built.
        traps: what people get wrong.
    """

    title: str
    facts: dict[str, str]
    tables: tuple[CardTable, ...]
    notes: FewLines
    traps: FewLines

    def table(self, title: str) -> CardTable | None:
        """The table of a title."""
        return next((table for table in self.tables if table.title == title), None)


def make_card(tasks: Sequence[Task], open_file: OpenFile | None = None, open_data: OpenData | None = None) -> Card:
    """The card of a task in all the settings given.

    Args:
        tasks: settings of one task.
        open_file: finds a published file on this machine, or raises UserError; None looks at no file.
        open_data: opens the data on this machine, or raises UserError; None opens none, and what was counted when the
            task was pinned is shown.

    Raises:
        UserError: a published file at hand does not fit what the task pins.
    """
    first = tasks[0]
    # Files are looked at for the setting that the table of classes is about.
    found = [counted(task, open_file if task is first else None, open_data) for task in tasks]
    tables = (
        settings_table(tasks, [each.counts for each in found]),
        classes_table(first, found[0].counts),
        files_table(tasks),
        fingerprints_table(tasks),
    )
    return Card(
        title=first.title if len(tasks) == 1 else first.name,
        facts=_facts(tasks, found),
        tables=tuple(table for table in tables if table is not None),
        notes=_lines((task.setting, task.notes) for task in tasks),
        traps=_lines((task.setting, task.traps) for task in tasks),
    )


def _lines(by_setting: Iterable[tuple[str | None, FewLines]]) -> FewLines:
    """Lines of all settings; one that only some of them have says which."""
    having: dict[str, list[str]] = {}
    total = 0
    for setting, lines in by_setting:
        total += 1
        for line in dict.fromkeys(lines):
            having.setdefault(line, []).append(setting or "")
    return tuple(
        line if len(settings) == total else f"{', '.join(settings)}: {line}" for line, settings in having.items()
    )


def _title(tasks: Sequence[Task]) -> str:
    """The first line; of several settings also what the titles of all say behind their semicolon."""
    first = tasks[0]
    if len(tasks) == 1:
        return first.title
    said = {task.title.partition("; ")[2] for task in tasks}
    remark = f"; {said.pop()}" if len(said) == 1 and "" not in said else ""
    return f"{len(tasks)} settings, a run for each: {first.name}@SETTING is one{remark}"


def _facts(tasks: Sequence[Task], found: Sequence[Counted]) -> dict[str, str]:
    first = tasks[0]
    by_setting = {task.setting: each for task, each in zip(tasks, found, strict=True)}
    many = len(tasks) > 1
    rule = first.groups
    sizes = "" if many else group_sizes(first, found[0].counts)
    thresholds = f"head n >= {rule.head_from}, medium n >= {rule.medium_from}, tail below"
    fixed = [f"{group.name} ({len(group.classes)})" for group in rule.fixed]
    grouped = [*([thresholds] if rule.by_count else []), *fixed, *([f"{sizes} classes"] if sizes else [])]
    differs = "depends on the setting"
    facts = {
        "task": f"{first.name if many else first.address} (version {first.version}, family {first.family})",
        "title": _title(tasks),
        "data set": _same(tasks, _data_sets, differs),
        "rows": _same(tasks, lambda task: _rows(by_setting[task.setting].counts), differs),
        "labels": _same(tasks, lambda task: _labels(task, by_setting[task.setting]), differs),
        "difficult": _same(tasks, lambda task: task.difficult or "", differs),
        "unknown": f"{first.unknown_policy} (unless a method says otherwise)",
        "classes": f"{len(first.classes)}: {_listed(first.classes)}",
        "unseen": f"{len(first.unseen)}: {_listed(first.unseen)}" if first.unseen else "",
        "groups": "; ".join(grouped),
        "metrics": f"{', '.join(first.metrics)}; {first.headline} ranks (contract {first.contract})",
        "validation": _same(tasks, lambda task: task.validation.summary, differs),
        "selection": f"{first.selection} epoch",
        "captions": first.captions,
        "ranked": _same(tasks, _ranked, differs),
        "licence": first.licence,
        "counts": found[0].where,
    }
    return {name: value for name, value in facts.items() if value}


def _same(tasks: Sequence[Task], say: Callable[[Task], str], differs: str) -> str:
    said = {say(task) for task in tasks}
    return said.pop() if len(said) == 1 else differs


def _data_sets(task: Task) -> str:
    if task.test_data_set is None:
        return f"{task.data_set}: trains on {task.train_part}, tests on {task.test_part}"
    return f"trains on {task.data_set} ({task.train_part}), tests on {task.test_data_set} ({task.test_part})"


def _rows(counts: Counts) -> str:
    named = {"training": counts.train_rows, "validation": counts.val_rows, "test": counts.test_rows}
    return ", ".join(f"{number:,} {name}" for name, number in named.items() if number)


def _listed(names: Sequence[str], limit: int = 80) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _labels(task: Task, found: Counted) -> str:
    """The protocol, and how many labels nobody knows, where even complete labels have such."""
    lacking = {part: numbers for part, numbers in found.unknown.items() if numbers[0]}
    if not lacking:
        return task.protocol.summary
    said = " and ".join(f"{n:,} of {total:,} {part} labels" for part, (n, total) in lacking.items())
    known = "all known labels observed" if task.protocol.kind == "full" else task.protocol.summary
    return f"{known}; {said} are unknown to the data themselves"


def _ranked(task: Task) -> str:
    if not task.ranked:
        return "no: made for tests"
    if not task.unpinned:
        return "yes"
    by_reason: dict[str, list[str]] = {}
    for name, why in task.unpinned.items():
        by_reason.setdefault(why, []).append(name)
    return "no: " + "; ".join(f"{', '.join(names)} not pinned ({why})" for why, names in by_reason.items())


def as_markdown(card: Card, figures: str = "") -> str:
    """The card as a page.

    Args:
        figures: a section of printed figures, ready-made; ``ltbench.report`` has them.
    """
    blocks = [f"# {card.facts['task'].partition(' ')[0]}", card.facts["title"] + "."]
    named = [(name, value) for name, value in card.facts.items() if name not in ("task", "title")]
    version = card.facts["task"].partition("version ")[2].rstrip(")")
    blocks.append(_table(("", ""), (False, False), [("version", version), *named]))
    if card.notes:
        blocks += ["## How it is built", "\n".join(f"* {note}" for note in card.notes)]
    if card.traps:
        blocks += ["## Traps", "\n".join(f"* {trap}" for trap in card.traps)]
    for table in card.tables:
        blocks += [f"## {table.title}", _table(table.columns, table.right, table.rows)]
    if figures:
        blocks.append(figures.strip())
    return "\n\n".join(blocks) + "\n"


def _table(columns: Sequence[str], right: Sequence[bool], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["--:" if number else "---" for number in right], *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
