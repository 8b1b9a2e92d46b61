"""A recipe over all settings of a task: the label-budget curve as a table with its average.

Only a complete set of settings has an average. A recipe that lacks some is held against a complete one on the settings
that both have, and stands where that puts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ltbench.metrics.judged import TOTAL
from ltbench.plugin.manager import registry
from ltbench.report.cells import Cell, Table, score_cell
from ltbench.report.rows import Row, Score

#: Heading of the column that compares recipes on what they share.
AHEAD = "to the fullest"


def settings_of(task: str) -> tuple[str, ...]:
    """All settings of a registered task; empty for one without settings, or that nobody registers here."""
    catalogue = registry().tasks
    return catalogue.get(task).spec.settings if task in catalogue else ()


@dataclass(frozen=True)
class Curve:
    """A recipe over the settings of a task.

    Attributes:
        name: recipe, with its variant unless that is the printed one.
        backbone: with what was used beyond images and observed labels.
        scores: one a setting, in the task's order; None where there is no row.
        average: over all settings; undefined unless there is a row at each, without an interval unless all have the
            same seeds.
        ahead: mean over the settings that it shares with the best complete curve of its backbone, minus that curve's
            mean over the same; None where they share none.
        shared: how many these are.
    """

    name: str
    backbone: str
    scores: tuple[Score | None, ...]
    average: Score
    ahead: float | None = None
    shared: int = 0


def curves_of(settings: Sequence[str], rows: Sequence[Row]) -> list[Curve]:
    """The curve of every recipe; those of one backbone follow each other, best first on what they share.

    Rows of one recipe belong together when they differ by setting and configuration only. Where a recipe has several
    rows at one setting, the best would be a choice made on the test part, so the recipe is left out.
    """
    found: dict[tuple[object, ...], dict[str, list[Row]]] = {}
    for row in rows:
        # What the rows of a setting share, without what differs between settings by nature.
        equals = replace(row.equals, setting=None, data="")
        found.setdefault((row.name, equals), {}).setdefault(row.equals.setting or "", []).append(row)
    curves = []
    for by_setting in found.values():
        if any(len(several) > 1 for several in by_setting.values()):
            continue
        first = next(iter(by_setting.values()))[0]
        headline = first.first.task.headline
        places = [by_setting[setting][0] if setting in by_setting else None for setting in settings]
        curves.append(
            Curve(
                name=first.name,
                backbone=" +".join(first.equals.made_with),
                scores=tuple(None if row is None else row.score(headline, TOTAL) for row in places),
                average=_average(places, headline),
            )
        )
    by_backbone: dict[str, list[Curve]] = {}
    for curve in curves:
        by_backbone.setdefault(curve.backbone, []).append(curve)
    ordered = sorted(by_backbone.values(), key=lambda several: (-len(several), several[0].backbone))
    return [curve for several in ordered for curve in _held_against_best(several)]


def _held_against_best(curves: Sequence[Curve]) -> list[Curve]:
    """Curves of one backbone in order; without a complete one that of most settings, then of the best mean, leads."""

    def fullness(curve: Curve) -> tuple[int, float, str]:
        known = _means(curve)
        return -len(known), -sum(known.values()) / max(1, len(known)), curve.name

    best = _means(min(curves, key=fullness))
    held = []
    for curve in curves:
        own = _means(curve)
        places = [place for place in own if place in best]
        ahead = sum(own[place] - best[place] for place in places) / len(places) if places else None
        held.append(replace(curve, ahead=ahead, shared=len(places)))
    return sorted(held, key=lambda curve: (curve.ahead is None, -(curve.ahead or 0.0), curve.name))


def _means(curve: Curve) -> dict[int, float]:
    return {place: s.mean for place, s in enumerate(curve.scores) if s is not None and s.mean is not None}


def _average(places: Sequence[Row | None], headline: str) -> Score:
    rows = [row for row in places if row is not None]
    if len(rows) < len(places):
        return Score(None)
    if len({row.seeds for row in rows}) > 1:
        known = [row.headline for row in rows if row.headline is not None]
        return Score(sum(known) / len(known) if len(known) == len(rows) else None)
    # Seed by seed, because the settings of one seed share what is drawn from it.
    columns = zip(*([record.scores[headline][TOTAL] for record in row.records] for row in rows), strict=True)
    means = [None if None in column else sum(v for v in column if v is not None) / len(column) for column in columns]
    return rows[0].over_seeds(means)


def curve_tables(task: str, rows: Sequence[Row]) -> list[Table]:
    """The curve of every ranked recipe, or nothing for a task without settings."""
    settings = settings_of(task)
    curves = curves_of(settings, rows) if settings else []
    if not curves:
        return []
    body = [
        (
            Cell(curve.name),
            Cell(curve.backbone),
            score_cell(curve.average),
            _ahead(curve, len(settings)),
            *(Cell("–") if score is None else score_cell(replace(score, half=None)) for score in curve.scores),
        )
        for curve in curves
    ]
    columns = ("method", "backbone", "average", AHEAD, *settings)
    numeric = (False, False, *(True for _ in columns[2:]))
    headline = rows[0].first.task.headline
    return [Table(f"{headline} over all settings, means over seeds", columns, numeric, tuple(body))]


def _ahead(curve: Curve, settings: int) -> Cell:
    if curve.ahead is None:
        return Cell("–")
    where = "" if curve.shared == settings else f" on {curve.shared}"
    return Cell(f"{curve.ahead:+.2f}{where}", curve.ahead)
