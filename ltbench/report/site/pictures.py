"""Pictures of a task's page before they are drawn: where each mark stands. Colours are the style sheet's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ltbench.report.board import Section, human, labels_of
from ltbench.report.rows import Row, Score, telling_subsets

#: Rows of a section that its pictures show, the best first; the table has all.
MOST = 40
_LINE, _LEFT, _PANEL, _GAP = 18, 190, 150, 16


@dataclass(frozen=True)
class Tick:
    """A place on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Spread:
    """A row in a panel: its seeds, their mean, and the interval of it.

    Attributes:
        low, high: ends of the interval; both at the mean where there is none.
        about: what a pointer that rests on it is told.
    """

    seeds: tuple[float, ...]
    mean: float
    low: float
    high: float
    about: str


@dataclass(frozen=True)
class Panel:
    """All rows on one group of classes; ``None`` for a row without a figure."""

    title: str
    left: float
    ticks: tuple[Tick, ...]
    spreads: tuple[Spread | None, ...]


@dataclass(frozen=True)
class GroupPicture:
    """Seeds as dots, row by row, a panel for each group of classes."""

    labels: tuple[str, ...]
    panels: tuple[Panel, ...]
    metric: str
    left_out: int
    line: int = _LINE

    @property
    def width(self) -> int:
        """Of the picture."""
        return _LEFT + len(self.panels) * (_PANEL + _GAP)

    @property
    def height(self) -> int:
        """Of the picture."""
        return 26 + _LINE * len(self.labels) + 22


def group_picture(section: Section, metric: str) -> GroupPicture:
    """Seeds of every row over all classes and in each group."""
    every = [ranked.row for ranked in section.ranked]
    rows, labels = every[:MOST], labels_of(every)[:MOST]
    subsets = [name for name in telling_subsets(every, metric) if not name.endswith("_fixed")]
    panels = tuple(
        _panel(rows, labels, metric, subset, _LEFT + number * (_PANEL + _GAP)) for number, subset in enumerate(subsets)
    )
    return GroupPicture(tuple(labels), panels, metric, len(every) - len(rows))


def _panel(rows: Sequence[Row], labels: Sequence[str], metric: str, subset: str, left: float) -> Panel:
    found = []
    for row, label in zip(rows, labels, strict=True):
        score = row.score(metric, subset)
        seeds = [record.scores.get(metric, {}).get(subset) for record in row.records]
        known = [value for value in seeds if value is not None]
        found.append(None if score.mean is None else (known, score.mean, *_ends(score), f"{label}, {subset}"))
    values = [value for one in found if one is not None for value in (*one[0], one[2], one[3])]
    place, ticks = linear(values, left, left + _PANEL)
    spreads = tuple(
        None
        if one is None
        else Spread(tuple(map(place, one[0])), place(one[1]), place(one[2]), place(one[3]), f"{one[4]}: {one[1]:.2f}")
        for one in found
    )
    return Panel(subset, left, ticks, spreads)


def _ends(score: Score) -> tuple[float, float]:
    """The interval over seeds, within what a share can be; that over images of a row with one seed."""
    assert score.mean is not None
    if score.half is None and score.image is not None:
        return score.image
    return max(0.0, score.mean - (score.half or 0.0)), min(100.0, score.mean + (score.half or 0.0))


def linear(values: Sequence[float], start: float, end: float) -> tuple[Callable[[float], float], tuple[Tick, ...]]:
    """An axis with round ticks, over the values.

    Args:
        start, end: where its ends are drawn.
    """
    from matplotlib.ticker import MaxNLocator

    low, high = (min(values), max(values)) if values else (0.0, 100.0)
    if high - low < 1:
        low, high = low - 0.5, high + 0.5
    ticks = [float(tick) for tick in MaxNLocator(nbins=3).tick_values(low, high)]
    low, high = min(low, ticks[0]), max(high, ticks[-1])

    def place(value: float) -> float:
        return round(start + (end - start) * (value - low) / (high - low), 1)

    return place, tuple(Tick(place(tick), f"{tick:g}") for tick in ticks)


@dataclass(frozen=True)
class Point:
    """A row in the plane of cost and score; ``number`` counts the rows of the front, None for the others."""

    x: float
    y: float
    about: str
    number: int | None


