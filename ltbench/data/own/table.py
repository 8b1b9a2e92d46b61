"""A user's ``labels.csv``: read once, with everything that is wrong in it told at once and by line."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ltbench.plugin.errors import UserError
from ltbench.plugin.names import label_problem, shown

COLUMNS = ("file", "split", "labels", "unknown")
PARTS = ("train", "val", "test")
#: Characters of a path below the folder of images.
LONGEST = 1000


@dataclass(frozen=True)
class Row:
    """One image.

    Attributes:
        line: in the CSV, 1-based.
        file: path below the folder of images, with forward slashes; the row's id.
        split: ``train``, ``val``, ``test``; None where the CSV has no such column.
        labels: present classes.
        unknown: classes of which nobody knows.
    """

    line: int
    file: str
    split: str | None
    labels: tuple[str, ...]
    unknown: tuple[str, ...] = ()


@dataclass
class Table:
    """What was read.

    Attributes:
        rows: good rows, in the order of the file.
        class_names: the given ones, else all that occur, sorted.
        has_split: the CSV has a column ``split``.
        problems: (line, what is wrong), in the order of the file.
    """

    name: str
    rows: list[Row] = field(default_factory=list)
    class_names: tuple[str, ...] = ()
    has_split: bool = False
    problems: list[tuple[int, str]] = field(default_factory=list)

    def raise_problems(self) -> None:
        """Refuse the table if anything is wrong with it.

        Raises:
            UserError: its details are one line per problem, with the line of the CSV.
        """
        if not self.problems:
            return
        details = [f"{self.name} line {line}: {text}" for line, text in sorted(self.problems, key=lambda p: p[0])]
        plural = "problem" if len(details) == 1 else "problems"
        raise UserError(
            f"{len(details)} {plural} in {self.name}, listed above; nothing was written",
            f"correct {self.name} and type the same command again",
            details,
        )


def read_class_names(path: Path) -> tuple[str, ...]:
    """Class names, one a line, in column order; blank lines are skipped.

    Raises:
        UserError: the file cannot be read, is empty, or a name stands twice or holds a bar.
    """
    names = [line.strip() for line in _text(path).splitlines() if line.strip()]
    twice = sorted({name for name in names if names.count(name) > 1})
    bars = [name for name in names if "|" in name]
    odd = [f"has {shown(name)}: {problem}" for name in names if (problem := label_problem(name))]
    if not names or twice or bars or odd:
        wrong = [f"lists {name!r} twice" for name in twice] + [f"has a bar in {name!r}" for name in bars] + odd
        what = wrong[0] if wrong else "is empty"
        raise UserError(f"{path.name} {what}", "one class name a line, each once, no bars")
    return tuple(names)


def read_table(path: Path, class_names: Sequence[str] | None = None) -> Table:
    """Read a CSV with the columns file, labels and, if wanted, split and unknown.

    Labels and unknown classes are joined by bars; an empty cell is an image without labels. Problems are collected in
    the table, not raised, so that a caller can add what it finds wrong with the images.

    Args:
        path: UTF-8, with or without a byte-order mark.
        class_names: the classes that may occur; None takes all that do.

    Raises:
        UserError: the file cannot be read at all, or has no rows.
    """
    table = Table(path.name)
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        header = next(reader, None)
        if header is None:
            raise UserError(f"{path.name} is empty", "first line: file,split,labels")
        places = _columns(table, [name.strip() for name in header])
        known = None if class_names is None else tuple(class_names)
        seen: dict[str, int] = {}
        count = 0
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            count += 1
            if places is not None:
                _read_row(table, reader.line_num, cells, places, len(header), known, seen)
    except csv.Error as error:
        raise UserError(f"{path.name} line {reader.line_num} is no CSV ({error})", "close every quote") from error
    if not count:
        raise UserError(f"{path.name} has no rows", "one line an image: file,split,labels")
    found = {name for row in table.rows for name in (*row.labels, *row.unknown)}
    table.class_names = known if known is not None else tuple(sorted(found))
    return table


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist", "ltbench task new --help") from error
    except IsADirectoryError as error:
        raise UserError(f"{path} is a folder, a file was expected", "ltbench task new --help") from error
    except OSError as error:
        raise UserError(f"{path.name} cannot be read ({error.strerror})", "ltbench task new --help") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path.name} is not UTF-8 (byte {error.start})", "save it as CSV UTF-8") from error


def _columns(table: Table, header: list[str]) -> dict[str, int] | None:
    """Column name → place; None when rows cannot be read with this header."""
    for name in header:
        if name not in COLUMNS:
            close = difflib.get_close_matches(name.lower(), COLUMNS, n=1)
            ask = f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(COLUMNS)}"
            semicolons = "; separate the columns by commas" if ";" in name and len(header) == 1 else ask
            table.problems.append((1, f"unknown column {name!r}{semicolons}"))
        elif header.count(name) > 1 and (1, f"column {name!r} stands twice") not in table.problems:
            table.problems.append((1, f"column {name!r} stands twice"))
    for name in ("file", "labels"):
        if name not in header:
            table.problems.append((1, f"column {name!r} is missing"))
    table.has_split = "split" in header
    places = {name: place for place, name in enumerate(header)}
    return places if "file" in places and "labels" in places else None


def _read_row(
    table: Table,
    line: int,
    cells: list[str],
    places: dict[str, int],
    expected: int,
    known: tuple[str, ...] | None,
    seen: dict[str, int],
) -> None:
    problems: list[str] = []
    if len(cells) != expected:
        table.problems.append((line, f"{len(cells)} cells, the header has {expected}"))
        return
    values = {name: cells[place].strip() for name, place in places.items()}
    file = _file(values["file"], problems)
    if file in seen:
        problems.append(f"duplicate file {file!r} (first on line {seen[file]})")
    elif file:
        seen[file] = line
    split = values.get("split")
    if split is not None and split not in PARTS:
        problems.append(f"unknown split {split!r}; it is one of {', '.join(PARTS)}" if split else "empty split")
    labels = _names("labels", values["labels"], known, problems)
    unknown = _names("unknown", values.get("unknown", ""), known, problems)
    problems.extend(f"{name!r} is both present and unknown" for name in labels if name in unknown)
    table.problems.extend((line, problem) for problem in problems)
    if not problems:
        table.rows.append(Row(line, file, split, labels, unknown))


def _file(text: str, problems: list[str]) -> str:
    if not text:
        problems.append("empty file name")
        return ""
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or not text.isprintable() or len(text) > LONGEST:
        problems.append(f"file {text!r} is not a path below the folder of images")
    return str(path)


def _names(column: str, cell: str, known: tuple[str, ...] | None, problems: list[str]) -> tuple[str, ...]:
    if not cell:
        return ()
    names = tuple(name.strip() for name in cell.split("|"))
    if not all(names):
        problems.append(f"empty label in {column} {cell!r}")
    for name in dict.fromkeys(names):
        if not name:
            continue
        if names.count(name) > 1:
            problems.append(f"label {name!r} stands twice in {column}")
        if problem := label_problem(name):
            problems.append(f"label {shown(name)} is no name: {problem}")
        if known is not None and name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            problems.append(
                f"label {name!r} is not among the classes" + (f"; did you mean {close[0]!r}?" if close else "")
            )
    return tuple(name for name in names if name)
