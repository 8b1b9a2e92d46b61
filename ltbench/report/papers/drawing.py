"""Curves of a paper as pictures: an option, or the settings of a task, along the axis."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ltbench.plugin.files import write_atomic
from ltbench.report.panels import Panel, Trace, draw_panels
from ltbench.report.papers.measured import Compared, ComparedLine, ComparedTable
from ltbench.report.papers.runs import settings_of
from ltbench.report.plots import figure_bytes
from ltbench.report.published import PARAMETERS

TRACES = 8
"""Lines of a panel: more than there are colours cannot be told apart."""


def panels_of(compared: ComparedTable) -> list[Panel]:
    """A curve has a panel for each task setting, with its option along the axis.

    A table whose figures go over settings of a task, such as shares of known labels, has a panel of eight rows each for
    each task and metric, with the settings along the axis. Other tables, and panels that nothing is printed or measured
    for, have none.
    """
    found = _over_option(compared) if compared.table.axis else _over_settings(compared)
    return [panel for panel in found if any(trace.published or trace.measured for trace in panel.traces)]


def save_plot(compared: ComparedTable, folder: Path) -> Path | None:
    """Draw a curve into ``<paper>-<figure>.svg``; None where there is nothing to draw.

    Raises:
        UserError: the folder cannot be written.
    """
    panels = panels_of(compared)
    if not panels:
        return None
    path = folder / f"{compared.table.address.replace(':', '-')}.svg"
    write_atomic(path, figure_bytes(draw_panels(panels), "svg"))
    return path


def _over_option(compared: ComparedTable) -> Iterable[Panel]:
    ticks = tuple(dict.fromkeys(line.line.tick for line in compared.lines))
    by_trace: dict[str, list[ComparedLine]] = {}
    for line in compared.lines:
        by_trace.setdefault(line.line.trace, []).append(line)
    for column, cell in enumerate(compared.lines[0].cells):
        figure = cell.figure
        address = f"{figure.task}@{figure.setting}" if figure.setting else figure.task
        title = f"{compared.table.paper}, {compared.table.title}: {address}"
        traces = tuple(
            _trace(name, [(ticks.index(line.line.tick), line.cells[column]) for line in lines])
            for name, lines in by_trace.items()
        )
        yield Panel(title, compared.table.axis, ticks, figure.metric, traces)


def _over_settings(compared: ComparedTable) -> Iterable[Panel]:
    for task in compared.table.tasks:
        settings = settings_of(task) if not task.startswith("gzsl-") and not task.endswith("-avg") else ("",)
        for metric in dict.fromkeys(c.figure.metric for line in compared.lines for c in line.cells):
            traces = []
            for line in compared.lines:
                places = [
                    (settings.index(cell.figure.setting), cell)
                    for cell in line.cells
                    if (cell.figure.task, cell.figure.metric, cell.figure.subset) == (task, metric, "total")
                    and cell.figure.setting in settings
                ]
                if len(places) > 1:
                    traces.append(_trace(line.line.name, places))
            title = f"{compared.table.paper}, {compared.table.title}: {task}"
            if metric == PARAMETERS:
                continue
            for start in range(0, len(traces), TRACES):
                yield Panel(title, "setting", settings, metric, tuple(traces[start : start + TRACES]))


def _trace(label: str, places: Sequence[tuple[int, Compared]]) -> Trace:
    places = sorted(places, key=lambda place: place[0])
    return Trace(
        label,
        tuple((at, cell.figure.number) for at, cell in places if cell.figure.value),
        tuple((at, cell.mean, cell.half or 0.0) for at, cell in places if cell.mean is not None),
    )
