"""Recipes over the settings of a task before they are drawn, a picture for each backbone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ltbench.report.curves import Curve
from ltbench.report.site.pictures import MOST, Tick, linear


@dataclass(frozen=True)
class Line:
    """A recipe over the settings; ``runs`` are its unbroken pieces, as points of a polyline."""

    label: str
    average: str
    runs: tuple[str, ...]
    dots: tuple[tuple[float, float, str], ...]
    left: int
    top: int


@dataclass(frozen=True)
class CurvePicture:
    """Recipes of a backbone over the settings of a task, each in a panel of its own before all others in grey.

    Attributes:
        left_out: recipes beyond :data:`MOST`.
    """

    backbone: str
    lines: tuple[Line, ...]
    settings: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    metric: str
    left_out: int
    width: int
    height: int


_CURVE_WIDTH, _CURVE_HEIGHT, _ACROSS = 200, 132, 4


def curve_pictures(curves: Sequence[Curve], settings: Sequence[str], metric: str) -> list[CurvePicture]:
    """The curves that have two places at least, a picture for each backbone; none without such a curve."""
    shown: dict[str, list[Curve]] = {}
    for curve in curves:
        if sum(score is not None for score in curve.scores) > 1:
            shown.setdefault(curve.backbone.partition(" +")[0], []).append(curve)
    if len(settings) < 2:
        return []
    return [_curve_picture(backbone, members, settings, metric) for backbone, members in shown.items()]


def _curve_picture(backbone: str, curves: Sequence[Curve], settings: Sequence[str], metric: str) -> CurvePicture:
    shown = curves[:MOST]
    values = [score.mean for curve in shown for score in curve.scores if score and score.mean is not None]
    y, y_ticks = linear(values, 100, 26)
    step = (_CURVE_WIDTH - 56) / (len(settings) - 1)
    at = [round(34 + step * number, 1) for number in range(len(settings))]
    lines = tuple(_line(number, curve, settings, at, y) for number, curve in enumerate(shown))
    across = min(_ACROSS, len(lines))
    return CurvePicture(
        backbone=backbone,
        lines=lines,
        settings=(Tick(at[0], settings[0]), Tick(at[-1], settings[-1])),
        y_ticks=y_ticks,
        metric=metric,
        left_out=len(curves) - len(shown),
        width=across * _CURVE_WIDTH,
        height=-(-len(lines) // _ACROSS) * _CURVE_HEIGHT,
    )


def _line(number: int, curve: Curve, settings: Sequence[str], at: Sequence[float], y: Callable[[float], float]) -> Line:
    runs: list[list[str]] = [[]]
    dots = []
    for place, score, setting in zip(at, curve.scores, settings, strict=True):
        if score is None or score.mean is None:
            runs.append([])
            continue
        runs[-1].append(f"{place},{y(score.mean)}")
        dots.append((place, y(score.mean), f"{curve.name}, {curve.backbone}, {setting}: {score.mean:.2f}"))
    return Line(
        label=curve.name if curve.backbone.count(" +") == 0 else f"{curve.name} +{curve.backbone.split(' +', 1)[1]}",
        average="" if curve.average.mean is None else f"{curve.average.mean:.1f}",
        runs=tuple(" ".join(run) for run in runs if len(run) > 1),
        dots=tuple(dots),
        left=(number % _ACROSS) * _CURVE_WIDTH,
        top=(number // _ACROSS) * _CURVE_HEIGHT,
    )
