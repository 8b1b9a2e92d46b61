"""The page of the matrix: its Markdown, its figures, and whether what is committed is still what the records say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ltbench.plugin.files import write_atomic
from ltbench.records.canonical import sha256_of
from ltbench.report.markdown import table_text, wrapped
from ltbench.report.matrix import Matrix

NAME = "matrix.md"
FOLDER = "figures"


def render_matrix(*parts: Matrix) -> str:
    """The page, Markdown; a part without a single figure is one line."""
    blocks = [
        "# Recipes by tasks",
        wrapped(
            "One setting of each family of tasks. Figures are percent over all classes: means over seeds ± half the "
            "width of their 95 % t interval. **Nothing is ranked in the tables.** Rows rank only among equals, on the "
            "page of a task: same backbone, pre-training data and extras. A figure marked +captions, +GloVe … used "
            "what others had not; figures of two columns are of two test problems. Where a recipe has several "
            "rows, all are shown. Written by `ltbench leaderboard --matrix` from the committed records."
        ),
    ]
    # Parts share most of their reasons and notes, so these are said once.
    reasons = {short: why for part in parts if _has_figures(part, parts) for short, why in part.reasons.items()}
    if reasons:
        said = "\n".join(wrapped(f"* *{short}*: {why}.") for short, why in sorted(reasons.items()))
        blocks += ["An empty cell says why:", said]
    for part in parts:
        blocks += _part(part, _has_figures(part, parts))
    notes = dict.fromkeys(note for part in parts for note in part.notes)
    if notes:
        blocks += ["## Notes", *(wrapped(note) for note in notes)]
    return "\n\n".join(blocks) + "\n"


def _has_figures(part: Matrix, parts: Sequence[Matrix]) -> bool:
    """A part that has none is shown where no part has any: its empty cells say what could run."""
    return any(part.filled.values()) or not any(any(other.filled.values()) for other in parts)


def _part(part: Matrix, shown: bool) -> list[str]:
    images = part.images
    if not shown:
        return [f"## {images.name}", f"No records on {', '.join(part.filled)}."]
    counts = ", ".join(f"{address} {count}" for address, count in part.filled.items())
    blocks = [
        f"## {images.name}",
        wrapped(f"Backbone {images.backbone} unless another is named. Filled cells: {counts}."),
        *([wrapped(images.left)] if images.left else []),
    ]
    if part.averages:
        blocks += ["### Average ranks over tasks", *_ranking(part)]
    for title, table in part.groups.items():
        blocks += [f"### {title}", table_text(table, width=200)]
    return blocks


def _ranking(matrix: Matrix) -> list[str]:
    """The critical-difference diagram and what it says."""
    said = (
        "Each recipe's rank on a task is its place by mean score, averaged over tasks; recipes that a bar joins do not "
        "differ at 5 % over all pairs (Friedman's test, then Nemenyi's critical difference: Demšar, JMLR 7, 2006). In "
        f"it is every recipe with one row on each task, {matrix.images.backbone} and nothing extra. A task "
        "counts once, whatever its differences are; few tasks tell little apart; and these share images and encoder, "
        "so they are no sample of other people's tasks."
    )
    tests = [
        f"{len(one.names)} recipes on {len(one.tasks)} tasks: Friedman's p {_p(one.p)}, critical difference "
        f"{one.difference:.2f} ranks."
        for one in matrix.averages
    ]
    return [
        wrapped(said),
        "\n".join(f"* {test}" for test in tests),
        f"![Average ranks of recipes over tasks, with critical differences]({FOLDER}/{matrix.images.figure}.svg)",
    ]


def _p(value: float) -> str:
    return "below 0.0001" if value < 0.0001 else f"= {value:.4f}"


def _figure(leaderboards: Path, matrix: Matrix) -> Path:
    return leaderboards / FOLDER / f"{matrix.images.figure}.svg"


def _about(matrix: Matrix) -> str:
    """The line that the figure keeps: the hash of what it shows."""
    return f"shows sha256 {sha256_of([asdict(one) for one in matrix.averages])}"


def write_matrix(leaderboards: Path, *parts: Matrix) -> list[Path]:
    """Write the page and its figures; a figure that shows the same is left as it is.

    Returns:
        The files written.

    Raises:
        UserError: one cannot be written.
    """
    path = leaderboards / NAME
    write_atomic(path, render_matrix(*parts))
    written = [path]
    for part in parts:
        if not part.averages or _figure_is_current(leaderboards, part):
            continue
        from ltbench.report.plots import draw_critical, figure_bytes

        write_atomic(_figure(leaderboards, part), figure_bytes(draw_critical(part.averages), "svg", _about(part)))
        written.append(_figure(leaderboards, part))
    return written


def stale_matrix(leaderboards: Path, *parts: Matrix) -> list[Path]:
    """The page and the figures, as far as they are not what records and recipes give."""
    path = leaderboards / NAME
    current = path.exists() and path.read_bytes() == render_matrix(*parts).encode("utf-8")
    drawn = [
        _figure(leaderboards, part) for part in parts if part.averages and not _figure_is_current(leaderboards, part)
    ]
    return [*([] if current else [path]), *drawn]


def _figure_is_current(leaderboards: Path, matrix: Matrix) -> bool:
    path = _figure(leaderboards, matrix)
    return path.exists() and _about(matrix).encode() in path.read_bytes()
