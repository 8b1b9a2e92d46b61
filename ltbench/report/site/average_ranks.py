"""Average ranks over tasks before they are drawn: Demšar's diagram, as the Markdown page of all recipes has it."""

from __future__ import annotations

from dataclasses import dataclass

from ltbench.report.critical import AverageRanks
from ltbench.report.site.pictures import Tick

#: Where the line of ranks begins and ends, and how far below it the bars and the names stand.
_LEFT, _RIGHT, _AXIS, _BAR, _LINE = 220.0, 560.0, 54.0, 9.0, 18.0
WIDTH = 780


@dataclass(frozen=True)
class Named:
    """A recipe: from its average on the line down to its name.

    Attributes:
        at: its average on the line.
        y: of the name.
        end: where the name begins or ends.
        left: the name stands on the left side.
    """

    at: float
    y: float
    end: float
    left: bool
    name: str
    average: str


@dataclass(frozen=True)
class RankPicture:
    """Recipes on a line of average ranks, best on the left.

    Attributes:
        critical: ends of the line that shows how far two must lie apart to differ; cut where it is longer than all.
        bars: start, end and height of bars over recipes that do not differ.
        said: number of recipes and tasks, the test and its result.
    """

    title: str
    ticks: tuple[Tick, ...]
    critical: tuple[float, float]
    difference: str
    bars: tuple[tuple[float, float, float], ...]
    named: tuple[Named, ...]
    said: str
    height: float
    axis: float = _AXIS
    width: int = WIDTH


def rank_picture(found: AverageRanks) -> RankPicture:
    """Lay out a diagram."""
    count, means = len(found.names), found.average

    def place(rank: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * (rank - 1) / (count - 1), 1)

    bars = tuple(
        (place(means[first]) - 2, place(means[last]) + 2, _AXIS + _BAR * (number + 1))
        for number, (first, last) in enumerate(found.together())
    )
    top = _AXIS + _BAR * len(bars) + 20
    half = (count + 1) // 2
    named = []
    for number, (name, mean) in enumerate(zip(found.names, means, strict=True)):
        left = number < half
        y = top + _LINE * (number if left else count - 1 - number)
        named.append(Named(place(mean), y, _LEFT - 12 if left else _RIGHT + 12, left, name, f"{mean:.2f}"))
    longer = found.difference > count - 1
    step = max(1, round(count / 12))
    p = "below 0.0001" if found.p < 0.0001 else f"= {found.p:.4f}"
    return RankPicture(
        title=f"{count} recipes on {', '.join(found.tasks)}",
        ticks=tuple(Tick(place(rank), str(rank)) for rank in range(1, count + 1, step)),
        critical=(_LEFT, _RIGHT if longer else place(1 + found.difference)),
        difference=f"critical difference {found.difference:.2f}{', longer than the line' if longer else ''}",
        bars=bars,
        named=tuple(named),
        said=(
            f"{count} recipes on {len(found.tasks)} tasks: Friedman's p {p}, critical difference "
            f"{found.difference:.2f} ranks."
        ),
        height=top + _LINE * half,
    )
