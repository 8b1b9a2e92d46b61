"""Which figures a leaderboard has, and those that are committed beside its page.

A committed figure keeps the hash of what it shows, so that a check needs the records and neither matplotlib nor the
version of it that drew the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltbench.plugin.files import write_atomic
from ltbench.records.canonical import sha256_of
from ltbench.report.board import Board, Section, labels_of
from ltbench.report.corrected import corrections_of
from ltbench.report.curves import curves_of, settings_of
from ltbench.report.plots import Kind, draw_corrections, draw_cost, draw_curves, draw_groups, figure_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = "figures"


@dataclass(frozen=True)
class Drawing:
    """A figure before it is drawn.

    Attributes:
        name: of the file, without ending.
        caption: what it shows, one sentence.
        sha256: of the caption and the figures that it shows.
        draw: makes it; needs matplotlib.
    """

    name: str
    caption: str
    sha256: str
    draw: Callable[[], Figure]

    @property
    def about(self) -> str:
        """The line that the file keeps."""
        return f"shows sha256 {self.sha256}"


def drawings(board: Board) -> list[Drawing]:
    """The figures that are committed: curves over settings, and corrections epoch by epoch."""
    found = [*_curves(board), *(one for section in board.sections for one in _corrections(board, section))]
    taken: Counter[str] = Counter()
    for number, drawing in enumerate(found):
        taken[drawing.name] += 1
        # Sections may differ in no more than a hash.
        if taken[drawing.name] > 1:
            found[number] = replace(drawing, name=f"{drawing.name}-{taken[drawing.name]}")
    return found


def _curves(board: Board) -> Iterator[Drawing]:
    settings = settings_of(board.task) or tuple(setting or "" for setting in board.settings)
    curves = curves_of(settings, [r.row for section in board.sections for r in section.ranked])
    # A point is no curve.
    curves = [curve for curve in curves if sum(score is not None for score in curve.scores) > 1]
    if not curves:
        return
    caption = (
        f"{board.headline} over the settings of {board.task}: means over seeds, their 95 % t interval shaded; in "
        "brackets the average over all settings."
    )
    shown = [asdict(curve) for curve in curves]
    yield _drawing("curves", caption, shown, partial(draw_curves, curves, settings, board.headline))


def _corrections(board: Board, section: Section) -> Iterator[Drawing]:
    rows = [ranked.row for ranked in section.ranked]
    setting = section.equals.setting
    address = board.task if setting is None else f"{board.task}@{setting}"
    for row, label in zip(rows, labels_of(rows), strict=True):
        runs = corrections_of(row)
        if not runs:
            continue
        seeds = "1 seed" if len(runs) == 1 else f"mean of {len(runs)} seeds, the range between them shaded"
        caption = (
            f"{label} on {address}: corrected training labels that are present (right) and absent (wrong) in each "
            f"epoch, and present ones that were hidden; {seeds}."
        )
        parts = ("corrections", setting or "all", label, section.equals.encoder, *section.equals.extras)
        shown = [run.model_dump(mode="json") for run in runs]
        yield _drawing("-".join(parts), caption, shown, partial(draw_corrections, runs, f"{label} on {address}"))


def _drawing(name: str, caption: str, shown: Any, draw: Callable[[], Figure]) -> Drawing:
    return Drawing(_safe(name), caption, sha256_of([caption, shown]), draw)


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)


def write_figures(board: Board, folder: Path) -> list[Path]:
    """Draw the committed figures whose files do not show what the records give; remove those of no record.

    Args:
        folder: of the leaderboard.

    Returns:
        The files written.

    Raises:
        UserError: the folder cannot be written.
    """
    stale = set(stale_figures(board, folder))
    written = []
    for drawing in drawings(board):
        path = folder / FOLDER / f"{drawing.name}.svg"
        if path in stale:
            write_atomic(path, figure_bytes(drawing.draw(), "svg", drawing.about))
            written.append(path)
    for path in sorted(stale - set(written)):
        path.unlink()
    return written


def stale_figures(board: Board, folder: Path) -> list[Path]:
    """Committed figures that are missing, show something else, or belong to no record."""
    wanted = {folder / FOLDER / f"{drawing.name}.svg": drawing.about.encode() for drawing in drawings(board)}
    stale = [path for path, about in wanted.items() if not path.exists() or about not in path.read_bytes()]
    return [*stale, *(path for path in sorted((folder / FOLDER).glob("*.svg")) if path not in wanted)]


def save_plots(board: Board, folder: Path, kinds: Sequence[Kind] = ("svg",)) -> list[Path]:
    """Draw every figure of a leaderboard into a folder: the committed ones, and scores and cost of every section.

    Returns:
        The files written.

    Raises:
        UserError: the folder cannot be written.
    """
    figures: dict[str, Figure] = {}
    for section in board.sections:
        equals = section.equals
        name = _safe("-".join([equals.setting or "all", equals.encoder, *equals.extras, equals.weights_sha256[:8]]))
        figures[f"groups-{name}"] = draw_groups(section, board.headline)
        figures[f"cost-{name}"] = draw_cost(section, board.headline)
    figures |= {drawing.name: drawing.draw() for drawing in drawings(board)}
    paths = []
    for name, figure in figures.items():
        for kind in kinds:
            paths.append(folder / f"{name}.{kind}")
            write_atomic(paths[-1], figure_bytes(figure, kind))
    return paths
