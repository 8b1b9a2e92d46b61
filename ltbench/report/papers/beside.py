"""A task's own records beside what papers printed on it: the blocks that its page shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ltbench.records.record import RunRecord
from ltbench.report.markdown import table_text, wrapped
from ltbench.report.papers.book import book, our_task
from ltbench.report.papers.measured import compare
from ltbench.report.papers.render import MARK, long_tables, sentences
from ltbench.report.papers.shelf import Shelf


def beside(task: str, records: Iterable[RunRecord]) -> list[str]:
    """Published, measured and difference of every printed figure of a task that some of the records measure.

    Args:
        task: name without setting.
        records: of the task.

    Returns:
        Blocks of Markdown; none where no paper has a figure of the task, or none was measured.
    """
    tables = [table for table in book().values() if task in {our_task(name) for name in table.tasks} and not table.axis]
    if not tables:
        return []
    shelf = Shelf(records)
    blocks = []
    for table in tables:
        compared = compare(table.only(tasks=[task]), shelf)
        lines = [
            replace(line, cells=tuple(cell for cell in line.cells if cell.mean is not None)) for line in compared.lines
        ]
        filled = replace(compared, lines=tuple(line for line in lines if line.cells))
        if not filled.lines:
            continue
        for shown in long_tables(filled):
            blocks += [f"### {shown.title}", table_text(shown)]
        blocks += ["\n".join(wrapped(f"* {text}").replace("\n", "\n  ") for text in sentences(filled))]
    legend = (
        f"Measured: mean over seeds ± half the width of its 95 % t interval. {MARK} marks a difference that lies "
        "outside of the interval; without two seeds there is none."
    )
    return [wrapped(legend), *blocks] if blocks else []
