"""A table file as header and cells: CSV with whatever separates its columns, Excel, parquet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ltbench.data.own.text import text_of
from ltbench.plugin.errors import UserError

_DELIMITERS: Final = (",", ";", "\t")
_EXCEL: Final = (".xlsx", ".xlsm", ".xls", ".ods")
#: What Excel is told in a first line of its own.
_SAID: Final = re.compile(r"sep=(?P<sign>[,;\t])(?=\r?\n)", re.I)
_PARQUET: Final = (".parquet", ".pq")


@dataclass(frozen=True)
class Grid:
    """What a table file holds.

    Attributes:
        name: of the file.
        header: cells of the first line, stripped.
        lines: (line of the file, 1-based, and its stripped cells); lines without any text are left out.
        notes: what was guessed.
    """

    name: str
    header: list[str]
    lines: list[tuple[int, list[str]]]
    notes: list[str] = field(default_factory=list)


def read_grid(path: Path) -> Grid:
    """Read a table file by its ending; whatever else it ends in, it is CSV.

    Raises:
        UserError: it cannot be read, is empty or has no rows; a library that it needs is not installed (named).
    """
    ending = path.suffix.lower()
    if ending in _EXCEL or ending in _PARQUET:
        if not path.is_file():
            raise UserError(f"{path} does not exist", "ltbench task new --help")
        header, lines = _frame(path, "excel" if ending in _EXCEL else "parquet")
        notes: list[str] = []
    else:
        text = text_of(path)
        if text.lstrip()[:1] == "{":
            raise UserError(
                f"{path.name} holds JSON, one object a line or several",
                "save it as CSV, e.g. pandas.read_json(FILE, lines=True).to_csv(…), or name COCO's file .json",
            )
        said = _SAID.match(text)
        delimiter = said["sign"] if said else _delimiter(text)
        if said:
            # The line stays, empty: numbers of lines are those of the file.
            text = text[said.end() :]
        notes = [] if delimiter == "," else [f"columns of {path.name} are separated by {_shown(delimiter)}"]
        cells = _csv(path.name, text, delimiter)
        first = next(cells, None)
        if first is None:
            raise UserError(f"{path.name} is empty", "first line: file,split,labels")
        header, lines = first[1], list(cells)
    if not lines:
        raise UserError(f"{path.name} has no rows", "one line an image: file,split,labels")
    return Grid(path.name, header, lines, notes)


def _csv(name: str, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield reader.line_num, stripped
    except csv.Error as error:
        raise UserError(f"{name} line {reader.line_num} is no CSV ({error})", "close every quote") from error


def _delimiter(text: str) -> str:
    """What splits the first line into most columns; a comma where nothing does."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    return max(_DELIMITERS, key=lambda sign: (first.count(sign), sign == ","))


def _shown(sign: str) -> str:
    return "tabs" if sign == "\t" else repr(sign)


def _frame(path: Path, kind: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    import pandas as pd

    readers: dict[str, Callable[[], Any]] = {
        "excel": lambda: pd.read_excel(path, dtype=object, keep_default_na=False, na_filter=False),
        "parquet": lambda: pd.read_parquet(path),
    }
    try:
        frame = readers[kind]()
    except ImportError as error:
        raise UserError(
            f"{path.name} needs a library that is not installed", f"pip install 'ltbench[{kind}]'"
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # each engine of pandas raises what it likes
        line = " ".join(str(error).split())
        raise UserError(f"{path.name} cannot be read ({line})", "save it as CSV UTF-8") from error
    header = ["" if str(name).startswith("Unnamed:") else str(name).strip() for name in frame.columns]
    rows = [[_text(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    return header, [(number, cells) for number, cells in enumerate(rows, start=2) if any(cells)]


def _text(value: Any) -> str:
    """A cell as CSV would have it: nothing for missing values, whole floats without a point, lists as JSON."""
    import json

    import numpy as np

    if isinstance(value, list | tuple | np.ndarray):
        return json.dumps([str(one) for one in value], ensure_ascii=False)
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)) or str(value) in ("<NA>", "NaT"):
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, bool | np.bool_):
        return "1" if value else "0"
    return str(value).strip()
