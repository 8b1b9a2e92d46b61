"""How papers' tables look on a terminal, and the list of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ltbench.cli.output import say

if TYPE_CHECKING:
    from pathlib import Path

    from ltbench.data.base import DataRoot
    from ltbench.report.papers.book import PaperTable
    from ltbench.report.papers.needs import TableNeeds
    from ltbench.report.papers.shelf import Shelf


def show_tables(chosen: list[PaperTable], shelf: Shelf, form: str) -> None:
    """Lay records beside printed tables and print them: ``table``, ``md`` or ``json``."""
    from ltbench.cli.output import Column, fold, print_json, print_table
    from ltbench.report.papers.measured import compare
    from ltbench.report.papers.render import LEGEND, document, long_tables, markdown, sentences

    compared = [compare(table, shelf) for table in chosen]
    if form == "json":
        print_json([document(each) for each in compared])
        return
    if form == "md":
        say("\n\n".join([LEGEND, *(markdown(each) for each in compared)]))
        return
    for each in compared:
        for table in long_tables(each):
            columns = [Column(name, right=right) for name, right in zip(table.columns, table.numeric, strict=True)]
            print_table(columns, [[cell.text for cell in row] for row in table.rows], table.title)
            say()
        for sentence in sentences(each):
            say(fold(sentence, "  "))


def draw_tables(chosen: list[PaperTable], shelf: Shelf, folder: Path) -> None:
    """Draw what can be drawn over an axis, one file a table, and say where nothing can be."""
    from ltbench.cli.output import note
    from ltbench.report.papers.drawing import save_plot
    from ltbench.report.papers.measured import compare

    for table in chosen:
        path = save_plot(compare(table, shelf), folder)
        if path is not None:
            note(f"wrote {path}")
        else:
            why = "nothing of it is printed or measured" if table.axis else "it has no axis"
            note(f"note: {table.address} has no plot: {why}")


def list_tables(chosen: list[PaperTable], root: DataRoot, shelf: Shelf, form: str) -> None:
    """What there is, what it needs and what it costs."""
    from ltbench.cli.output import Column, note, print_json, print_table
    from ltbench.report.papers.needs import needs_of_table

    needs = [needs_of_table(table, root, shelf) for table in chosen]
    if form == "json":
        print_json([_entry(each) for each in needs])
        return
    print_table(
        [Column("table", whole=True), "rows", Column("runs", right=True), "tasks", "backbones", "cost"],
        [
            [
                each.table.address,
                f"{each.rows[0]} of {each.rows[1]}",
                str(len(each.runs)),
                _with_state(each.tasks),
                _with_state(each.backbones),
                _cost(each),
            ]
            for each in needs
        ],
    )
    note("* is not on this machine: data of a task, weights of a backbone. Runs and cost are for one seed.")
    note("rows of a table, and its runs: ltbench reproduce TABLE --dry-run; run it: ltbench reproduce TABLE")


def _with_state(names: dict[str, bool]) -> str:
    return ", ".join(name if here else f"{name}*" for name, here in names.items())


def _cost(needs: TableNeeds) -> str:
    from ltbench.cli.output import seconds

    if needs.seconds is not None:
        return seconds(needs.seconds)
    return f"unknown ({needs.known} of {len(needs.runs)} runs are)" if needs.known else "unknown"


def _entry(needs: TableNeeds) -> dict[str, Any]:
    table = needs.table
    return {
        "table": table.address,
        "title": table.title,
        "axis": table.axis or None,
        "rows": [f"{table.address}/{line.name}" for line in table.lines],
        "runnable_rows": needs.rows[0],
        "runs": len(needs.runs),
        "tasks": needs.tasks,
        "backbones": needs.backbones,
        "seconds": needs.seconds,
        "runs_of_known_cost": needs.known,
    }
