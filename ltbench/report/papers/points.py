"""Points of a curve that a table of the same paper prints: papers draw their curves, and print some of the runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

from ltbench.method.facts import facts_of
from ltbench.plugin.manager import registry
from ltbench.report.papers.book import Line, PaperTable, book
from ltbench.report.papers.runs import PlannedRun, runs_of
from ltbench.report.published import Published


def with_points(table: PaperTable) -> PaperTable:
    """A curve with the figures that tables print for runs of the very same settings; a table as it is."""
    if not table.axis:
        return table
    return table.model_copy(update={"lines": tuple(_line(table.paper, line) for line in table.lines)})


def _line(paper: str, line: Line) -> Line:
    runs = runs_of(line)
    figures, where = [], dict[str, None]()
    for figure in line.printed:
        address = f"{figure.task}@{figure.setting}" if figure.setting else figure.task
        run = runs.get(address.removeprefix("g") if address.startswith("gzsl-") else address)
        key = (_facts(run), *_judged(figure)) if isinstance(run, PlannedRun) else None
        printed = _printed(paper).get(repr(key))
        if printed is not None:
            where[f"table {printed.table}"] = None
        figures.append(figure if printed is None else replace(figure, value=printed.value, note=printed.note))
    if not where:
        return line
    said = f"the figure is drawn; what stands here is printed in {', '.join(where)}, for a run of the same settings"
    return line.model_copy(update={"printed": tuple(figures), "differs": {**line.differs, "published": said}})


@lru_cache(maxsize=8)
def _printed(paper: str) -> dict[str, Published]:
    """Printed figures of a paper by the run that they are of; of tables that disagree, the first."""
    found: dict[str, Published] = {}
    for key, figure in _pairs(paper):
        found.setdefault(repr(key), figure)
    return found


def _pairs(paper: str) -> Iterator[tuple[Any, Published]]:
    for table in book().values():
        if table.paper != paper or table.axis:
            continue
        for line in table.lines:
            runs = runs_of(line)
            for figure in line.printed:
                task = f"zsl-{figure.task.removeprefix('gzsl-')}" if figure.task.startswith("gzsl-") else figure.task
                run = runs.get(f"{task}@{figure.setting}" if figure.setting else task)
                if isinstance(run, PlannedRun):
                    yield (_facts(run), *_judged(figure)), figure


def _judged(figure: Published) -> tuple[str, ...]:
    return figure.task, figure.setting, figure.metric, figure.subset


def _facts(run: PlannedRun) -> tuple[Any, ...]:
    settings = tuple(
        sorted((name, repr(_plain(value))) for name, value in {**_defaults(run.method), **run.settings}.items())
    )
    return run.address, run.method, run.variant, run.backbone, run.share, tuple(run.chosen.items()), settings


def _plain(value: Any) -> Any:
    """1 and 1.0 are one setting."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@lru_cache(maxsize=64)
def _defaults(method: str) -> dict[str, Any]:
    """Options without preset: a run may name what another leaves at that."""
    return {option.name: option.value for option in facts_of(registry().methods.get(method).spec).options}
