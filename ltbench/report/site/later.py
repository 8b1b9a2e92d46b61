"""What a page of the site loads after it is painted: the rows of its tables, and what is behind each of them.

Each document lies in a script of its own, because a page that is opened from a folder may read nothing else. A page
that held them all would be long before its first line could be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from ltbench.records.canonical import sha256_of
from ltbench.report.cells import Cell
from ltbench.report.matrix import Matrix
from ltbench.report.published import PAPERS
from ltbench.report.site.cards import CardPage
from ltbench.report.site.classes import ClassFacts, class_scores, classes_of
from ltbench.report.site.names import part_file, record_file
from ltbench.report.site.table import Entry, SiteTable

#: (Method, distribution) → its card.
Cards = Mapping[tuple[str, str], CardPage]


def script(name: str, document: Any) -> str:
    """A document as the script of that name, which hands it to the page that asked for it."""
    return f"ltbenchLoaded({_json(name)},{_json(document)});\n"


def _json(document: Any) -> Markup:
    """JSON that may stand inside a page or a script: no tag, no ampersand, and ASCII only."""
    return htmlsafe_json_dumps(document, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def task_rows(page: str, table: SiteTable) -> dict[str, Any]:
    """The table of a task's page.

    Args:
        page: its name, see :func:`~ltbench.report.site.names.page_name`.
        table: what it shows.
    """
    numeric = [column.numeric for column in table.columns]
    return {
        "columns": [
            {"title": column.title, "numeric": column.numeric, "shown": column.shown, "about": column.about}
            for column in table.columns
        ],
        "parts": [
            {"name": part.name, "ranked": part.ranked, "file": part_file(page, number)}
            for number, part in enumerate(table.parts)
        ],
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


def part_facts(table: SiteTable, part: int, cards: Cards, pictures: str) -> dict[str, Any]:
    """What is behind the rows of one part: runs, options and scores of classes, in the order of the table.

    Args:
        table: of the task's page.
        part: place of the part.
        cards: of methods.
        pictures: of the part, escaped markup; empty where it has none.
    """
    kinds: dict[str, int] = {}
    classes: list[list[ClassFacts]] = []
    rows = []
    for entry in table.entries:
        if entry.part != part:
            continue
        first = entry.row.first
        kind = sha256_of([first.task.address, first.task.fingerprints.get("groups"), sorted(first.per_class_ap)])
        if kind not in kinds:
            kinds[kind] = len(classes)
            classes.append(classes_of(first))
        number = kinds[kind]
        rows.append({**_facts(entry, cards), "classes": number, "ap": class_scores(entry.row, classes[number])})
    known = [[[one.name, one.group, one.observed] for one in found] for found in classes]
    return {"classes": known, "rows": rows, "pictures": pictures}


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


def matrix_rows(matrix: Matrix, cards: Cards) -> dict[str, Any]:
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
