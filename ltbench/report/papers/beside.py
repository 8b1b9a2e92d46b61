"""A task's own records beside what papers printed on it, as a task's page shows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ltbench.records.record import RunRecord
from ltbench.report.cells import Table
from ltbench.report.markdown import table_text, wrapped
from ltbench.report.papers.book import book, our_task
from ltbench.report.papers.measured import compare
from ltbench.report.papers.render import MARK, long_tables, sentences
from ltbench.report.papers.shelf import Shelf

LEGEND = (
    f"Measured: mean over seeds ± half the width of its 95 % t interval. {MARK} marks a difference that lies outside "
    "of the interval; without two seeds there is none."
)


@dataclass(frozen=True)
class Printed:
    """What one printed table has on a task, beside what was measured.

    Attributes:
        tables: columns published, measured and difference, a line for each figure.
        said: what differs between printed and measured, a sentence each.
    """

    tables: tuple[Table, ...]
    said: tuple[str, ...]


def printed_beside(task: str, records: Iterable[RunRecord]) -> list[Printed]:
    """Published, measured and difference of every printed figure of a task that some of the records measure.

    Args:
        task: name without setting.
        records: of the task.

    Returns:
        None where no paper has a figure of the task, or none was measured.
    """
    tables = [table for table in book().values() if task in {our_task(name) for name in table.tasks} and not table.axis]
    if not tables:
        return []
    shelf = Shelf(records)
    found = []
    for table in tables:
        compared = compare(table.only(tasks=[task]), shelf)
        lines = [
            replace(line, cells=tuple(cell for cell in line.cells if cell.mean is not None)) for line in compared.lines
        ]
        filled = replace(compared, lines=tuple(line for line in lines if line.cells))
        if filled.lines:
            found.append(Printed(tuple(long_tables(filled)), tuple(sentences(filled))))
    return found


def beside(task: str, records: Iterable[RunRecord]) -> list[str]:
    """The same as blocks of Markdown."""
    blocks = []
    for one in printed_beside(task, records):
        for shown in one.tables:
            blocks += [f"### {shown.title}", table_text(shown)]
        blocks += ["\n".join(wrapped(f"* {text}").replace("\n", "\n  ") for text in one.said)]
    return [wrapped(LEGEND), *blocks] if blocks else []
