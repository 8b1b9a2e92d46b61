"""Pages of the site as text: templates and the data that their tables read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from ltbench.plugin.system import slug, unportable
from ltbench.records.canonical import sha256_of
from ltbench.records.record import RunRecord
from ltbench.report.board import Board
from ltbench.report.cells import Cell
from ltbench.report.curves import curves_of, settings_of
from ltbench.report.markdown import introduction
from ltbench.report.matrix import Matrix
from ltbench.report.papers.beside import LEGEND, Printed, printed_beside
from ltbench.report.published import PAPERS, published
from ltbench.report.published_pages import comparisons, notes, published_tables
from ltbench.report.site.average_ranks import rank_picture
from ltbench.report.site.cards import CardPage
from ltbench.report.site.classes import ClassFacts, class_scores, classes_of
from ltbench.report.site.pictures import MOST, cost_pictures, curve_picture, group_picture
from ltbench.report.site.table import Entry, SiteTable

#: (Method, distribution) → its card.
Cards = Mapping[tuple[str, str], CardPage]


@dataclass(frozen=True)
class TaskPage:
    """A task's page.

    Attributes:
        name: of its file.
        html: the page.
        script: what is loaded when somebody looks closer: runs, options, scores of classes.
    """

    name: str
    html: str
    script: str


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


def file_name(text: str) -> str:
    """A name from outside as the name of a file; one that had to be changed carries a part of its hash."""
    made = slug(text)
    return made if made == text and not unportable(made) else f"{made.strip('.')}-{sha256_of(text)[:8]}"


def page_name(task: str, version: int) -> str:
    """Name of a task's page, without ending."""
    return file_name(f"{task}-v{version}")


def record_file(record: RunRecord) -> str:
    """Place of a record within the site."""
    return f"records/{record.record_sha256[:16]}.json"


def task_page(board: Board, table: SiteTable, cards: Cards) -> TaskPage:
    """The page of a board, whose rows are those of the table."""
    name = page_name(board.task, board.version)
    settings = settings_of(board.task) or tuple(setting or "" for setting in board.settings)
    curves = curves_of(settings, [ranked.row for section in board.sections for ranked in section.ranked])
    html = (
        _templates()
        .get_template("task.html.j2")
        .render(
            root="../",
            board=board,
            table=table,
            introduction=introduction(board).replace("`", "").replace("the records beside this page", "records"),
            data=_json(_grid(table)),
            name=name,
            sections=[
                {
                    "part": part,
                    "section": section,
                    "groups": group_picture(section, board.headline),
                    "costs": cost_pictures(section, board.headline),
                }
                for part, section in zip(table.parts, board.sections, strict=False)
            ],
            curves=curve_picture(curves, settings, board.headline),
            most=MOST,
            failed=[(record, f"../{record_file(record)}") for record in board.failed],
            printed=[(paper, PAPERS[paper]) for paper in board.printed],
            beside=_beside(board),
            legend=LEGEND,
        )
    )
    return TaskPage(name, html, f"ltbenchMore({_json(_more(table, cards))});\n")


def _beside(board: Board) -> list[Printed]:
    return printed_beside(
        board.task, [r for section in board.sections for ranked in section.ranked for r in ranked.row.records]
    )


