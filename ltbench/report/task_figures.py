"""Printed figures of one task, for its card: shown beside, never compared without a look at the traps."""

from __future__ import annotations

from ltbench.report.markdown import table_text
from ltbench.report.published import Published, published
from ltbench.report.published_pages import COMPARED_WITH, comparisons, notes, published_tables


def figures_of(task: str) -> list[Published]:
    """Every figure that papers printed on a task, named without its setting; GZSL tables belong to the ZSL task."""
    names = {task, task.replace("zsl-", "gzsl-", 1) if task.startswith("zsl-") else task}
    return [entry for entry in published() if entry.task in names]


def figures_in_words(task: str, metric: str) -> str:
    """One line a paper: tables, how many figures, and the highest printed one of a metric; empty without figures."""
    lines = []
    entries = figures_of(task)
    for paper in dict.fromkeys(entry.paper for entry in entries):
        own = [entry for entry in entries if entry.paper == paper]
        tables = ", ".join(dict.fromkeys(entry.table for entry in own))
        said = f"{paper} (table {tables}): {len(own)} figures"
        ranked = [entry for entry in own if entry.metric == metric and entry.subset in ("", "total")]
        if ranked:
            best = max(ranked, key=lambda entry: entry.number)
            setting = f"@{best.setting}" if best.setting else ""
            ours = COMPARED_WITH.get(paper, metric) if metric == "mAP" else metric
            said += f"; highest {ours}{setting} {best.shown} ({best.method}, {best.backbone or 'backbone not stated'})"
        lines.append(said)
    return "\n".join(lines)


def figures_section(task: str) -> str:
    """A Markdown section with every printed table; empty without figures."""
    entries = figures_of(task)
    if not entries:
        return ""
    blocks = [
        "## Printed figures",
        "As printed, under conditions that differ from paper to paper; never ranked.",
        *comparisons(entries),
        *notes(entries),
    ]
    for table in published_tables(entries):
        blocks += [f"### {table.title}", table_text(table)]
    return "\n\n".join(blocks)
