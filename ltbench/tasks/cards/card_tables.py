"""The tables of a task's card: settings, classes, published files and fingerprints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ltbench.tasks.groups import groups_from_counts
from ltbench.tasks.task import Counts, Fingerprints, Task

FewLines = tuple[str, ...]


@dataclass(frozen=True)
class CardTable:
    """A table of a card; ``right`` says which columns are numbers."""

    title: str
    columns: FewLines
    right: tuple[bool, ...]
    rows: tuple[FewLines, ...]


def group_sizes(task: Task, counts: Counts) -> str:
    """Sizes of head, medium and tail (``6/6/8``); empty where the observed labels are not counted."""
    if not task.groups.by_count or not counts.observed:
        return ""
    groups = groups_from_counts(counts.observed, task.groups, task.classes)
    return "/".join(str(len(groups[name])) for name in ("head", "medium", "tail"))


def settings_table(tasks: Sequence[Task], counted: Sequence[Counts]) -> CardTable | None:
    """A line a setting; None for a task without settings."""
    if tasks[0].setting is None:
        return None
    columns = ("setting", "labels", "training rows", "present labels observed", "of all", "head/medium/tail")
    rows = []
    for task, counts in zip(tasks, counted, strict=True):
        seen, full = sum(counts.observed), sum(counts.train)
        number = counts.train_rows
        rows.append(
            (
                task.setting or "",
                task.protocol.summary,
                f"{number:,}" if number else "–",
                f"{seen:,}" if seen else "–",
                f"{seen / full:.1%}" if seen and full else "–",
                group_sizes(task, counts) or "–",
            )
        )
    return CardTable("Settings", columns, (False, False, True, True, True, True), tuple(rows))


def classes_table(task: Task, counts: Counts) -> CardTable | None:
    """Counts per class; observed ones only where they differ from complete ones. None where nothing is counted."""
    kinds = {"training": counts.train, "observed": over_all_classes(task, counts.observed), "test": counts.test}
    if task.protocol.kind == "full":
        kinds.pop("observed")
    kinds = {name: numbers for name, numbers in kinds.items() if numbers}
    if not kinds or any(len(numbers) != len(task.classes) for numbers in kinds.values()):
        return None
    group = groups_of_classes(task, counts)
    rows = tuple(
        (name, group[column], *("–" if n[column] is None else str(n[column]) for n in kinds.values()))
        for column, name in enumerate(task.classes)
    )
    total = ("total", "", *(str(sum(number or 0 for number in numbers)) for numbers in kinds.values()))
    title = "Classes" if task.setting is None else f"Classes ({task.setting})"
    return CardTable(title, ("class", "group", *kinds), (False, False, *(True for _ in kinds)), (*rows, total))


def over_all_classes(task: Task, observed: Sequence[int]) -> tuple[int | None, ...]:
    """Observed counts, which are over seen classes, in the columns of all."""
    if len(observed) != len(task.seen):
        return ()
    number = dict(zip(task.seen, observed, strict=True))
    return tuple(number.get(name) for name in task.classes)


def groups_of_classes(task: Task, counts: Counts) -> list[str]:
    """The group of each class."""
    group = [""] * len(task.classes)
    for fixed in task.groups.fixed:
        for name in fixed.classes:
            group[task.classes.index(name)] = fixed.name
    if task.groups.by_count and counts.observed:
        for name, columns in groups_from_counts(counts.observed, task.groups, task.classes).items():
            for column in columns:
                group[column] = name
    return group


def files_table(tasks: Sequence[Task]) -> CardTable | None:
    """The published files of all settings; one that only some of them use says which."""
    using: dict[FewLines, list[str]] = {}
    for task in tasks:
        for file in task.published:
            row = (
                file.name,
                f"{file.use} {_ROLES[file.role]}",
                file.origin,
                "–" if file.size is None else str(file.size),
                file.sha256 or f"not pinned: {file.unpinned}",
                file.licence,
            )
            using.setdefault(row, []).append(task.setting or "")
    if not using:
        return None
    rows = tuple(
        (name, what if len(settings) == len(tasks) else f"{what} ({', '.join(settings)})", *rest)
        for (name, what, *rest), settings in using.items()
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


def fingerprints_table(tasks: Sequence[Task]) -> CardTable | None:
    """Pinned hashes; one line for those that all settings share. None where nothing is pinned."""
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
