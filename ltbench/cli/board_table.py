"""A leaderboard on a terminal: names are never broken, what else does not fit is folded or left out, and said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ltbench.cli.output import GAP, Column, fold, print_table, say, width

if TYPE_CHECKING:
    from ltbench.report.board import Board
    from ltbench.report.cells import Table

#: Columns that are left out first, the first of them first: what a row took, then what it rests on.
_LESSER = ("train s", "params", "n", "oracle")


@dataclass(frozen=True)
class Layout:
    """A table as it is printed.

    Attributes:
        columns: headings.
        rows: cells.
        left_out: headings of columns that are not among them.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Columns of the terminal that it takes with nothing folded but where its cells say so."""
        cells = [[name, *column] for name, *column in zip(self.columns, *self.rows, strict=True)]
        widest = [max(len(line) for cell in column for line in cell.split("\n")) for column in cells]
        return sum(widest) + GAP * (len(widest) - 1)

    def without(self, *names: str) -> Layout:
        """The same, some columns left out."""
        kept = [place for place, name in enumerate(self.columns) if name not in names]
        return Layout(
            tuple(self.columns[place] for place in kept),
            tuple(tuple(row[place] for place in kept) for row in self.rows),
            tuple(name for name in (*self.columns, *self.left_out) if name in names or name in self.left_out),
        )

    def folded(self, before: str) -> Layout:
        """The same, cells folded in front of a sign."""
        rows = tuple(tuple(cell.replace(f" {before}", f"\n{before}") for cell in row) for row in self.rows)
        return Layout(self.columns, rows, self.left_out)


def fitted(table: Table, columns: int) -> Layout:
    """The layout that says most of a table within a width; the narrowest one where none fits.

    Method names stay whole, but for a fold in front of the bracket that tells namesakes apart.

    Args:
        table: ``#``, ``method``, and figures.
        columns: of the terminal.
    """
    chosen = None
    for chosen in _layouts(table):
        if chosen.width <= columns:
            break
    assert chosen is not None
    return chosen


def _layouts(table: Table) -> Iterator[Layout]:
    """From the fullest to the narrowest."""
    full = Layout(table.columns, tuple(tuple(cell.text for cell in row) for row in table.rows))
    yield full
    yield full.without(*_LESSER[:1])
    yield full.without(*_LESSER[:2])
    intervals = full.folded("±")
    names = intervals.folded("[")
    for layout in (intervals, names):
        for count in range(len(_LESSER) + 1):
            yield layout.without(*_LESSER[:count])
    figures = [name for name in table.columns[table.keys :] if name not in _LESSER]
    for count in range(1, len(figures)):
        yield names.without(*_LESSER, *figures[-count:])


def print_board(board: Board) -> None:
    """The headline table of every class of equals, then what is not ranked and what failed."""
    from ltbench.report.board import equals_title
    from ltbench.report.markdown import RANK

    say(f"{board.task} version {board.version}, {board.headline} in %")
    say(fold(RANK))
    for section in board.sections:
        setting = f"@{section.equals.setting}, " if section.equals.setting else ""
        say()
        table = section.tables[0]
        layout = fitted(table, width())
        numeric = dict(zip(table.columns, table.numeric, strict=True))
        print_table(
            [Column(name, right=numeric[name], whole=True) for name in layout.columns],
            layout.rows,
            f"{setting}{equals_title(section.equals, board.sections)}",
            at_least=layout.width,
        )
        if layout.left_out:
            say(fold(f"No room here for {_listed(layout.left_out)}; --format csv has all."))
        if section.verdict:
            say(fold(section.verdict))
        for line in (*section.notes, *section.remarks):
            say(fold(line))
    for table in board.extra:
        say()
        print_table(
            [
                Column(name, right=numeric, whole=name == "method")
                for name, numeric in zip(table.columns, table.numeric, strict=True)
            ],
            [[cell.text for cell in row] for row in table.rows],
            table.title,
        )


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
