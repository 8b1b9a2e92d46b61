"""What commands print: tables that fit the terminal, and JSON for programs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import click

from ltbench.plugin.clean import for_terminal
from ltbench.plugin.system import printable

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 80
"""Columns where the terminal does not say."""
GAP = 3
"""Between two columns of a table."""
LONG = 2000
"""Rows of a table from which on no cell is folded."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: heading.
        right: numbers are right-aligned.
        whole: never folded (names that people copy).
    """

    title: str
    right: bool = False
    whole: bool = False


def width() -> int:
    """Columns to use: ``COLUMNS``, else the terminal's, else 80."""
    return shutil.get_terminal_size((WIDTH, 24)).columns


def console(stderr: bool = False) -> Console:
    """A rich console that wraps at :func:`width` and colours terminals only."""
    from rich.console import Console

    return Console(stderr=stderr, width=width(), highlight=False, soft_wrap=False)


def print_table(
    columns: Sequence[Column | str], rows: Sequence[Sequence[str]], title: str = "", at_least: int = 0
) -> None:
    """Print a table: lines and bold headings on a terminal, plain ASCII elsewhere.

    Cells that do not fit are folded, but in a table of thousands of rows, which nobody reads row by row: there a row
    stays one line, however wide, for whoever searches it.

    Args:
        columns: headings.
        rows: cells as text, in the order they are to be shown.
        title: a line above the table.
        at_least: the table may be as wide as this even where the terminal is not.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    known = [column if isinstance(column, Column) else Column(column) for column in columns]
    cells = [[for_terminal(cell).expandtabs(1) for cell in row] for row in rows]
    widths = _widths(known, cells)
    natural = sum(widths) + GAP * (len(widths) - 1)
    unfolded = natural <= max(at_least, width()) or len(cells) >= LONG
    plain = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
    table = Table(
        box=box.SIMPLE_HEAD if sys.stdout.isatty() else plain,
        header_style="bold",
        pad_edge=False,
        show_edge=False,
    )
    for column, size in zip(known, widths, strict=True):
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=column.whole,
            overflow="fold",
            width=size if unfolded else None,
        )
    if not unfolded:
        for row in cells:
            table.add_row(*map(Text, row))
    screen = console()
    with screen.capture() as captured:
        if title:
            screen.print(Text(for_terminal(title), style="bold"))
        screen.width = max(at_least, natural if unfolded else 0, screen.width)
        screen.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
    if unfolded and cells:
        # rich lays out each cell by itself, which takes seconds for thousands of rows; here there is nothing to fold.
        click.echo("\n".join(line for row in cells for line in _lines(row, known, widths)))


def _widths(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> list[int]:
    """Columns of the terminal that each column takes with nothing folded but where its cells say so."""
    found = [_size(column.title) for column in columns]
    for row in cells:
        for place, cell in enumerate(row):
            found[place] = max(found[place], *map(_size, cell.split("\n")))
    return found


def _lines(row: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> Iterator[str]:
    """The lines of a row whose cells all fit."""
    for parts in zip_longest(*(cell.split("\n") for cell in row), fillvalue=""):
        blanks = [" " * (size - _size(part)) for part, size in zip(parts, widths, strict=True)]
        filled = [
            blank + part if column.right else part + blank
            for part, blank, column in zip(parts, blanks, columns, strict=True)
        ]
        yield (" " * GAP).join(filled).rstrip()


def _size(text: str) -> int:
    """Columns of the terminal that a text takes; letters of some scripts take two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def print_facts(facts: Mapping[str, str]) -> None:
    """Print names and values one below the other, values folded beside their names."""
    import textwrap

    left = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        lines = [
            line
            for paragraph in for_terminal(value).splitlines() or [""]
            for line in textwrap.wrap(paragraph, max(20, width() - left - 2), break_on_hyphens=False) or [""]
        ]
        click.echo(for_terminal(f"{name:<{left}}  {lines[0]}".rstrip()))
        for line in lines[1:]:
            click.echo(f"{'':<{left}}  {line}".rstrip())


def fold(text: str, indent: str = "") -> str:
    """One paragraph folded to the width; following lines are indented."""
    import textwrap

    text = for_terminal(text)
    return textwrap.fill(text, width(), subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)


def print_markdown(text: str) -> None:
    """Print Markdown: rendered on a terminal, as it is elsewhere."""
    text = for_terminal(text)
    if not sys.stdout.isatty():
        click.echo(text.rstrip())
        return
    from rich.markdown import Markdown

    console().print(Markdown(text))


def print_json(document: Any) -> None:
    """Print JSON with sorted keys on stdout; what its encoding lacks is escaped, so that no text changes."""
    click.echo(json_text(document, indent=2, sort_keys=True, default=str))


def json_text(document: Any, **form: Any) -> str:
    """JSON for stdout.

    Args:
        form: what ``json.dumps`` takes besides ``ensure_ascii``.
    """
    text = json.dumps(document, ensure_ascii=False, **form)
    return text if printable(text) and for_terminal(text) == text else json.dumps(document, **form)


def note(text: str) -> None:
    """Say a line beside the result, on stderr."""
    click.echo(for_terminal(text), err=True)


def say(text: str = "", nl: bool = True) -> None:
    """Say a line of the result, on stdout; ``nl`` ends it."""
    click.echo(for_terminal(text), nl=nl)


def size(number: int) -> str:
    """Bytes in words: ``4.0 MB``."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def seconds(number: float) -> str:
    """A duration in words: ``3.2 s``, ``4 min 05 s``."""
    if number < 100:
        return f"{number:.1f} s"
    minutes, rest = divmod(round(number), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
