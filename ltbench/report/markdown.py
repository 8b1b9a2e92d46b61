"""Leaderboards as Markdown: GitHub's tables, no row wider than 120 columns where cells allow it."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tabulate import tabulate

from ltbench.plugin.clean import for_markdown, for_markdown_cell
from ltbench.report.board import Board, Section, equals_title
from ltbench.report.cells import Table
from ltbench.report.curves import AHEAD
from ltbench.report.published import PAPERS

WIDTH = 120
#: Rows of a table that are shown at once; those below fold, so that a section fits a screen.
SHOWN = 20
#: Lines of notes that fit below it.
NOTES = 4
#: What a rank is, in one sentence; the pages, the terminal and the docs say it in these words.
RANK = (
    "A row's rank is 1 + the number of rows that are separably better: all pairs of a section are compared over test "
    "images and seeds, with Holm's correction at 5 %."
)


def render_markdown(board: Board, pictures: Iterable[tuple[str, str]] = (), printed: Iterable[str] = ()) -> str:
    """The page of a leaderboard; the same board gives the same bytes.

    What fits a screen is shown: a verdict, one table with groups and cost, and notes. That is the section of most rows,
    or where a task has several settings, the table of all of them. The rest folds; of each other section stays a line
    that says which row is best, and how many may be as good.

    Args:
        pictures: caption and address of figures that lie beside the page.
        printed: blocks that show measured figures beside those of papers.
    """
    return "\n\n".join(_blocks(board, list(pictures), list(printed))).rstrip("\n") + "\n"


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
        [[cell.text if cell.markdown else for_markdown_cell(cell.text) for cell in row] for row in table.rows],
        headers=[for_markdown_cell(name) for name in table.columns],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=["right" if numeric else "left" for numeric in table.numeric],
    )


def _blocks(board: Board, pictures: list[tuple[str, str]], printed: list[str]) -> Iterator[str]:
    yield f"# {for_markdown(board.task)}, version {board.version}"
    yield wrapped(introduction(board))
    if board.printed:
        listed = ", ".join(f"[{PAPERS[paper]}](../../published/{paper}.md)" for paper in board.printed)
        yield f"Figures printed in papers, not ranked with these: {listed}."
    if not board.sections and not board.extra:
        yield "No records yet."
    for table in board.overview:
        yield f"## {for_markdown(table.title)}"
        yield wrapped(
            f"*{AHEAD}*: mean over the settings that a recipe shares with the fullest, best one of its backbone, minus "
            "that one's mean over the same; *on 1* says that this is one setting. Rows stand in its order."
        )
        yield from _wide(table)
    # Curves belong to the tables of all settings; what else there is of pictures may be many, and follows the ranks.
    curves = [picture for picture in pictures if board.overview and "curves" in picture[1]]
    if curves:
        yield from _folded("The same as curves", _figures(curves))
    open_section = None if board.overview else max(board.sections, key=_size, default=None)
    if open_section is not None:
        yield from _section(board, open_section)
    for section in board.sections:
        if section is not open_section:
            backbone = " +".join(section.equals.made_with)
            said = f"{_address(board, section)}, {backbone}, {_count(_size(section), 'row')}"
            yield from _folded(f"{said}: {section.short}" if section.short else said, _section(board, section))
    if printed:
        yield from _folded("Printed and measured", printed)
    for table in board.extra:
        yield from _folded(f"{table.title}: {_count(len(table.rows), 'row')}", [table_text(table)])
    others = [picture for picture in pictures if picture not in curves]
    if others:
        yield from _folded(_count(len(others), "figure"), _figures(others))


def _size(section: Section) -> int:
    return len(section.ranked)


def _address(board: Board, section: Section) -> str:
    setting = section.equals.setting
    return board.task if setting is None else f"{board.task}@{setting}"


def _wide(table: Table) -> Iterator[str]:
    """A table; of one that is long or too wide, its upper left corner, and all of the rest folds."""
    first, *beside = split(table)
    below = [] if len(table.rows) <= SHOWN + 5 else first.rows[SHOWN:]
    yield table_text(replace(first, rows=first.rows[: len(first.rows) - len(below)]))
    more = [replace(first, rows=tuple(below))] if below else []
    said = [f"{len(below)} more rows"] if below else []
    if beside:
        said.append(f"{_list([name for part in beside for name in part.columns[part.keys :]])} of all rows")
    if said:
        yield from _folded("; ".join(said), [table_text(part) for part in (*more, *beside)])


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


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
    yield wrapped(f"## {_address(board, section)}: {equals_title(section.equals, board.sections)}")
    if section.verdict:
        yield wrapped(f"**{section.verdict}**")
    first, *others = section.tables
    yield wrapped(f"{first.title}, %. Pre-training: {section.equals.pretraining}.")
    notes = [_block(text) for text in section.notes]
    yield from _long(first, sum(text.count("\n") + 1 for text in notes))
    yield from notes
    rest: list[str] = []
    for table in others:
        rest += [f"### {for_markdown(table.title)}", table_text(table)]
    rest += section.remarks
    yield from _folded("Other metrics, how the rows were made, and what the comparisons rest on", rest)


def _long(table: Table, below: int = 0) -> Iterator[str]:
    """A table; what comes after its first rows folds, sooner where the table is too wide and stands in parts.

    Args:
        below: lines of notes that stand below it; what is more than NOTES takes the place of rows, so that a page's
            beginning still fits on a screen.
    """
    parts, spare = len(split(table)), min(SHOWN // 2, max(0, below - NOTES))
    most = SHOWN + 5 - spare if parts == 1 else (2 * SHOWN - 6 - spare) // parts
    few = len(table.rows) <= most
    shown = SHOWN - spare if parts == 1 else most
    yield table_text(table if few else replace(table, rows=table.rows[:shown]))
    if not few:
        rest = replace(table, rows=table.rows[shown:])
        yield from _folded(f"{len(rest.rows)} more rows", [table_text(rest)])


def _folded(title: str, blocks: Iterable[str]) -> Iterator[str]:
    """Blocks that open with a click; Markdown inside needs the empty lines."""
    yield f"<details><summary>{html.escape(title)}</summary>"
    yield from (_block(text) for text in blocks)
    yield "</details>"


def _block(text: str) -> str:
    return text if "\n" in text or text.startswith(("|", "<", "#")) else wrapped(text)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def wrapped(text: str) -> str:
    text = for_markdown(text)
    if text.startswith("#"):
        return text
    return "\n".join(textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False))
