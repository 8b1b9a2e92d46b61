"""``ltbench task new``: from a folder of photographs and a CSV to a versioned task."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ltbench.data.feature_file import read_features
from ltbench.data.own.annotated import read_labels
from ltbench.data.own.class_names import read_class_names
from ltbench.data.own.content import FolderContent, write_content, write_stamps
from ltbench.data.own.images import Seen, check_images, reading_notes
from ltbench.data.own.table import Shape, Table
from ltbench.data.progress import SILENT, Reporter
from ltbench.plugin.errors import UserError
from ltbench.plugin.files import write_atomic
from ltbench.plugin.manager import registry
from ltbench.plugin.names import name_problem
from ltbench.plugin.system import unportable
from ltbench.tasks.groups import GroupRule
from ltbench.tasks.own.asked import Asked, asked
from ltbench.tasks.own.compose import Composed, compose
from ltbench.tasks.own.custom import load_custom
from ltbench.tasks.own.order import Created, Order
from ltbench.tasks.task import Fingerprints, Task, Validation
from ltbench.tasks.views import open_truth

__all__ = ["Created", "Order", "create_task", "task_text"]

#: Version of the metric contract that new tasks take: the newest.
CONTRACT = 2
METRICS = ("mAP", "CP", "CR", "CF1", "OP", "OR", "OF1")
#: Of a task folder's version: rows that were no good and are not in it.
LEFT_OUT = "left-out.txt"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def create_task(order: Order, reporter: Reporter = SILENT) -> Created:
    """Check everything, then write the task folder; the same data again change nothing, other data make a new version.

    Raises:
        UserError: a name that is taken or malformed, or anything wrong with CSV, images or features; its details are
            all bad rows.
    """
    _check_name(order.name)
    if order.medium_from > order.head_from:
        raise UserError(f"medium starts at {order.medium_from}, above head at {order.head_from}", "--medium-from 20")
    names = read_class_names(order.classes) if order.classes is not None else None
    shape = Shape(
        order.format if order.format in ("csv", "matrix") else None,
        order.sep,
        order.minus,
        order.columns,
        "names" in order.accept,
    )
    table = read_labels(order.labels, order.format, names, shape, order.images)
    hashes = _hash_images(order, table, reporter)
    _check_features(order, table)
    left_out = table.leave_out_bad() if order.skip_bad and table.rows else []
    table.raise_problems()
    if not table.class_names:
        raise UserError(f"{table.name} names no class", "fill the column labels, or give --classes FILE")
    wanted = asked(
        order.protocol, table.class_names, GroupRule(head_from=order.head_from, medium_from=order.medium_from)
    )
    if wanted.needs_complete and order.absent == "unknown":
        raise UserError(
            f"--protocol {order.protocol} hides labels of complete ones, --absent unknown says they are not",
            "leave one of them out",
        )
    composed = compose(order, table, hashes, wanted)
    notes = (
        *table.notes,
        *_notes(composed.content),
        *composed.notes,
        *reading_notes([hashes[row.file] for row in table.rows] if hashes else []),
        *([f"{len(left_out)} lines are left out, listed in {LEFT_OUT}"] if left_out else []),
    )
    return _write(order, composed, wanted, notes, left_out)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UserError(
            f"task name {name!r}: use lower-case letters, digits, '.', '_' and '-'", "ltbench task new my-photos …"
        )
    if problem := name_problem(name) or unportable(name):
        raise UserError(f"task name {name!r} is no folder everywhere: {problem}", "ltbench task new my-photos …")
    tasks = registry().tasks
    if name in tasks or name in tasks.conflicts:
        raise UserError(f"task {name!r} exists already, as an official task", f"ltbench task new my-{name} …")


def _hash_images(order: Order, table: Table, reporter: Reporter) -> dict[str, Seen]:
    """What was seen of each file; problems go into the table, and their rows out of it."""
    if order.images is None:
        return {}
    lines = {row.file: row.line for row in table.rows}
    found, problems = check_images(order.images, list(lines), reporter)
    if len(problems) == len(lines) and lines and all("is missing" in text for text in problems.values()):
        what = f"none of the {len(lines)} files of {table.name} is in {order.images} (first: {next(iter(lines))})"
        if not table.problems:
            raise UserError(what, "--images DIR: the folder that the column file starts from")
        problems = {next(iter(lines)): what}
    table.problems.extend((lines[file], text) for file, text in problems.items())
    table.rows = [row for row in table.rows if row.file in found]
    return found


def _check_features(order: Order, table: Table) -> None:
    if order.features is None:
        return
    name = order.features.name
    names, _ = read_features(order.features)
    files = set(names)
    lacking = [row for row in table.rows if row.file not in files]
    table.problems.extend((row.line, f"{name} has no features for {row.file!r}") for row in lacking)
    table.rows = [row for row in table.rows if row.file in files]


def _notes(content: FolderContent) -> tuple[str, ...]:
    train, test = content.parts["train"].labels, content.parts["test"].labels

    def listed(missing: Sequence[int]) -> str:
        names = [content.class_names[place] for place in missing]
        return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

    notes = []
    untrained = np.flatnonzero(~(train == 1).any(axis=0)).tolist()
    untested = np.flatnonzero(~(test == 1).any(axis=0)).tolist()
    if untrained:
        notes.append(f"{len(untrained)} of {train.shape[1]} classes have no training image: {listed(untrained)}")
    if untested:
        notes.append(
            f"{len(untested)} of {test.shape[1]} classes have no test image, means leave them out: {listed(untested)}"
        )
    judged = (test != 0).sum(axis=0)
    everywhere = np.flatnonzero((judged > 0) & ((test == 1).sum(axis=0) == judged)).tolist()
    if everywhere:
        notes.append(
            f"{len(everywhere)} of {test.shape[1]} classes are shown by every test image: their AP is 100 whatever a "
            f"method answers, and lifts the mean: {listed(everywhere)}"
        )
    unknown = sum(int((part.labels == 0).sum()) for part in content.parts.values())
    if unknown and (train == -1).any():
        notes.append(f"{unknown} labels are unknown: ignored in training and in scores")
    elif unknown:
        notes.append(
            f"{unknown} labels are unknown, and none is known to be absent: methods take them for absent unless they "
            "say otherwise; they are ignored in scores"
        )
    return tuple(notes)


def _task(
    order: Order, composed: Composed, wanted: Asked, version: int, notes: tuple[str, ...], contract: int = CONTRACT
) -> Task:
    """The task with all fingerprints pinned."""
    content = composed.content
    validation = Validation()
    if "val" in content.parts:
        validation = Validation(kind="part", part="val", labels="observed")
    elif order.validation:
        validation = Validation(kind="holdout", fraction=order.validation, labels="observed")
    rows = {name: len(part.ids) for name, part in content.parts.items()}
    names = content.class_names
    observed = content.parts["train"].labels
    # Where nothing is known to be absent, a method that ignores what is unknown would answer yes to all.
    positives_only = wanted.protocol.kind == "full" and not (observed == -1).any()
    facts: dict[str, Any] = {
        "title": f"{rows['train']} training and {rows['test']} test images of your own, {len(names)} classes",
        "unknown_policy": "assume-negative" if positives_only else wanted.protocol.unknown_policy,
        "metrics": METRICS,
        "captions": "observed",
        **wanted.facts,
    }
    if wanted.protocol.kind != "full":
        facts["title"] += f"; {wanted.protocol.summary}"
    draft = Task(
        name=order.name,
        version=version,
        family="custom",
        data_set=f"folder:{order.name}",
        train_part="train",
        test_part="test",
        classes=names,
        protocol=wanted.protocol,
        contract=contract,
        validation=validation,
        fingerprints=Fingerprints(images=content.images_sha256),
        licence="your own",
        traps=notes,
        ranked=not composed.across,
        **facts,
    )
    found = open_truth(draft, content.data_set(order.name)).fingerprints
    return draft.model_copy(update={"fingerprints": found})


def _write(order: Order, composed: Composed, wanted: Asked, notes: tuple[str, ...], left_out: Sequence[str]) -> Created:
    folder, content = order.out / order.name, composed.content
    current = load_custom(folder) if (folder / "task.json").is_file() else None
    rows = {name: len(part.ids) for name, part in content.parts.items()}
    version = current.version if current else 1
    # A newer contract alone makes no new version: rows that there are stay comparable.
    task = _task(order, composed, wanted, version, notes, *([] if current is None else [current.contract]))
    # Nor does what is said of the same data in other words.
    changed = current is None or task.model_copy(update={"traps": current.traps}) != current
    if current is not None:
        version += changed
        task = _task(order, composed, wanted, version, notes) if changed else current
    place = folder / f"v{version}"
    if changed:
        write_content(place, content)
        write_atomic(place / "task.json", task_text(task))
    else:
        write_stamps(place, content)
    if left_out:
        write_atomic(place / LEFT_OUT, "\n".join(left_out) + "\n")
    _write_source(folder, order)
    # Last: this file is what makes the new version the task's.
    write_atomic(folder / "task.json", task_text(task))
    return Created(load_custom(folder), folder, rows, changed, notes, tuple(left_out))


def _write_source(folder: Path, order: Order) -> None:
    def text(path: Path | None) -> str | None:
        return None if path is None else str(path.expanduser().resolve())

    source = {"images": text(order.images), "features": text(order.features), "labels": text(order.labels)}
    write_atomic(folder / "source.json", json.dumps(source, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def task_text(task: Task) -> str:
    """A task as JSON, sorted keys."""
    return json.dumps(task.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
