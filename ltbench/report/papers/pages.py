"""Pages of papers' tables with what was measured: one a paper, and an index of what each table needs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ltbench.plugin.files import write_atomic
from ltbench.records.read import RECORDS_FOLDER, all_records
from ltbench.records.record import RunRecord
from ltbench.report.cells import Cell, Table
from ltbench.report.markdown import table_text, wrapped
from ltbench.report.papers.book import PaperTable, book
from ltbench.report.papers.measured import ComparedTable, compare
from ltbench.report.papers.render import LEGEND, markdown
from ltbench.report.papers.runs import PlannedRun, planned
from ltbench.report.papers.shelf import Shelf
from ltbench.report.published import PAPERS

FOLDER = "reproduce"
COMMAND = "ltbench reproduce --pages"


def committed(boards: Path) -> list[RunRecord]:
    """Records on the leaderboards of the tasks that papers have figures of."""
    tasks = {run.address.partition("@")[0] for run in planned(book().values())}
    folders = [folder for task in sorted(tasks) for folder in sorted((boards / task).glob(f"v*/{RECORDS_FOLDER}"))]
    return [entry.record for entry in all_records(folders).records]


def pages(records: Iterable[RunRecord]) -> dict[str, str]:
    """File name → text of everything under ``leaderboards/reproduce``."""
    shelf = Shelf(records)
    made = {}
    index: list[ComparedTable] = []
    for paper, title in PAPERS.items():
        compared = [compare(table, shelf) for table in book().values() if table.paper == paper]
        index += compared
        blocks = [
            f"# {title}",
            wrapped(LEGEND),
            "Figures as printed alone: [published](../published/" + paper + ".md).",
        ]
        made[f"{paper}.md"] = "\n\n".join([*blocks, *(markdown(each) for each in compared)]) + "\n"
    made["README.md"] = _index(index)
    return made


def _index(compared: list[ComparedTable]) -> str:
    rows = [_entry(each) for each in compared]
    right = (False, False, False, True, True, True)
    columns = ("table", "tasks", "backbones", "rows", "runs a seed", "measured")
    blocks = [
        "# Tables of the papers, again",
        wrapped(
            "What the papers print, what was measured here with the presets made for their rows, and the difference. "
            "A table is filled by one command, `ltbench reproduce TABLE`, or on other machines by the plan that "
            "`--plan FILE` writes. Rows: those that a preset covers, of all."
        ),
        "\n".join(f"* [{title}]({paper}.md)" for paper, title in PAPERS.items()),
        table_text(Table("", columns, right, tuple(rows), keys=1)),
        f"Written by `{COMMAND}`.",
    ]
    return "\n\n".join(blocks) + "\n"


def _entry(compared: ComparedTable) -> tuple[Cell, ...]:
    table: PaperTable = compared.table
    runs = planned([table])
    can = sum(line.runnable for line in compared.lines)
    figures = sum(len(line.cells) for line in compared.lines)
    texts = (
        table.address,
        ", ".join(dict.fromkeys(run.address.partition("@")[0] for run in runs)),
        ", ".join(_backbones(runs)),
        f"{can} of {len(compared.lines)}",
        str(len(runs)),
        f"{compared.measured} of {figures}",
    )
    return tuple(Cell(text) for text in texts)


def _backbones(runs: list[PlannedRun]) -> list[str]:
    return list(dict.fromkeys(run.backbone for run in runs))


def write_pages(boards: Path) -> list[Path]:
    """Write the pages from the records on the leaderboards.

    Raises:
        UserError: the folder cannot be written.
    """
    written = []
    for name, text in pages(committed(boards)).items():
        write_atomic(boards / FOLDER / name, text)
        written.append(boards / FOLDER / name)
    return written


def stale_pages(boards: Path) -> list[Path]:
    """Pages that are missing or are not what the records and presets give."""
    stale = []
    for name, text in pages(committed(boards)).items():
        path = boards / FOLDER / name
        if not path.exists() or path.read_bytes() != text.encode("utf-8"):
            stale.append(path)
    return stale
