"""What recipes that rewrite training labels recovered, beside their recall on the test part."""

from __future__ import annotations

from collections.abc import Sequence

from ltbench.metrics.judged import TOTAL
from ltbench.records.facts import Corrections
from ltbench.report.cells import Cell, Table, score_cell
from ltbench.report.rows import Row, Score

TITLE = "Training labels that were corrected, and recall at 0.5 on the test part"
NOTE = (
    "Recovered: share of the labels present in training images but hidden from the method that its corrections found, "
    "in the last epoch or in any; right: share of the last epoch's corrections that are. Both judge training labels, "
    "and do not rank. CR and OR are recall of test labels at a probability of 0.5: mean over classes, and over all "
    "labels together."
)


def corrections_of(row: Row) -> list[Corrections]:
    """Corrections of every seed; empty unless each record states them, for as many epochs."""
    found = [record.corrections for record in row.records if record.corrections is not None]
    same = len({len(one.right) for one in found}) == 1
    return found if same and len(found) == len(row.records) else []


def corrected_table(rows: Sequence[Row], lead: Sequence[tuple[Cell, Cell]]) -> Table | None:
    """One line for every row with corrections; None without such a row.

    Args:
        rows: of one section.
        lead: rank and name of each.
    """
    body = []
    for row, head in zip(rows, lead, strict=True):
        runs = corrections_of(row)
        if not runs:
            continue
        figures: list[Score] = [
            row.score("OR", TOTAL),
            row.score("CR", TOTAL),
            row.over_seeds([_last(run.recovered) for run in runs]),
            row.over_seeds([run.recovered_once for run in runs]),
            row.over_seeds([_last(run.precision) for run in runs]),
        ]
        body.append((*head, *(score_cell(score) for score in figures)))
    if not body:
        return None
    columns = (
        *("#", "method", "test OR at 0.5", "test CR at 0.5"),
        *("recovered (removed training labels)", "recovered in any epoch", "right"),
    )
    return Table(TITLE, columns, (True, False, *(True for _ in columns[2:])), tuple(body))


def _last(values: Sequence[float | None]) -> float | None:
    return values[-1] if values else None
