"""Pages of printed figures: one per paper, with a table for each of the paper's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from ltbench.plugin.files import write_atomic
from ltbench.report.cells import Cell, Table
from ltbench.report.markdown import table_text
from ltbench.report.published import DATA, PAPERS, PARAMETERS, Figure, Published, published
from ltbench.report.rows import SUBSETS, natural

FOLDER = "published"


def published_tables(entries: Iterable[Published]) -> list[Table]:
    """One table per task and printed table: a row for each method, a column for each setting, metric and subset."""
    grouped: dict[tuple[str, str, str], list[Published]] = {}
    for entry in entries:
        grouped.setdefault((entry.paper, entry.table, entry.task), []).append(entry)
    return [_table(f"{task}: {paper}, table {number}", found) for (paper, number, task), found in grouped.items()]


def _table(title: str, entries: Sequence[Published]) -> Table:
    figures = figure_order(entries)
    body: dict[tuple[str, str], dict[Figure, Published]] = {}
    for entry in entries:
        method = f"{entry.method}: {entry.variant}" if entry.variant else entry.method
        body.setdefault((method, entry.backbone or "not stated"), {})[entry.figure] = entry
    settings = {setting for setting, metric, _ in figures if metric != PARAMETERS}
    if len(settings) == 1 and settings != {""}:
        task, _, rest = title.partition(":")
        title = f"{task}@{settings.pop()}:{rest}"
    names = figure_names(figures)
    rows = tuple(
        (*(Cell(text) for text in row), *(_cell(found.get(figure)) for figure in figures))
        for row, found in body.items()
    )
    return Table(title, ("method", "backbone", *names), (False, False, *(True for _ in names)), rows)


def figure_order(entries: Sequence[Published]) -> list[Figure]:
    """The figures of a table's entries in the order of its columns: settings, metrics, subsets; parameters last."""
    return sorted({entry.figure for entry in entries}, key=lambda figure: _place(figure, entries))


def figure_names(figures: Sequence[Figure]) -> list[str]:
    """Headings of some figures' columns: setting, metric and subset, without what all of them share."""
    settings = {setting for setting, metric, _ in figures if metric != PARAMETERS}
    metrics = {metric for _, metric, _ in figures if metric != PARAMETERS}
    return [_name(figure, len(settings) > 1, len(metrics) > 1) for figure in figures]


def _place(figure: Figure, entries: Sequence[Published]) -> tuple[Any, ...]:
    setting, metric, subset = figure
    metrics = list(dict.fromkeys(entry.metric for entry in entries))
    order = SUBSETS.index(subset) if subset in SUBSETS else len(SUBSETS)
    return metric == PARAMETERS, natural(setting) if setting != "avg" else (("~", 0),), metrics.index(metric), order


def _name(figure: Figure, settings: bool, metrics: bool) -> str:
    setting, metric, subset = figure
    if metric == PARAMETERS:
        return "params (M)"
    if not settings and not metrics and subset == "total":
        return f"{metric} total"
    parts = [setting if settings else "", metric if metrics else "", subset if subset != "total" else ""]
    return " ".join(part for part in parts if part)


def _cell(entry: Published | None) -> Cell:
    return Cell("–") if entry is None else Cell(entry.shown, entry.number)


def notes(entries: Iterable[Published]) -> list[str]:
    """What the marks in some tables mean."""
    shown = list(entries)
    present = {entry.note for entry in shown} | ({"±"} if any(entry.std for entry in shown) else set())
    present |= {"average_mAP"} & {entry.metric for entry in shown}
    meanings = {
        "suspected misprint": "† contradicts other figures of the same paper; a misprint is likely.",
        "total does not fit its groups": "‡ the printed total is not the class-weighted mean of the printed groups.",
        "at least": "≥ printed as a lower bound.",
        "±": "± as printed, beside the figure it belongs to.",
        "average_mAP": "average_mAP: the printed mean of the mAP of the three groups (many, medium and few shots).",
    }
    return [text for note, text in meanings.items() if note in present]


#: Papers whose mAP is another metric of ours.
COMPARED_WITH: Mapping[str, str] = {"lmpt": "mAP_softmax"}
_COMPARED = {
    "lmpt": (
        "LMPT's tables rank by the softmax over classes: compare with `mAP_softmax`. Rows of its table 1 that\n"
        "do not run on CLIP are taken over from other papers, which rank by logits: compare these with `mAP`."
    ),
}


def comparisons(entries: Iterable[Published]) -> list[str]:
    """Which metric of ours some tables are to be compared with, where it is not the one of the printed name."""
    papers = dict.fromkeys(entry.paper for entry in entries if entry.metric == "mAP")
    return [_COMPARED[paper] for paper in papers if paper in COMPARED_WITH]


def pages() -> dict[str, str]:
    """File name → text of everything under ``leaderboards/published``."""
    index = ["# Figures printed in papers", ""]
    index += [
        "Restated from the papers' tables, in percent as printed. They were measured under conditions that differ from",
        "paper to paper (splits, metrics, selection), so they are never ranked with records of ltbench.",
        "",
    ]
    made = {}
    for paper, title in PAPERS.items():
        own = [entry for entry in published() if entry.paper == paper]
        index.append(f"* [{title}]({paper}.md): {len(own)} figures")
        made[f"{paper}.md"] = _page(title, own)
    index += ["", f"All of them in one file: [{DATA}]({DATA})."]
    made["README.md"] = "\n".join(index) + "\n"
    made[DATA] = resources.files("ltbench.report").joinpath(DATA).read_text(encoding="utf-8")
    return made


def _page(title: str, entries: Sequence[Published]) -> str:
    blocks = [f"# {title}", "Figures as printed, by the paper's own tables.", *comparisons(entries), *notes(entries)]
    for table in published_tables(entries):
        blocks += [f"## {table.title}", table_text(table)]
    return "\n\n".join(blocks) + "\n"


def write_published(leaderboards: Path) -> list[Path]:
    """Write the pages of printed figures.

    Raises:
        UserError: the folder cannot be written.
    """
    written = []
    for name, text in pages().items():
        write_atomic(leaderboards / FOLDER / name, text)
        written.append(leaderboards / FOLDER / name)
    return written


def check_published(leaderboards: Path) -> list[Path]:
    """Pages of printed figures that are missing or differ from the package's data."""
    stale = []
    for name, text in pages().items():
        path = leaderboards / FOLDER / name
        if not path.exists() or path.read_bytes() != text.encode("utf-8"):
            stale.append(path)
    return stale