@dataclass(frozen=True)
class CostPicture:
    """Score against one cost, with the rows that no other row beats in both.

    Attributes:
        front: corners of the front's line.
        told: what is said of each row of the front, cheapest first.
    """

    title: str
    metric: str
    points: tuple[Point, ...]
    front: tuple[tuple[float, float], ...]
    told: tuple[str, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: int = 420
    height: int = 280


@dataclass(frozen=True)
class _Cost:
    """A field of ``cost``, and the unit from which its axis is logarithmic; below, it is nearly linear, so that 0 has a
    place.
    """

    field: str
    title: str
    unit: float
    text: Callable[[float], str]


_COSTS = (
    _Cost("trainable_parameters", "trainable parameters", 100.0, human),
    _Cost("train_seconds", "seconds of training", 1.0, lambda value: f"{value:.1f} s"),
)


def cost_pictures(section: Section, metric: str) -> list[CostPicture]:
    """Score over all classes against parameters and seconds; none for fewer than two rows with both figures."""
    rows = [ranked.row for ranked in section.ranked]
    found = [_cost_picture(rows, labels_of(rows), metric, cost) for cost in _COSTS]
    return [one for one in found if one is not None]


def _cost_picture(rows: Sequence[Row], labels: Sequence[str], metric: str, cost: _Cost) -> CostPicture | None:
    found = []
    for row, label in zip(rows, labels, strict=True):
        mean, price = row.score(metric, "total").mean, row.mean_cost(cost.field)
        if mean is not None and price is not None:
            found.append((price, mean, label))
    if len(found) < 2:
        return None
    front = pareto([(price, mean) for price, mean, _ in found])
    x, x_ticks = _logarithmic([price for price, _, _ in found], cost.unit, 44, 404)
    y, y_ticks = linear([mean for _, mean, _ in found], 240, 14)
    told = [f"{found[at][2]}: {found[at][1]:.2f}, {cost.text(found[at][0])}" for at in front]
    points = tuple(
        Point(
            x(price),
            y(mean),
            f"{label}: {mean:.2f}, {cost.text(price)}",
            front.index(at) + 1 if at in front else None,
        )
        for at, (price, mean, label) in enumerate(found)
    )
    # A step: at each cost, the best score that no more than it buys.
    corners: list[tuple[float, float]] = []
    for at in front:
        if corners:
            corners.append((points[at].x, corners[-1][1]))
        corners.append((points[at].x, points[at].y))
    corners.append((404, corners[-1][1]))
    return CostPicture(cost.title, metric, points, tuple(corners), tuple(told), x_ticks, y_ticks)


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Places of the (cost, score) points that no other point beats or equals at no more cost, cheapest first."""
    chosen: list[int] = []
    for at in sorted(range(len(points)), key=lambda place: (points[place][0], -points[place][1], place)):
        if not chosen or points[at][1] > points[chosen[-1]][1]:
            chosen.append(at)
    return chosen


def _logarithmic(
    values: Sequence[float], unit: float, start: float, end: float
) -> tuple[Callable[[float], float], tuple[Tick, ...]]:
    scale = [math.log10(1 + value / unit) for value in values]
    low, high = min(scale), max(scale)
    low, high = low - 0.04 * (high - low or 1), high + 0.04 * (high - low or 1)

    def place(value: float) -> float:
        return round(start + (end - start) * (math.log10(1 + value / unit) - low) / (high - low), 1)

    decades = [0.0, *(unit * 10.0**power for power in range(13))]
    finer = [digit * decade for decade in decades for digit in (1, 2, 5)]
    chosen: list[float] = []
    # Without two places that are marked a scale cannot be read; the ends of the values can always be marked.
    for ticks in (decades, finer, [min(values), max(values)]):
        chosen = sorted({tick for tick in ticks if low <= math.log10(1 + tick / unit) <= high})
        if len(chosen) > 1:
            break
    return place, tuple(Tick(place(tick), _short(tick)) for tick in chosen)


def _short(value: float) -> str:
    return human(value).replace(".0", "") if value >= 1000 else f"{value:.3g}"