def _json(document: Any) -> Markup:
    """JSON that may stand inside a page or a script: no tag, no ampersand, and ASCII only."""
    return htmlsafe_json_dumps(document, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def _grid(table: SiteTable) -> dict[str, Any]:
    numeric = [column.numeric for column in table.columns]
    return {
        "columns": [
            {"title": column.title, "numeric": column.numeric, "shown": column.shown, "about": column.about}
            for column in table.columns
        ],
        "parts": [{"name": part.name, "ranked": part.ranked} for part in table.parts],
        "rows": [
            [entry.part, entry.rank, entry.label, len(entry.notes), *map(_cell, entry.cells, numeric)]
            for entry in table.entries
        ],
    }


def _cell(cell: Cell, numeric: bool) -> Any:
    """A number with its text; the text alone where there is no number."""
    if not numeric:
        return cell.text
    return None if cell.value is None else [cell.text, round(cell.value, 6)]


def _more(table: SiteTable, cards: Cards) -> dict[str, Any]:
    kinds: dict[str, int] = {}
    classes: list[list[ClassFacts]] = []
    rows = []
    for entry in table.entries:
        first = entry.row.first
        kind = sha256_of([first.task.address, first.task.fingerprints.get("groups"), sorted(first.per_class_ap)])
        if kind not in kinds:
            kinds[kind] = len(classes)
            classes.append(classes_of(first))
        number = kinds[kind]
        rows.append({**_facts(entry, cards), "classes": number, "ap": class_scores(entry.row, classes[number])})
    return {"classes": [[[one.name, one.group, one.observed] for one in found] for found in classes], "rows": rows}


def _facts(entry: Entry, cards: Cards) -> dict[str, Any]:
    row, first = entry.row, entry.row.first
    card = cards.get((first.method.name, first.method.distribution))
    paper = None if card is None or card.paper is None else [PAPERS[card.paper], f"../papers/{card.paper}.html"]
    return {
        "runs": [
            [record.seed, record.scores[first.task.headline]["total"], record.created, f"../{record_file(record)}"]
            for record in row.records
        ],
        "backbone": f"{row.equals.encoder}, weights {row.equals.weights}, {row.equals.dtype}",
        "pretraining": row.equals.pretraining,
        "extras": list(row.equals.extras),
        "config": first.method.config,
        "notes": list(entry.notes),
        "why": list(row.why_not),
        "card": None if card is None else f"../cards/{card.name}.html",
        "paper": paper,
    }


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
) -> str:
    """The first page.

    Args:
        boards: each with its table, and how many records it has.
        matrices: recipes by tasks; none where no task is installed.
        missing: tasks and recipes with records that the matrices lack, because they are not installed.
        left_out: files that could not be read.
        version: of ltbench.
    """
    pages = {board.task: f"tasks/{page_name(board.task, board.version)}.html" for board, _, _ in boards}
    return (
        _templates()
        .get_template("index.html.j2")
        .render(
            root="",
            boards=[
                {"board": board, "table": table, "records": count, "page": pages[board.task]}
                for board, table, count in boards
            ],
            matrices=[
                {
                    "matrix": matrix,
                    "data": _json(_matrix_grid(matrix, cards)),
                    "ranks": [rank_picture(found) for found in matrix.averages],
                }
                for matrix in matrices
            ],
            missing=missing,
            left_out=left_out,
            papers=PAPERS,
            version=version,
        )
    )


def _matrix_grid(matrix: Matrix, cards: Cards) -> dict[str, Any]:
    """The matrix as a table with a part for each group of recipes; one setting of each task is shown unasked."""
    tasks = {task.name: task.address for task in reversed(matrix.tasks)}
    tasks |= {task.name: task.address for task in matrix.tasks if task.address in matrix.images.tasks}
    named = {card.name for card in cards.values()}
    lines = [(number, line) for number, table in enumerate(matrix.groups.values()) for line in table.rows]
    return {
        "columns": [
            {
                "title": task.address,
                "numeric": True,
                "shown": tasks[task.name] == task.address,
                "about": f"{task.headline}, percent",
            }
            for task in matrix.tasks
        ],
        "parts": [{"name": title, "ranked": True} for title in matrix.groups],
        "rows": [[number, None, line[0].text, 0, *(_matrix_cell(cell) for cell in line[1:])] for number, line in lines],
        "links": {
            line[0].text: f"cards/{name}.html"
            for _, line in lines
            for name in [line[0].text.partition(" ")[0]]
            if name in named
        },
    }


def _matrix_cell(cell: Cell) -> list[Any]:
    """The first figure of a cell is what it sorts by; a cell without one says why it is empty."""
    try:
        return [cell.text, float(cell.text.split(" ")[0])]
    except ValueError:
        return [cell.text, None]
