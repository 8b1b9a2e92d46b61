"""Pages of the site as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from ltbench.report.board import Board
from ltbench.report.curves import curves_of, settings_of
from ltbench.report.markdown import introduction
from ltbench.report.matrix import Matrix
from ltbench.report.papers.beside import LEGEND, Printed, printed_beside
from ltbench.report.published import PAPERS, published
from ltbench.report.published_pages import comparisons, notes, published_tables
from ltbench.report.site.average_ranks import rank_picture
from ltbench.report.site.cards import CardPage
from ltbench.report.site.curve_pictures import curve_pictures
from ltbench.report.site.later import Cards, matrix_rows, part_facts, script, task_rows
from ltbench.report.site.names import matrix_file, page_name, part_file, record_file, rows_file
from ltbench.report.site.pictures import MOST, cost_pictures, group_picture
from ltbench.report.site.table import SiteTable


@dataclass(frozen=True)
class Page:
    """A page with what it loads.

    Attributes:
        name: of its file, without ending.
        scripts: name → text of files beside it.
    """

    name: str
    html: str
    scripts: dict[str, str]


@lru_cache(maxsize=1)
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("ltbench.report.site", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def task_page(board: Board, table: SiteTable, cards: Cards) -> Page:
    """The page of a board, whose rows are those of the table."""
    name = page_name(board.task, board.version)
    settings = settings_of(board.task) or tuple(setting or "" for setting in board.settings)
    curves = curves_of(settings, [ranked.row for section in board.sections for ranked in section.ranked])
    files = [part_file(name, number) for number in range(len(table.parts))]
    html = (
        _templates()
        .get_template("task.html.j2")
        .render(
            root="../",
            board=board,
            table=table,
            introduction=introduction(board).replace("`", "").replace("the records beside this page", "records"),
            rows=rows_file(name),
            sections=list(zip(table.parts, board.sections, files, strict=False)),
            curves=curve_pictures(curves, settings, board.headline),
            most=MOST,
            failed=[(record, f"../{record_file(record)}") for record in board.failed],
            printed=[(paper, PAPERS[paper]) for paper in board.printed],
            beside=_beside(board),
            legend=LEGEND,
        )
    )
    scripts = {rows_file(name): script(rows_file(name), task_rows(name, table))}
    for number, file in enumerate(files):
        scripts[file] = script(file, part_facts(table, number, cards, _section(board, number)))
    return Page(name, html, scripts)


def _section(board: Board, number: int) -> str:
    """What opens below the name of a section; nothing for rows that are not ranked."""
    if number >= len(board.sections):
        return ""
    section = board.sections[number]
    return (
        _templates()
        .get_template("section.html.j2")
        .render(
            section=section,
            groups=group_picture(section, board.headline),
            costs=cost_pictures(section, board.headline),
            most=MOST,
        )
    )


def _beside(board: Board) -> list[Printed]:
    return printed_beside(
        board.task, [r for section in board.sections for ranked in section.ranked for r in ranked.row.records]
    )


def card_page(card: CardPage) -> str:
    """The page of a method's card."""
    paper = None if card.paper is None else (card.paper, PAPERS[card.paper])
    return _templates().get_template("card.html.j2").render(root="../", card=card, paper=paper)


def paper_page(paper: str) -> str:
    """The page of a paper: its tables as printed."""
    entries = [entry for entry in published() if entry.paper == paper]
    remarks = [" ".join(text.split()) for text in (*comparisons(entries), *notes(entries))]
    return (
        _templates()
        .get_template("paper.html.j2")
        .render(root="../", title=PAPERS[paper], remarks=remarks, tables=published_tables(entries))
    )


def index_page(
    boards: Sequence[tuple[Board, SiteTable, int]],
    matrices: Sequence[Matrix],
    cards: Cards,
    missing: Sequence[str],
    left_out: int,
    version: str,
) -> Page:
    """The first page.

    Args:
        boards: each with its table, and how many records it has.
        matrices: recipes by tasks; none where no task is installed.
        missing: tasks and recipes with records that the matrices lack, because they are not installed.
        left_out: files that could not be read.
        version: of ltbench.
    """
    pages = {board.task: f"tasks/{page_name(board.task, board.version)}.html" for board, _, _ in boards}
    files = [matrix_file(number + 1) for number in range(len(matrices))]
    html = (
        _templates()
        .get_template("index.html.j2")
        .render(
            root="",
            boards=[
                {"board": board, "table": table, "records": count, "page": pages[board.task]}
                for board, table, count in boards
            ],
            matrices=[
                {"matrix": matrix, "rows": file, "ranks": [rank_picture(found) for found in matrix.averages]}
                for matrix, file in zip(matrices, files, strict=True)
            ],
            missing=missing,
            left_out=left_out,
            papers=PAPERS,
            version=version,
        )
    )
    scripts = {file: script(file, matrix_rows(matrix, cards)) for matrix, file in zip(matrices, files, strict=True)}
    return Page("index", html, scripts)
