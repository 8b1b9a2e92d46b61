"""A task's card: what it asks, of which rows, from which files, and what people get wrong about it.

A card is made of facts, tables and lines; the command line prints it and ``docs/reference/tasks`` holds it as pages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ltbench.plugin.errors import UserError
from ltbench.tasks.groups import groups_from_counts
from ltbench.tasks.published import class_numbers, read_lines
from ltbench.tasks.task import Counts, Fingerprints, PublishedFile, Task

FewLines = tuple[str, ...]


@dataclass(frozen=True)
class CardTable:
    """A table of a card; ``right`` says which columns are numbers."""

    title: str
    columns: FewLines
    right: tuple[bool, ...]
    rows: tuple[FewLines, ...]


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


def make_card(tasks: Sequence[Task], open_file: Callable[[PublishedFile], Path] | None = None) -> Card:
    """The card of a task in all the settings given.

    Args:
        tasks: settings of one task.
        open_file: finds a published file on this machine, or raises UserError; None looks at no file, and what was
            counted when the task was pinned is shown.

    Raises:
        UserError: a published file at hand does not fit what the task pins.
    """
    first = tasks[0]
    counted, where = _counted(first, open_file)
    tables = (_settings(tasks), _classes(first, counted), _files(first), _fingerprints(tasks))
    return Card(
        title=first.title if len(tasks) == 1 else first.name,
        facts=_facts(tasks, counted, where),
        tables=tuple(table for table in tables if table is not None),
        notes=first.notes,
        traps=first.traps,
    )


def counts_at_hand(task: Task, open_file: Callable[[PublishedFile], Path]) -> tuple[Counts, FewLines]:
    """What published files on this machine say of rows and classes, and which files were counted.

    Raises:
        UserError: a file at hand is another one, or cannot be read.
    """
    from ltbench.data.hashes import WrongFile

    found: dict[str, object] = {}
    names = []
    for file in task.published:
        field = {"train": "train", "test": "test", "observed": "observed"}.get(file.role)
        if field is None or (not file.labels and file.role != "observed"):
            continue
        try:
            path = open_file(file)
        except WrongFile:
            raise
        except UserError:
            # Not here: the card says what was counted when the task was pinned.
            continue
        numbers = class_numbers(read_lines(path), len(task.classes), file.name)
        counts = [0] * len(task.classes)
        for row in numbers:
            for number in set(row):
                counts[number] += 1
        found[field] = tuple(counts)
        found["test_rows" if field == "test" else "train_rows"] = len(numbers)
        names.append(file.name)
    if "train" in found and task.protocol.kind == "full":
        found["observed"] = found["train"]
    return Counts.model_validate(found), tuple(names)


def _counted(task: Task, open_file: Callable[[PublishedFile], Path] | None) -> tuple[Counts, str]:
    """Counts to show, and where they come from."""
    if open_file is None:
        return task.counts, "as counted when the task was pinned"
    found, names = counts_at_hand(task, open_file)
    wrong = [
        name
        for name in Counts.model_fields
        if getattr(found, name) and getattr(task.counts, name) and getattr(found, name) != getattr(task.counts, name)
    ]
    if wrong:
        raise UserError(
            f"task {task.address}: {', '.join(names)} does not give the pinned counts ({', '.join(wrong)})",
            f"ltbench data prepare {task.name}",
        )
    known = {name: value for name, value in found.model_dump().items() if value}
    shown = task.counts.model_copy(update=known)
    return shown, f"counted in {', '.join(names)}" if names else "as counted when the task was pinned"


def _facts(tasks: Sequence[Task], counted: Counts, where: str) -> dict[str, str]:
    first = tasks[0]
    many = len(tasks) > 1
    rule = first.groups
    sizes = [] if many else _sizes(first, counted)
    thresholds = f"head n >= {rule.head_from}, medium n >= {rule.medium_from}, tail below"
    fixed = [f"{group.name} ({len(group.classes)})" for group in rule.fixed]
    differs = "depends on the setting"
    facts = {
        "task": f"{first.name if many else first.address} (version {first.version}, family {first.family})",
        "title": f"{len(tasks)} settings, a run for each: {first.name}@SETTING is one" if many else first.title,
        "data set": _same(tasks, _data_sets, differs),
        "rows": _same(tasks, lambda task: _rows(counted if task is first else task.counts), differs),
        "labels": _same(tasks, lambda task: task.protocol.summary, differs),
        "difficult": _same(tasks, lambda task: task.difficult or "", differs),
        "unknown": f"{first.unknown_policy} (unless a method says otherwise)",
        "classes": f"{len(first.classes)}: {_listed(first.classes)}",
        "unseen": f"{len(first.unseen)}: {_listed(first.unseen)}" if first.unseen else "",
        "groups": "; ".join([*([thresholds] if rule.by_count else []), *fixed, *sizes]),
        "metrics": f"{', '.join(first.metrics)}; {first.headline} ranks (contract {first.contract})",
        "validation": _same(tasks, lambda task: task.validation.summary, differs),
        "selection": f"{first.selection} epoch",
        "captions": first.captions,
        "ranked": _same(tasks, _ranked, differs),
        "licence": first.licence,
        "counts": where if counted != Counts() else "not counted: its files were not at hand when it was pinned",
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


def _sizes(task: Task, counted: Counts) -> list[str]:
    """Sizes of head, medium and tail, where the observed labels are counted."""
    if not task.groups.by_count or not counted.observed:
        return []
    groups = groups_from_counts(counted.observed, task.groups, task.classes)
    return [f"{len(groups['head'])}/{len(groups['medium'])}/{len(groups['tail'])} classes"]


def _ranked(task: Task) -> str:
    if not task.ranked:
        return "no: made for tests"
    if not task.unpinned:
        return "yes"
    by_reason: dict[str, list[str]] = {}
    for name, why in task.unpinned.items():
        by_reason.setdefault(why, []).append(name)
    return "no: " + "; ".join(f"{', '.join(names)} not pinned ({why})" for why, names in by_reason.items())


def _settings(tasks: Sequence[Task]) -> CardTable | None:
    if tasks[0].setting is None:
        return None
    columns = ("setting", "labels", "training rows", "present labels observed", "of all", "head/medium/tail")
    rows = []
    for task in tasks:
        seen, full = sum(task.counts.observed), sum(task.counts.train)
        number = task.counts.train_rows
        sizes = _sizes(task, task.counts)
        rows.append(
            (
                task.setting or "",
                task.protocol.summary,
                f"{number:,}" if number else "–",
                f"{seen:,}" if seen else "–",
                f"{seen / full:.1%}" if seen and full else "–",
                sizes[0].removesuffix(" classes") if sizes else "–",
            )
        )
    return CardTable("Settings", columns, (False, False, True, True, True, True), tuple(rows))


def _classes(task: Task, counted: Counts) -> CardTable | None:
    """Counts per class; observed ones only where they differ from complete ones."""
    kinds = {"training": counted.train, "observed": counted.observed, "test": counted.test}
    if task.protocol.kind == "full":
        kinds.pop("observed")
    kinds = {name: numbers for name, numbers in kinds.items() if numbers}
    if not kinds or any(len(numbers) != len(task.classes) for numbers in kinds.values()):
        return None
    group = [""] * len(task.classes)
    if task.groups.by_count and counted.observed:
        for name, columns in groups_from_counts(counted.observed, task.groups, task.classes).items():
            for column in columns:
                group[column] = name
    rows = tuple(
        (name, group[column], *(str(numbers[column]) for numbers in kinds.values()))
        for column, name in enumerate(task.classes)
    )
    total = ("total", "", *(str(sum(numbers)) for numbers in kinds.values()))
    title = "Classes" if task.setting is None else f"Classes ({task.setting})"
    return CardTable(title, ("class", "group", *kinds), (False, False, *(True for _ in kinds)), (*rows, total))


def _files(task: Task) -> CardTable | None:
    if not task.published:
        return None
    rows = tuple(
        (
            file.name,
            f"{file.use} {_ROLES[file.role]}",
            file.origin,
            "–" if file.size is None else str(file.size),
            file.sha256 or f"not pinned: {file.unpinned}",
            file.licence,
        )
        for file in task.published
    )
    columns = ("file", "what for", "origin", "bytes", "sha256", "licence")
    return CardTable("Published files", columns, (False, False, False, True, False, False), rows)


_ROLES = {
    "train": "the training rows",
    "test": "the test rows",
    "observed": "the observed labels",
    "captions": "the captions",
    "validation": "what validation rows are drawn from",
}


def _fingerprints(tasks: Sequence[Task]) -> CardTable | None:
    many = len(tasks) > 1
    rows = []
    for name in Fingerprints.model_fields:
        hashes = {task.setting: getattr(task.fingerprints, name) for task in tasks}
        if many and len(set(hashes.values())) == 1:
            hashes = {None: next(iter(hashes.values()))}
        rows += [(name, setting or ("all" if many else ""), value) for setting, value in hashes.items() if value]
    if not rows:
        return None
    columns = ("fingerprint", "setting", "sha256") if many else ("fingerprint", "sha256")
    shown = tuple(row if many else (row[0], row[2]) for row in rows)
    return CardTable("Fingerprints", columns, tuple(False for _ in columns), shown)


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
