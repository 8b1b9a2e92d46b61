"""Figures of a leaderboard. The same board and the same matplotlib give the same bytes: no dates, fixed ids."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from ltbench.records.facts import Corrections
from ltbench.report.board import Section, labels_of
from ltbench.report.critical import AverageRanks
from ltbench.report.curves import Curve
from ltbench.report.rows import telling_subsets

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Kind = Literal["svg", "png"]
P = ParamSpec("P")
R = TypeVar("R")

#: Colours that people with any colour vision tell apart (Okabe and Ito), with a marker each for print.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f7f7f")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
#: Places of a diagram of average ranks that are all numbered.
NUMBERED = 15
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "ltbench",
    # Names may hold dollar signs, which are no formula.
    "text.parse_math": False,
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e0e0e0",
    "axes.axisbelow": True,
    "savefig.dpi": 120,
}


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Run with the house's settings of matplotlib, and leave the user's alone."""

    @functools.wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        import matplotlib

        with matplotlib.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return inside


@styled
def draw_groups(section: Section, metric: str) -> Figure:
    """Score of every row over all classes and in each group, with intervals over seeds."""
    rows = [ranked.row for ranked in section.ranked]
    labels, subsets = labels_of(rows), telling_subsets(rows, metric)
    figure, axes = _canvas(7.2, 1.2 + 0.42 * len(rows))
    step = 0.7 / max(1, len(subsets))
    for number, subset in enumerate(subsets):
        scores = [row.score(metric, subset) for row in rows]
        shown = [(index, score) for index, score in enumerate(scores) if score.mean is not None]
        if not shown:
            continue
        axes.errorbar(
            [score.mean or 0.0 for _, score in shown],
            [index + (number - (len(subsets) - 1) / 2) * step for index, _ in shown],
            xerr=[score.half or 0.0 for _, score in shown],
            linestyle="none",
            capsize=2,
            label=subset,
            **look_of(number),
        )
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(f"{metric} in percent")
    add_legend(axes)
    return figure


@styled
def draw_cost(section: Section, metric: str) -> Figure:
    """Score over all classes against trainable parameters."""
    rows = [ranked.row for ranked in section.ranked]
    figure, axes = _canvas(6.0, 4.0)
    for number, (row, label) in enumerate(zip(rows, labels_of(rows), strict=True)):
        score, parameters = row.score(metric, "total"), row.mean_cost("trainable_parameters")
        if score.mean is None or parameters is None:
            continue
        spread = [score.half or 0.0]
        look = {**look_of(number), "linestyle": "none", "label": label}
        axes.errorbar([parameters], [score.mean], yerr=spread, capsize=2, **look)
    # A method without parameters has its place at 0, which a plain logarithmic axis lacks.
    axes.set_xscale("symlog", linthresh=100)
    axes.set_xlim(left=-10)
    axes.set_xlabel("trainable parameters")
    axes.set_ylabel(f"{metric} total in percent")
    add_legend(axes)
    return figure


@styled
def draw_curves(curves: Sequence[Curve], settings: Sequence[str], metric: str) -> Figure:
    """Score of every recipe over the settings of a task, the interval over seeds shaded.

    Panels of eight recipes, in the order given, share their axes: more lines than colours cannot be told apart.
    """
    size = len(_COLOURS)
    groups = [curves[start : start + size] for start in range(0, len(curves), size)]
    figure, panels = _panels(6.5, 3.0, len(groups))
    for axes, group in zip(panels, groups, strict=True):
        for number, curve in enumerate(group):
            shown = [(i, s.mean, s.half or 0.0) for i, s in enumerate(curve.scores) if s and s.mean is not None]
            at, means = [i for i, _, _ in shown], [mean for _, mean, _ in shown]
            average = "" if curve.average.mean is None else f" ({curve.average.mean:.1f})"
            label = f"{curve.name}, {curve.backbone}{average}"
            axes.plot(at, means, label=label, markersize=4, **look_of(number))
            # A t interval of few seeds may reach beyond what a share can be; the axis should not.
            low = [max(mean - half, 0.0) for _, mean, half in shown]
            high = [min(mean + half, 100.0) for _, mean, half in shown]
            if low != high:
                axes.fill_between(at, low, high, color=_COLOURS[number], alpha=0.2, linewidth=0)
        axes.set_ylabel(f"{metric} in percent")
        add_legend(axes)
    panels[-1].set_xticks(range(len(settings)), settings)
    panels[-1].set_xlabel("setting")
    return figure


