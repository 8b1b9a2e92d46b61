"""``ltbench task new``: from a folder of photographs and a CSV to a versioned task."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ltbench.data.base import Labels
from ltbench.data.own.content import FolderContent, FolderPart, write_content, write_stamps
from ltbench.data.own.folder_images import Stamp
from ltbench.data.own.images import check_images
from ltbench.data.own.places import DEFAULT
from ltbench.data.own.split import stratified_split
from ltbench.data.own.table import Row, Table, read_class_names, read_table
from ltbench.data.progress import SILENT, Reporter
from ltbench.plugin.errors import UserError
from ltbench.plugin.files import write_atomic
from ltbench.plugin.manager import registry
from ltbench.plugin.names import name_problem
from ltbench.plugin.reading import load_npz
from ltbench.plugin.system import unportable
from ltbench.tasks.groups import GroupRule
from ltbench.tasks.own.custom import load_custom
from ltbench.tasks.protocols import Full
from ltbench.tasks.task import Fingerprints, Task, Validation
from ltbench.tasks.views import open_truth

#: Version of the metric contract that new tasks take: the newest.
CONTRACT = 2
METRICS = ("mAP", "CP", "CR", "CF1", "OP", "OR", "OF1")
TEST_SHARE = 0.3
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True)
class Order:
    """What a user asks for.

    Attributes:
        name: of the task; lower case, digits, dots and hyphens.
        labels: the CSV.
        images: folder of images; None for a task that uses features only.
        out: folder that gets the task folder.
        classes: file with class names in column order; None takes all that occur, sorted.
        features: ``.npz`` that becomes the default backbone of the task.
        validation: share of the training rows to hold out for tuning; None or 0 for none.
        test_share: share of test rows where the CSV has no column ``split``.
        split_seed: of that split.
    """

    name: str
    labels: Path
    images: Path | None
    out: Path = DEFAULT
    classes: Path | None = None
    features: Path | None = None
    validation: float | None = None
    test_share: float | None = None
    split_seed: int = 0


@dataclass(frozen=True)
class Created:
    """What came of it.

    Attributes:
        folder: the task folder.
        rows: number of images by part.
        changed: a new version was written; false when everything is as it was.
        notes: what a user should know about the data.
    """

    task: Task
    folder: Path
    rows: dict[str, int]
    changed: bool
    notes: tuple[str, ...] = field(default=())


def create_task(order: Order, reporter: Reporter = SILENT) -> Created:
    """Check everything, then write the task folder; the same data again change nothing, other data make a new version.

    Raises:
        UserError: a name that is taken or malformed, or anything wrong with CSV, images or features; its details are
            all bad rows.
    """
    _check_name(order.name)
    names = read_class_names(order.classes) if order.classes is not None else None
    table = read_table(order.labels, names)
    hashes = _hash_images(order, table, reporter)
    _check_features(order, table)
    table.raise_problems()
    if not table.class_names:
        raise UserError(f"{table.name} names no class", "fill the column labels, or give --classes FILE")
    content = _content(order, table, hashes)
    return _write(order, content, _notes(content))


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


def _hash_images(order: Order, table: Table, reporter: Reporter) -> dict[str, tuple[str, Stamp]]:
    """Content hash and stamp by file; problems go into the table."""
    if order.images is None:
        return {}
    lines = {row.file: row.line for row in table.rows}
    found, problems = check_images(order.images, list(lines), reporter)
    if len(problems) == len(lines) and lines and all(text.endswith("is missing") for text in problems.values()):
        what = f"none of the {len(lines)} files of {table.name} is in {order.images} (first: {next(iter(lines))})"
        if not table.problems:
            raise UserError(what, "--images DIR: the folder that the column file starts from")
        problems = {next(iter(lines)): what}
    table.problems.extend((lines[file], text) for file, text in problems.items())
    return found


def _check_features(order: Order, table: Table) -> None:
    if order.features is None:
        return
    name = order.features.name
    shape = "an .npz file with arrays files [N] and features [N, D]"
    try:
        listed = load_npz(order.features, names=("files",), name=f"feature file {name}", hint=shape)["files"]
        if listed.ndim != 1 or listed.dtype.kind not in "US":
            raise UserError(
                f"feature file {name}: files must be a list of names, not {listed.dtype}{listed.shape}", shape
            )
        files = {item.decode() if isinstance(item, bytes) else str(item) for item in listed.tolist()}
    except FileNotFoundError as error:
        raise UserError(f"feature file {order.features} does not exist", "--features FILE.npz") from error
    except (KeyError, OSError, ValueError) as error:
        raise UserError(f"feature file {name} cannot be read ({error})", shape) from error
    table.problems.extend(
        (row.line, f"{name} has no features for {row.file!r}") for row in table.rows if row.file not in files
    )


def _content(order: Order, table: Table, hashes: dict[str, tuple[str, Stamp]]) -> FolderContent:
    rows = table.rows
    labels = _labels(rows, table.class_names)
    if table.has_split:
        if order.test_share is not None:
            raise UserError(f"{table.name} has a column split, so --test-share has no meaning", "leave one of them out")
        split = [row.split or "" for row in rows]
    else:
        share = TEST_SHARE if order.test_share is None else order.test_share
        held = stratified_split(labels, [row.file for row in rows], share, order.split_seed)
        split = ["test" if row else "train" for row in held]
    absent = [part for part in ("train", "test") if part not in split]
    if absent:
        raise UserError(
            f"{table.name} leaves no image for {' and '.join(absent)}",
            "give every image a split of train, val or test, or leave the column out",
        )
    if "val" in split and order.validation:
        raise UserError(f"{table.name} has split val, so --validation has no meaning", "leave one of them out")
    parts = {}
    for part in ("train", "val", "test"):
        places = [place for place, name in enumerate(split) if name == part]
        if places:
            files = [rows[place].file for place in places]
            known = [hashes[file] for file in files] if hashes else []
            parts[part] = FolderPart(
                ids=tuple(files),
                labels=np.ascontiguousarray(labels[places]),
                sha256=tuple(digest for digest, _ in known),
                stamps=tuple(stamp for _, stamp in known),
            )
    return FolderContent(table.class_names, parts)


def _labels(rows: Sequence[Row], class_names: Sequence[str]) -> Labels:
    column = {name: place for place, name in enumerate(class_names)}
    labels = np.full((len(rows), len(class_names)), -1, dtype=np.int8)
    for place, row in enumerate(rows):
        labels[place, [column[name] for name in row.labels]] = 1
        labels[place, [column[name] for name in row.unknown]] = 0
    return labels


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
    unknown = sum(int((part.labels == 0).sum()) for part in content.parts.values())
    if unknown:
        notes.append(f"{unknown} labels are unknown: ignored in training and in scores")
    return tuple(notes)


def _task(order: Order, content: FolderContent, version: int, notes: tuple[str, ...], contract: int = CONTRACT) -> Task:
    """The task with all fingerprints pinned."""
    validation = Validation()
    if "val" in content.parts:
        validation = Validation(kind="part", part="val", labels="observed")
    elif order.validation:
        validation = Validation(kind="holdout", fraction=order.validation, labels="observed")
    rows = {name: len(part.ids) for name, part in content.parts.items()}
    names = content.class_names
    draft = Task(
        name=order.name,
        version=version,
        family="custom",
        title=f"{rows['train']} training and {rows['test']} test images of your own, {len(names)} classes",
        data_set=f"folder:{order.name}",
        train_part="train",
        test_part="test",
        classes=names,
        protocol=Full(),
        unknown_policy="ignore",
        groups=GroupRule(),
        metrics=METRICS,
        contract=contract,
        validation=validation,
        captions="observed",
        fingerprints=Fingerprints(images=content.images_sha256),
        licence="your own",
        traps=notes,
    )
    found = open_truth(draft, content.data_set(order.name)).fingerprints
    return draft.model_copy(update={"fingerprints": found})


def _write(order: Order, content: FolderContent, notes: tuple[str, ...]) -> Created:
    folder = order.out / order.name
    current = load_custom(folder) if (folder / "task.json").is_file() else None
    rows = {name: len(part.ids) for name, part in content.parts.items()}
    version = current.version if current else 1
    # A newer contract alone makes no new version: rows that there are stay comparable.
    task = _task(order, content, version, notes, *([] if current is None else [current.contract]))
    changed = task != current
    if current is not None and changed:
        version += 1
        task = _task(order, content, version, notes)
    place = folder / f"v{version}"
    if changed:
        write_content(place, content)
        write_atomic(place / "task.json", task_text(task))
    else:
        write_stamps(place, content)
    _write_source(folder, order)
    # Last: this file is what makes the new version the task's.
    write_atomic(folder / "task.json", task_text(task))
    return Created(load_custom(folder), folder, rows, changed, notes)


def _write_source(folder: Path, order: Order) -> None:
    def text(path: Path | None) -> str | None:
        return None if path is None else str(path.expanduser().resolve())

    source = {"images": text(order.images), "features": text(order.features), "labels": text(order.labels)}
    write_atomic(folder / "source.json", json.dumps(source, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def task_text(task: Task) -> str:
    """A task as JSON, sorted keys."""
    return json.dumps(task.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
