"""A recipe over all settings of a task: the label-budget curve as a table with its average.

Only a complete set of settings has an average; a recipe that lacks one is listed without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ltbench.metrics.judged import TOTAL
from ltbench.plugin.manager import registry
from ltbench.report.cells import Cell, Table, score_cell
from ltbench.report.rows import Row


def settings_of(task: str) -> tuple[str, ...]:
    """All settings of a registered task; empty for one without settings, or that nobody registers here."""
    catalogue = registry().tasks
    return catalogue.get(task).spec.settings if task in catalogue else ()


def curve_tables(task: str, rows: Sequence[Row]) -> list[Table]:
    """The curve of every ranked recipe, or nothing for a task without settings.

    Rows of one recipe belong together when they differ by setting and configuration only. Where a recipe has several
    rows at one setting, the best would be a choice made on the test part, so the recipe is left out.
    """
    settings = settings_of(task)
    if not settings or not rows:
        return []
    curves: dict[tuple[object, ...], dict[str, list[Row]]] = {}
    for row in rows:
        # What the rows of a setting share, without what differs between settings by nature.
        equals = replace(row.equals, setting=None, data="")
        curves.setdefault((row.name, equals), {}).setdefault(row.equals.setting or "", []).append(row)
    headline = rows[0].first.task.headline
    body = []
    for (name, _), by_setting in curves.items():
        if any(len(found) > 1 for found in by_setting.values()):
            continue
        scores = [by_setting[s][0].score(headline, TOTAL) if s in by_setting else None for s in settings]
        known = [score.mean for score in scores if score is not None and score.mean is not None]
        average = sum(known) / len(known) if len(known) == len(settings) else None
        first = next(iter(by_setting.values()))[0]
        backbone = " +".join([first.equals.backbone, *first.equals.extras])
        cells = [Cell("–") if score is None else score_cell(replace(score, half=None)) for score in scores]
        body.append(
            (Cell(str(name)), Cell(backbone), Cell("–" if average is None else f"{average:.2f}", average), *cells)
        )
    if not body:
        return []
    body.sort(key=lambda row: (-(row[2].value or 0.0), row[0].text))
    columns = ("method", "backbone", "average", *settings)
    numeric = (False, False, *(True for _ in columns[2:]))
    return [Table(f"{headline} over all settings, means over seeds", columns, numeric, tuple(body))]