@styled
def draw_corrections(runs: Sequence[Corrections], title: str = "") -> Figure:
    """Labels that a method corrected in each epoch: right ones, wrong ones, and how many there were to find.

    Means over runs of one recipe with as many epochs each, the range between them shaded; the number of hidden labels
    is a dashed line.

    Raises:
        ValueError: no run, or runs with different numbers of epochs.
    """
    lengths = {len(run.right) for run in runs}
    if len(lengths) != 1:
        raise ValueError(f"expected runs of one number of epochs, got {sorted(lengths)}")
    figure, axes = _canvas(6.0, 3.6)
    epochs = range(1, lengths.pop() + 1)
    for number, (label, counts) in enumerate(
        (("right", [run.right for run in runs]), ("wrong", [run.wrong for run in runs]))
    ):
        columns = list(zip(*counts, strict=True))
        axes.plot(
            epochs, [sum(column) / len(column) for column in columns], label=label, markersize=3, **look_of(number)
        )
        if len(runs) > 1:
            low, high = [min(column) for column in columns], [max(column) for column in columns]
            axes.fill_between(epochs, low, high, color=_COLOURS[number], alpha=0.2, linewidth=0)
    axes.axhline(sum(run.hidden for run in runs) / len(runs), color="#7f7f7f", linestyle="--", label="hidden")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("epoch")
    axes.set_ylabel("corrected labels")
    axes.set_title(title)
    add_legend(axes)
    return figure


@styled
def draw_critical(panels: Sequence[AverageRanks]) -> Figure:
    """Critical-difference diagrams, one below the other: recipes on a line of average ranks, best on the left.

    A bar joins recipes that lie within Nemenyi's critical difference, whose length is drawn above the line.
    """
    from matplotlib.figure import Figure as NewFigure

    heights = [1.5 + 0.12 * len(found.together()) + 0.2 * ((len(found.names) + 1) // 2) for found in panels]
    figure = NewFigure(figsize=(7.2, sum(heights)))
    axes = figure.subplots(len(panels), gridspec_kw={"height_ratios": heights}, squeeze=False)[:, 0]
    for one, found in zip(axes, panels, strict=True):
        _critical(one, found)
    figure.tight_layout()
    return figure


def _critical(axes: Axes, found: AverageRanks) -> None:
    """One diagram; heights are in lines of text, downwards."""
    count, means, bars = len(found.names), found.average, found.together()
    low, high = 1.0, float(count)
    margin = 0.42 * (high - low)
    axes.axis("off")
    axes.grid(False)
    axes.set_xlim(low - margin, high + margin)
    axes.plot([low, high], [0, 0], color="black", linewidth=1)
    for place in range(1, count + 1):
        axes.plot([place, place], [0, -0.3], color="black", linewidth=1)
        # Numbers of many places would touch: the first, the last, and each fifth that has room before the last.
        if count <= NUMBERED or place in {1, count} or (place % 5 == 0 and count - place > 1):
            axes.text(place, -0.45, str(place), ha="center", va="bottom", fontsize=8)
    shown = min(found.difference, high - low)
    axes.plot([low, low + shown], [-2.0, -2.0], color="black", linewidth=1.5)
    longer = "" if shown == found.difference else ", longer than the line"
    axes.text(low, -2.25, f"critical difference {found.difference:.2f}{longer}", ha="left", va="bottom", fontsize=8)
    axes.set_title(f"{count} recipes on {', '.join(found.tasks)}", fontsize=9, loc="center")
    for number, (first, last) in enumerate(bars):
        at = 0.55 + 0.55 * number
        ends = [means[first] - 0.004 * (high - low), means[last] + 0.004 * (high - low)]
        axes.plot(ends, [at, at], color=_COLOURS[0], linewidth=3, solid_capstyle="butt")
    top = 1.2 + 0.55 * len(bars)
    half = (count + 1) // 2
    for place, (name, mean) in enumerate(zip(found.names, means, strict=True)):
        left = place < half
        at = top + (place if left else count - 1 - place)
        end = low - 0.03 * (high - low) if left else high + 0.03 * (high - low)
        axes.plot([mean, mean, end], [0, at, at], color="#404040", linewidth=0.8)
        text, side = f"{name}  {mean:.2f}", "right" if left else "left"
        axes.text(end - 0.01 * (high - low) if left else end + 0.01 * (high - low), at, text, ha=side, va="center")
    axes.set_ylim(top + half, -3.2)


@styled
def figure_bytes(figure: Figure, kind: Kind, about: str | None = None) -> bytes:
    """The file of a figure, without anything that changes from day to day.

    Args:
        about: a line kept in the file, not drawn.
    """
    buffer = io.BytesIO()
    named = {"Description": about} if about else {}
    metadata: dict[str, str | None] = {"Date": None, "Creator": "ltbench"} if kind == "svg" else {"Software": None}
    figure.savefig(buffer, format=kind, bbox_inches="tight", metadata={**metadata, **named})
    return buffer.getvalue()


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure that no window system and no global state knows of."""
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=(width, height))
    return figure, figure.subplots()


def _panels(width: float, height: float, count: int) -> tuple[Figure, list[Axes]]:
    """Axes one above the other that share both scales, as :func:`_canvas`."""
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=(width, height * count))
    return figure, list(figure.subplots(count, sharex=True, sharey=True, squeeze=False)[:, 0])


def add_legend(axes: Axes) -> None:
    """Beside the axes, where it hides nothing; none when nothing is drawn."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def look_of(number: int) -> dict[str, Any]:
    return {"color": _COLOURS[number % len(_COLOURS)], "marker": _MARKERS[number % len(_MARKERS)]}
