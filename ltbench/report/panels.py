"""Published and measured scores over an axis that is an option, or the settings of a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ltbench.report.plots import add_legend, look_of, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Trace:
    """A line of a panel: what was printed and what was measured along an axis, at the places that have it.

    Attributes:
        published: (place on the axis, value).
        measured: (place, mean, half width of the interval over seeds or 0).
    """

    label: str
    published: tuple[tuple[int, float], ...]
    measured: tuple[tuple[int, float, float], ...]


@dataclass(frozen=True)
class Panel:
    """Lines over one axis.

    Attributes:
        ticks: what stands at the places of the axis.
        axis, score: what the two axes show.
    """

    title: str
    axis: str
    ticks: tuple[str, ...]
    score: str
    traces: tuple[Trace, ...]


@styled
def draw_panels(panels: Sequence[Panel]) -> Figure:
    """Published (dashed, hollow) and measured scores over an axis, the interval over seeds as bars; panels one below
    the other, each with scales of its own.
    """
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=(6.5, 3.0 * len(panels)))
    for axes, panel in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
        for number, trace in enumerate(panel.traces):
            look, name = look_of(number), f"{trace.label}, " if trace.label else ""
            if trace.published:
                at, values = zip(*trace.published, strict=True)
                axes.plot(at, values, label=f"{name}published", linestyle="--", fillstyle="none", **look)
            if trace.measured:
                at, means, halves = zip(*trace.measured, strict=True)
                axes.errorbar(at, means, yerr=halves, label=f"{name}measured", capsize=2, markersize=4, **look)
        axes.set_xticks(range(len(panel.ticks)), panel.ticks)
        axes.set_xlim(-0.3, len(panel.ticks) - 0.7)
        axes.set_xlabel(panel.axis)
        axes.set_ylabel(f"{panel.score} in percent")
        axes.set_title(panel.title, fontsize=9)
        add_legend(axes)
    figure.tight_layout()
    return figure
