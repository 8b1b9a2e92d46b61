"""Leaderboards as Markdown: GitHub's tables, no row wider than 120 columns where cells allow it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from tabulate import tabulate

from ltbench.plugin.clean import for_markdown, for_markdown_cell
from ltbench.report.board import Board, Section, equals_title
from ltbench.report.cells import Table
from ltbench.report.published import PAPERS

WIDTH = 120
#: What a rank is, in one sentence; the pages, the terminal and the docs say it in these words.
RANK = (
    "A row's rank is 1 + the number of rows that are separably better: all pairs of a section are compared over test "
    "images and seeds, with Holm's correction at 5 %."
)


def render_markdown(board: Board, pictures: Iterable[tuple[str, str]] = ()) -> str:
    """The page of a leaderboard; the same board gives the same bytes.

    Args:
        pictures: caption and address of figures that lie beside the page.
    """
    return "\n\n".join(_blocks(board, list(pictures))).rstrip("\n") + "\n"


def table_text(table: Table, width: int = WIDTH) -> str:
    """One table, or several one below the other where it is too wide; the leading columns are repeated."""
    return "\n\n".join(_grid(part) for part in split(table, width))


def split(table: Table, width: int = WIDTH) -> list[Table]:
    """Cut a table into parts of at most ``width`` characters a row; a part has at least one column of its own."""
    sizes = [
        # tabulate keeps two characters free beside a header.
        max([len(name) + 2, *(len(row[column].text) for row in table.rows)]) + 3
        for column, name in enumerate(table.columns)
    ]
    keys = list(range(table.keys))
    taken: list[list[int]] = [[]]
    for column in range(table.keys, len(table.columns)):
        used = 1 + sum(sizes[c] for c in (*keys, *taken[-1], column))
        if taken[-1] and used > width:
            taken.append([])
        taken[-1].append(column)
    return [_columns(table, [*keys, *columns]) for columns in taken]


def _columns(table: Table, chosen: list[int]) -> Table:
    return Table(
        title=table.title,
        columns=tuple(table.columns[c] for c in chosen),
        numeric=tuple(table.numeric[c] for c in chosen),
        rows=tuple(tuple(row[c] for c in chosen) for row in table.rows),
        keys=table.keys,
    )


def _grid(table: Table) -> str:
    return tabulate(
        [[for_markdown_cell(cell.text) for cell in row] for row in table.rows],
        headers=[for_markdown_cell(name) for name in table.columns],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=["right" if numeric else "left" for numeric in table.numeric],
    )


def _blocks(board: Board, pictures: list[tuple[str, str]]) -> Iterator[str]:
    yield f"# {for_markdown(board.task)}, version {board.version}"
    yield wrapped(introduction(board))
    if board.printed:
        listed = ", ".join(f"[{PAPERS[paper]}](../../published/{paper}.md)" for paper in board.printed)
        yield f"Figures printed in papers, not ranked with these: {listed}."
    if not board.sections and not board.extra:
        yield "No records yet."
    for table in board.overview:
        yield f"## {for_markdown(table.title)}"
        yield table_text(table)
    # Curves belong to the tables of all settings; what else there is of pictures may be many, and follows the ranks.
    curves = [picture for picture in pictures if board.overview and "curves" in picture[1]]
    yield from _figures(curves)
    for section in board.sections:
        yield from _section(board, section)
    for table in board.extra:
        yield f"## {for_markdown(table.title)}"
        yield table_text(table)
    others = [picture for picture in pictures if picture not in curves]
    if others:
        yield "## Figures"
        yield from _figures(others)


def _figures(pictures: list[tuple[str, str]]) -> Iterator[str]:
    for caption, address in pictures:
        # A caption may break over lines, an address must not.
        yield f"{wrapped(caption)}\n\n![{for_markdown(caption.partition(':')[0])}]({address})"


def introduction(board: Board) -> str:
    """What the figures mean, for the head of every page."""
    return (
        f"Ordered by {board.headline} over all classes. Figures are percent, means over n seeds ± half the width of "
        f"their 95 % t interval. {RANK} Rows rank only among equals: same backbone, pre-training data and extras. "
        "Written by `ltbench leaderboard` from the records beside this page."
    )


def _section(board: Board, section: Section) -> Iterator[str]:
    setting = section.equals.setting
    address = board.task if setting is None else f"{board.task}@{setting}"
    yield wrapped(f"## {address}: {equals_title(section.equals, board.sections)}")
    yield wrapped(f"Pre-training: {section.equals.pretraining}.")
    for table in section.tables:
        yield f"### {for_markdown(table.title)}"
        yield table_text(table)
    for note in section.notes:
        yield wrapped(note)


def wrapped(text: str) -> str:
    text = for_markdown(text)
    if text.startswith("#"):
        return text
    return "\n".join(textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False))
