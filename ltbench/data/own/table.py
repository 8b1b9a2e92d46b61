"""A user's table of labels: read once, with everything that is wrong in it told at once and by line.

Three shapes are told apart: the labels of an image joined in one cell, one row a label, and one column a class.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from ltbench.data.own.class_names import look_alikes, name_problem, near_names
from ltbench.data.own.columns import Columns, find_columns
from ltbench.data.own.file_paths import FilePaths
from ltbench.data.own.grid import Grid, read_grid
from ltbench.data.own.joined import BAR, LIST, guess_join, separators_inside, split_cell
from ltbench.plugin.errors import UserError

PARTS = ("train", "val", "test")
#: Other words for the parts.
_PARTS: Final = {"training": "train", "valid": "val", "validation": "val", "dev": "val", "testing": "test"}
Minus = Literal["absent", "unknown"]
_ONE: Final = frozenset({"1", "1.0", "1,0", "+1", "true", "yes"})
_ZERO: Final = frozenset({"0", "0.0", "0,0", "false", "no"})
_MINUS: Final = frozenset({"-1", "-1.0", "-1,0"})


@dataclass(frozen=True)
class Row:
    """One image.

    Attributes:
        line: in the file, 1-based; 0 where it has none.
        file: path below the folder of images, with forward slashes; the row's id.
        split: ``train``, ``val``, ``test``; None where the file does not say.
        labels: present classes.
        unknown: classes of which nobody knows.
        absent: classes that are said to be absent.
        open: of classes that are not named nobody knows (``*`` under unknown).
        group: rows of one group stay in one part; empty for none.
    """

    line: int
    file: str
    split: str | None
    labels: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    open: bool = False
    group: str = ""


@dataclass(frozen=True)
class Shape:
    """How a user says that labels are laid out; what is left open is guessed, and said.

    Attributes:
        format: ``csv`` (one cell or one row a label) or ``matrix``; None for either.
        sep: what joins the labels of a cell.
        minus: what -1 means in a matrix.
        columns: role → name of a column (see ``ltbench.data.own.columns``).
        names: accept look-alike names and separators inside of names.
    """

    format: Literal["csv", "matrix"] | None = None
    sep: str | None = None
    minus: Minus | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    names: bool = False


@dataclass
class Table:
    """What was read.

    Attributes:
        rows: good rows, in the order of the file.
        class_names: the given ones, else all that occur, sorted.
        has_split: the file says parts.
        problems: (line, what is wrong), in the order of the file; line 0 where images have no lines.
        faults: what is wrong with the whole, which leaving out rows does not mend.
        notes: what was guessed, and what looks odd.
    """

    name: str
    rows: list[Row] = field(default_factory=list)
    class_names: tuple[str, ...] = ()
    has_split: bool = False
    problems: list[tuple[int, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def told(self) -> list[str]:
        """All problems, one line each, with the line of the file."""
        lines = sorted(self.problems, key=lambda problem: problem[0])
        return [
            *(f"{self.name}: {text}" for text in self.faults),
            *(f"{self.name}{f' line {line}' if line else ''}: {text}" for line, text in lines),
        ]

    def leave_out_bad(self) -> list[str]:
        """Drop the rows that are no good, and what is wrong with them; what is wrong with the header stays."""
        stays = [(line, text) for line, text in self.problems if line == 1]
        dropped = [(line, text) for line, text in self.problems if line != 1]
        self.problems = stays
        return Table(self.name, problems=dropped).told()

    def raise_problems(self) -> None:
        """Refuse the table if anything is wrong with it.

        Raises:
            UserError: its details are one line per problem, with the line of the file.
        """
        if not self.problems and not self.faults:
            return
        details = self.told()
        plural = "problem" if len(details) == 1 else "problems"
        raise UserError(
            f"{len(details)} {plural} in {self.name}, listed above; nothing was written",
            f"correct {self.name} and type the same command again",
            details,
        )

    def finish(self, known: Sequence[str] | None, accepted: bool) -> Table:
        """Name the classes, look at their names, and bring the problems into the order of the file."""
        self.problems.sort(key=lambda problem: problem[0])
        found = {name for row in self.rows for name in (*row.labels, *row.unknown, *row.absent)}
        self.class_names = tuple(known) if known is not None else self.class_names or tuple(sorted(found))
        if known is None and not accepted:
            self.faults.extend(
                f"classes {group} look alike; make them one, or --accept names"
                for group in look_alikes(self.class_names)
            )
            sign = separators_inside(self.class_names)
            if sign:
                first = next(name for name in self.class_names if sign in name)
                self.faults.append(
                    f"{sign!r} seems to join classes, as in {first!r}; --sep {sign!r}, or --accept names"
                )
        self.notes.extend(f"classes {pair} may be one" for pair in near_names(self.class_names)[:3])
        return self


def read_table(
    path: Path, class_names: Sequence[str] | None = None, shape: Shape | None = None, images: Path | None = None
) -> Table:
    """Read a table file. Problems are collected in the table, so that a caller can add those of the images.

    Args:
        path: CSV (UTF-8, with or without a byte-order mark), Excel or parquet.
        class_names: the classes that may occur; None takes all that do.
        shape: what a user says of it.
        images: folder of images, to find files whose names are not paths below it.

    Raises:
        UserError: the file cannot be read at all, or has no rows.
    """
    shape = shape or Shape()
    grid = read_grid(path)
    table = Table(grid.name, notes=list(grid.notes))
    columns = find_columns(grid.header, shape.columns)
    table.problems.extend((1, problem) for problem in columns.problems)
    table.notes.extend(columns.notes)
    table.has_split = "split" in columns.roles
    reader = _Reader(
        table, grid, columns, None if class_names is None else tuple(class_names), shape, FilePaths(images)
    )
    reader.read()
    return table.finish(class_names, shape.names)


class _Reader:
    """Reads the lines of one grid into a table."""

    def __init__(
        self,
        table: Table,
        grid: Grid,
        columns: Columns,
        known: tuple[str, ...] | None,
        shape: Shape,
        paths: FilePaths,
    ) -> None:
        self.table, self.grid, self.columns = table, grid, columns
        self.known, self.shape, self.paths = known, shape, paths
        self.seen: dict[str, int] = {}
        self.spilled = 0

    def read(self) -> None:
        roles = self.columns.roles
        matrix = self._matrix() if "labels" not in roles or self.shape.format == "matrix" else []
        for name in ("file", *(() if matrix else ("labels",))):
            if name not in roles:
                self._problem(1, f"column {name!r} is missing{self._no_header(name)}")
        if matrix:
            self._read_matrix(matrix)
        elif "file" in roles and "labels" in roles:
            self._read_cells()
        self.table.notes.extend(self.paths.notes())

    def _no_header(self, name: str) -> str:
        first = self.grid.header[0]
        looks = name == "file" and "." in first and not first.startswith(".")
        return f"; the first line names the columns, this one begins with {first!r}" if looks else ""

    def _problem(self, line: int, text: str) -> None:
        self.table.problems.append((line, text))

    def _cell(self, cells: Sequence[str], role: str) -> str:
        place = self.columns.roles.get(role)
        return cells[place] if place is not None else ""

    def _start(self, line: int, cells: list[str], problems: list[str], once: bool = True) -> tuple[str, str | None]:
        """File and part of a line; ``once`` names files that an earlier line has."""
        file = self.paths.below(self._cell(cells, "file"), problems)
        if once and file in self.seen:
            problems.append(f"duplicate file {file!r} (first on line {self.seen[file]})")
        elif file:
            self.seen.setdefault(file, line)
        if not self.table.has_split:
            return file, None
        said = self._cell(cells, "split")
        split = _PARTS.get(said.lower(), said.lower())
        if split not in PARTS:
            problems.append(f"unknown split {said!r}; it is one of {', '.join(PARTS)}" if said else "empty split")
        return file, split

    def _lines(self) -> list[tuple[int, list[str]]]:
        """Lines with as many cells as the header; labels that run over into more are taken into their cell."""
        expected = len(self.grid.header)
        last = self.columns.roles.get("labels") == expected - 1
        good = []
        for line, cells in self.grid.lines:
            if len(cells) > expected and last:
                self.spilled += 1
                cells = [*cells[: expected - 1], BAR.join(cell for cell in cells[expected - 1 :] if cell)]
            if len(cells) == expected:
                good.append((line, cells))
            else:
                self._problem(line, f"{len(cells)} cells, the header has {expected}")
        if self.spilled:
            self.table.notes.append(
                f"labels that run over several cells, on {self.spilled} of {len(self.grid.lines)} lines, are all taken"
            )
        return good

    def _unused(self, places: Sequence[int] = ()) -> None:
        names = [name for place, name in self.columns.rest if place not in places]
        if names:
            shown = ", ".join(map(repr, names[:4])) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
            self.table.notes.append(f"{'columns' if len(names) > 1 else 'column'} {shown} not used")

    # -- labels in cells ------------------------------------------------------------------------------------------

    def _read_cells(self) -> None:
        lines = self._lines()
        self._unused()
        cells = [self._cell(row, "labels") for _, row in lines]
        sep = self.shape.sep or guess_join(cells, self.known)
        if self.shape.sep is None and sep != BAR:
            shown = (
                "labels are lists" if sep == LIST else f"labels are joined by {'blanks' if sep == ' ' else repr(sep)}"
            )
            self.table.notes.append(f"{shown}; --sep {BAR!r} takes cells as they are")
        if self._one_row_a_label(lines, sep):
            self._read_long(lines)
            return
        for line, row in lines:
            problems: list[str] = []
            file, split = self._start(line, row, problems)
            labels = self._names("labels", self._cell(row, "labels"), sep, problems)
            text = self._cell(row, "unknown")
            unknown = () if text == "*" else self._names("unknown", text, sep, problems)
            problems.extend(f"{name!r} is both present and unknown" for name in labels if name in unknown)
            self._add(Row(line, file, split, labels, unknown, (), text == "*", self._cell(row, "group")), problems)

    def _add(self, row: Row, problems: list[str]) -> None:
        self.table.problems.extend((row.line, problem) for problem in problems)
        if not problems:
            self.table.rows.append(row)

    def _names(self, column: str, cell: str, sep: str, problems: list[str]) -> tuple[str, ...]:
        try:
            names = tuple(split_cell(cell, sep))
        except ValueError as error:
            problems.append(str(error))
            return ()
        if not all(names):
            problems.append(f"empty label in {column} {cell!r}")
        for name in dict.fromkeys(names):
            if not name:
                continue
            if names.count(name) > 1:
                problems.append(f"label {name!r} stands twice in {column}")
            problems.extend(self._wrong(name))
        return tuple(name for name in names if name)

    def _wrong(self, name: str) -> list[str]:
        if problem := name_problem(name):
            return [problem]
        if self.known is None or name in self.known:
            return []
        close = difflib.get_close_matches(name, self.known, n=1, cutoff=0.6)
        return [f"label {name!r} is not among the classes" + (f"; did you mean {close[0]!r}?" if close else "")]

    # -- one row a label ------------------------------------------------------------------------------------------

    def _one_row_a_label(self, lines: Sequence[tuple[int, list[str]]], sep: str) -> bool:
        """Files repeat with other labels, and no cell holds several."""
        if "value" in self.columns.roles:
            return True
        cells = [(self._cell(row, "file"), self._cell(row, "labels")) for _, row in lines]
        if "unknown" in self.columns.roles or any(len(cell.split(sep)) > 1 for _, cell in cells if sep != LIST):
            return False
        return sep != LIST and max(Counter(file for file, _ in set(cells)).values(), default=0) > 1

    def _read_long(self, lines: Sequence[tuple[int, list[str]]]) -> None:
        self.table.notes.append("one row a label: rows of the same file are one image")
        rows: dict[str, Row] = {}
        bad: set[str] = set()
        for line, row in lines:
            problems: list[str] = []
            file, split = self._start(line, row, problems, once=False)
            name = self._cell(row, "labels")
            if name:
                problems.extend(self._wrong(name))
            value = self._value(self._cell(row, "value"), problems) if "value" in self.columns.roles else 1
            first = rows.setdefault(file, Row(line, file, split, (), group=self._cell(row, "group")))
            if first.split != split:
                problems.append(f"{file!r} is in {split}, and in {first.split} on line {first.line}")
            if name:
                kind = {1: "labels", -1: "absent", 0: "unknown"}[value]
                others = [one for one in ("labels", "absent", "unknown") if one != kind and name in getattr(first, one)]
                if others:
                    problems.append(f"{name!r} of {file!r} is said twice, and otherwise before")
                elif kind == "labels" and name not in first.labels:
                    rows[file] = replace(first, labels=(*first.labels, name))
                elif kind == "absent" and name not in first.absent:
                    rows[file] = replace(first, absent=(*first.absent, name))
                elif kind == "unknown" and name not in first.unknown:
                    rows[file] = replace(first, unknown=(*first.unknown, name))
            if problems:
                bad.add(file)
                self.table.problems.extend((line, problem) for problem in problems)
        self.table.rows.extend(row for file, row in rows.items() if file not in bad)

    def _value(self, cell: str, problems: list[str]) -> int:
        text = cell.lower()
        if text in _ONE:
            return 1
        if text in _ZERO or text in _MINUS:
            return -1
        if text:
            problems.append(f"value {cell!r} is neither 1, 0 nor empty")
        return 0

    # -- one column a class ---------------------------------------------------------------------------------------

    def _matrix(self) -> list[tuple[int, str]]:
        """Columns that are classes: at least half of their cells are 0, 1 or -1, and no other is a text."""
        if self.shape.format == "csv" or "file" not in self.columns.roles:
            return []
        found = []
        for place, name in self.columns.rest:
            cells = [row[place].lower() for _, row in self.grid.lines if place < len(row) and row[place]]
            good = sum(cell in _ONE or cell in _ZERO or cell in _MINUS for cell in cells)
            if cells and 2 * good >= len(cells) and (self.known is None or name in self.known):
                found.append((place, name))
        return found

    def _read_matrix(self, classes: Sequence[tuple[int, str]]) -> None:
        lines = self._lines()
        names = [name for _, name in classes]
        for name in dict.fromkeys(names):
            for problem in self._wrong(name):
                self._problem(1, problem)
            if names.count(name) > 1:
                self._problem(1, f"column {name!r} stands twice")
        # Columns of zeros are classes, too.
        self.table.class_names = tuple(names)
        self._unused([place for place, _ in classes])
        cells = {row[place].lower() for _, row in lines for place, _ in classes}
        minus, zero = self._signs(cells)
        for line, row in lines:
            problems: list[str] = []
            file, split = self._start(line, row, problems)
            found: dict[str, list[str]] = {"labels": [], "absent": [], "unknown": [], "rest": []}
            for place, name in classes:
                cell = row[place].lower()
                kind = "labels" if cell in _ONE else zero if cell in _ZERO else minus if cell in _MINUS else "unknown"
                if kind == "unknown" and cell and cell not in _ZERO | _MINUS:
                    problems.append(f"class {name!r} holds {row[place]!r}, not 1, 0, -1 or nothing")
                found[kind].append(name)
            labels, absent, unknown = (tuple(found[kind]) for kind in ("labels", "absent", "unknown"))
            self._add(Row(line, file, split, labels, unknown, absent, False, self._cell(row, "group")), problems)

    def _signs(self, cells: set[str]) -> tuple[str, str]:
        """What -1 and 0 mean. Zeros of a matrix without -1 are classes that are not named, which a caller decides."""
        count = len(self.table.class_names)
        head = f"{count} columns are classes" if count > 1 else "one column is a class"
        if not cells & _MINUS:
            blank = ", an empty cell unknown" if "" in cells else ""
            self.table.notes.append(f"{head}: 1 is present, 0 absent{blank}")
            return "absent", "rest"
        minus = self.shape.minus or ("unknown" if "" in cells and cells & _ZERO else "absent")
        zero = "absent" if minus == "unknown" or not cells & _ZERO else "unknown"
        other = "absent" if minus == "unknown" else "unknown"
        self.table.notes.append(f"{head}: 1 is present, 0 {zero}, -1 {minus}; --minus {other} reads them otherwise")
        return minus, zero
