"""A table with three figures a cell, as Markdown blocks, as cells for a terminal, and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from ltbench.report.cells import Cell, Table
from ltbench.report.markdown import WIDTH, table_text, wrapped
from ltbench.report.papers.measured import Compared, ComparedLine, ComparedTable
from ltbench.report.papers.runs import PlannedRun
from ltbench.report.published import Published
from ltbench.report.published_pages import figure_names, figure_order, notes

MARK = "◆"
LEGEND = (
    f"A cell: published / measured ± half the width of its 95 % t interval over seeds / difference. {MARK} marks a "
    "difference that lies outside of the interval; without two seeds there is none."
)
DIFFERS = "what differs"


def tables_of(compared: ComparedTable) -> list[Table]:
    """One table for each printed task, as the paper's own: rows in its order, then what differs, in one word each."""
    made = []
    for task in compared.table.tasks:
        lines = [(line, [c for c in line.cells if c.figure.task == task]) for line in compared.lines]
        present = [(line, cells) for line, cells in lines if cells]
        figures = figure_order([cell.figure for _, cells in present for cell in cells])
        rows = tuple(
            (
                Cell(line.line.name),
                Cell(line.line.label),
                *(_cell(next((c for c in cells if c.figure.figure == figure), None)) for figure in figures),
                Cell(_words(line)),
            )
            for line, cells in present
        )
        names = figure_names(figures)
        columns = ("row", "as printed", *names, DIFFERS)
        made.append(
            Table(_title(compared, task, figures), columns, (False, False, *(True for _ in names), False), rows)
        )
    return made


def long_tables(compared: ComparedTable) -> list[Table]:
    """The same with a line for every figure, for narrow places: published, measured and difference are columns."""
    made = []
    for wide in tables_of(compared):
        rows: list[tuple[Cell, ...]] = []
        for row in wide.rows:
            name, differs = row[0].text, row[-1].text
            for heading, cell in zip(wide.columns[2:-1], row[2:-1], strict=True):
                if cell.text:
                    rows.append(tuple(Cell(text) for text in (name, heading, *cell.text.split(" / "), differs)))
                    name = differs = ""
        columns = ("row", "figure", "published", "measured", "difference", DIFFERS)
        made.append(Table(wide.title, columns, (False, False, True, True, True, False), tuple(rows)))
    return made


def _title(compared: ComparedTable, task: str, figures: Sequence[tuple[str, str, str]]) -> str:
    settings = {setting for setting, metric, _ in figures if setting}
    address = f"{task}@{settings.pop()}" if len(settings) == 1 and all(figure[0] for figure in figures) else task
    return f"{address}: {compared.table.paper}, {compared.table.title}"


def _cell(compared: Compared | None) -> Cell:
    if compared is None:
        return Cell("")
    return Cell(three_figures(compared), compared.mean)


def three_figures(compared: Compared) -> str:
    """``85.44 / 84.90 ± 0.31 / -0.54 ◆``; a dash for what there is not."""
    printed = compared.figure.shown if compared.figure.value else "–"
    if compared.mean is None:
        return f"{printed} / – / –"
    spread = "" if compared.half is None else f" ± {compared.half:.2f}"
    apart = "–" if compared.difference is None else f"{compared.difference:+.2f}"
    return f"{printed} / {compared.mean:.2f}{spread} / {apart}{f' {MARK}' if compared.outside else ''}"


def _words(line: ComparedLine) -> str:
    words = ", ".join(line.differs)
    if not line.not_run:
        return words
    return "; ".join([*([words] if words else []), "not run" if not line.runnable else "partly not run"])


def sentences(compared: ComparedTable) -> list[str]:
    """What the words of the last column mean, each sentence with the rows that it is about; then what is not run."""
    about: dict[tuple[str, str], list[str]] = {}
    for line in compared.lines:
        for word, text in line.differs.items():
            about.setdefault((word, text), []).append(line.line.name)
        for reason, addresses in line.not_run.items():
            where = f" on {', '.join(addresses)}" if line.runnable else ""
            about.setdefault(("not run", reason), []).append(f"{line.line.name}{where}")
    all_run = [line.line.name for line in compared.lines if line.runnable]
    said = []
    for (word, text), names in sorted(about.items(), key=lambda item: item[0][0] == "not run"):
        where = "" if names == all_run and len(names) > 1 else f" ({', '.join(names)})"
        said.append(f"{word}{where}: {text}")
    return said


def markdown(compared: ComparedTable, seeds: str = "") -> str:
    """The table in Markdown, with what differs below it and the command that fills it."""
    blocks = []
    for table in tables_of(compared):
        blocks += [f"## {table.title}", table_text(table)]
    marks = [mark for mark in notes(_figures(compared)) if not mark.startswith("±")]
    blocks += [wrapped(mark) for mark in marks]
    listed = ["\n".join(_bullet(text) for text in sentences(compared))]
    command = f"`ltbench reproduce {compared.table.address}{seeds}`"
    blocks += [*(block for block in listed if block), f"{'Filled' if compared.measured else 'To fill it'}: {command}"]
    return "\n\n".join(blocks)


def _bullet(text: str) -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent="* ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def _figures(compared: ComparedTable) -> Iterable[Published]:
    return [cell.figure for line in compared.lines for cell in line.cells if cell.figure.value]


def document(compared: ComparedTable) -> dict[str, Any]:
    """The table for programs: every row, its runs, and each figure with what was measured."""
    return {
        "table": compared.table.address,
        "title": compared.table.title,
        "axis": compared.table.axis or None,
        "rows": [_row(compared.table.address, line) for line in compared.lines],
    }


def _row(address: str, line: ComparedLine) -> dict[str, Any]:
    return {
        "row": f"{address}/{line.line.name}",
        "printed": line.line.label,
        "differs": dict(line.differs),
        "not_run": {reason: list(addresses) for reason, addresses in line.not_run.items()},
        "runs": [_run(run) for run in line.runs.values() if isinstance(run, PlannedRun)],
        "figures": [_figure(cell) for cell in line.cells],
    }


def _run(run: PlannedRun) -> dict[str, Any]:
    told = asdict(run)
    shown = (
        "address",
        "method",
        "preset",
        "origin",
        "variant",
        "backbone",
        "options",
        "share",
        "selection",
        "validation",
    )
    return {name: told[name] for name in shown}


def _figure(cell: Compared) -> dict[str, Any]:
    figure = cell.figure
    return {
        "task": figure.task,
        "setting": figure.setting,
        "metric": figure.metric,
        "subset": figure.subset,
        "published": figure.number if figure.value else None,
        "published_std": figure.spread,
        "note": figure.note,
        "measured": cell.mean,
        "half_width": cell.half,
        "seeds": list(cell.seeds),
        "difference": cell.difference,
        "outside": cell.outside,
    }
