"""Cells and tables: what every form of a leaderboard is made of."""

from __future__ import annotations

from dataclasses import dataclass

from ltbench.report.rows import Score


@dataclass(frozen=True)
class Cell:
    """What is shown, and the number it sorts by."""

    text: str
    value: float | None = None
    #: The text is Markdown of our own making, and not to be cleaned.
    markdown: bool = False


@dataclass(frozen=True)
class Table:
    """A table of cells.

    Attributes:
        title: of this table.
        columns: names.
        numeric: per column, whether it is a column of numbers (aligned right).
        keys: leading columns that name a row and are repeated when a table is split.
    """

    title: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[Cell, ...], ...]
    keys: int = 2


def score_cell(score: Score) -> Cell:
    """``63.45 ± 1.20``; a dash where undefined."""
    if score.mean is None:
        return Cell("–")
    spread = "" if score.half is None else f" ± {score.half:.2f}"
    return Cell(f"{score.mean:.2f}{spread}", score.mean)
