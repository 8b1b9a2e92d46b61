"""Leaderboards on disk: ``<leaderboards>/<task>/v<version>/`` with records, logits, comparisons and the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, get_args

from ltbench.plugin.errors import UserError
from ltbench.plugin.files import write_atomic
from ltbench.plugin.names import below
from ltbench.records.read import all_records
from ltbench.records.record import RunRecord
from ltbench.records.verify import OpenTruth
from ltbench.report.board import Board, build_board, ranked_sections
from ltbench.report.figures import FOLDER as FIGURES
from ltbench.report.figures import drawings, stale_figures, write_figures
from ltbench.report.frames import csv_text, entries
from ltbench.report.markdown import render_markdown
from ltbench.report.pairs import NAME as COMPARISONS
from ltbench.report.pairs import Comparisons, logits_in

Format = Literal["md", "latex", "html", "json", "csv"]
FORMATS: tuple[str, ...] = get_args(Format)
PAGE = "README.md"
#: Blocks of Markdown that show a task's records beside what papers printed on it, see :mod:`ltbench.report.papers`.
Beside = Callable[[str, Sequence[RunRecord]], list[str]]


def nothing_beside(task: str, records: Sequence[RunRecord]) -> list[str]:
    """For pages that no paper is shown on."""
    return []


def render(board: Board, form: str) -> str:
    """A leaderboard as text in one of :data:`FORMATS`.

    Raises:
        UserError: no such format.
    """
    if form == "md":
        return render_markdown(board)
    if form == "latex":
        from ltbench.report.latex import render_latex

        return render_latex(board)
    if form == "html":
        from ltbench.report.html import render_html

        return render_html(board)
    if form == "json":
        return json.dumps(entries(board), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if form == "csv":
        return csv_text(board)
    raise UserError(f"unknown format {form!r}; there are {', '.join(FORMATS)}", "ltbench leaderboard --format md")


def board_folder(leaderboards: Path, task: str, version: int) -> Path:
    """Folder of the leaderboard of one task version.

    Raises:
        UserError: the task cannot name a folder.
    """
    return below(leaderboards, task, f"v{version}")


def list_boards(leaderboards: Path) -> list[tuple[str, int]]:
    """Task and version of every leaderboard that has a folder of records."""
    found = []
    for folder in sorted(leaderboards.glob("*/v*/records")):
        number = folder.parent.name[1:]
        if number.isdigit():
            found.append((folder.parent.parent.name, int(number)))
    return sorted(found)


def folders_of_boards(leaderboards: Path) -> list[Path]:
    """A folder of leaderboards and those inside it, such as ablations, each of which stands apart; the outer first."""
    found = {folder.parents[2] for folder in leaderboards.rglob("records") if _is_board(folder)}
    return sorted(found, key=lambda folder: (len(folder.parts), folder))


def _is_board(records: Path) -> bool:
    name = records.parent.name
    return records.is_dir() and name[:1] == "v" and name[1:].isdigit()


def load_board(leaderboards: Path, task: str, version: int) -> Board:
    """Build a leaderboard from the files in its folder alone.

    Raises:
        UserError: a record cannot be read, or lies in the folder of another task; all such files are named.
    """
    folder = board_folder(leaderboards, task, version)
    return build_board(board_records(folder, task, version), task, version, Comparisons.read(folder))


def write_board(
    leaderboards: Path,
    task: str,
    version: int,
    open_truth: OpenTruth | None = None,
    beside: Beside = nothing_beside,
) -> list[Path]:
    """Write the page of a leaderboard, deterministic to the byte from the files in its folder, and its figures.

    Args:
        leaderboards: folder of all leaderboards.
        task: name without setting.
        version: of the task.
        open_truth: if given, test images are resampled first on the logits that lie in the leaderboard's folder (on no
            others, so that anybody can do it again) and ``comparisons.json`` is renewed; otherwise that file is taken
            as it is.
        beside: what papers printed, beside the records.

    Returns:
        The files written.

    Raises:
        UserError: a record cannot be read, or the folder cannot be written.
    """
    folder = board_folder(leaderboards, task, version)
    written = []
    if open_truth is not None:
        write_atomic(
            folder / COMPARISONS,
            _compared(folder, board_records(folder, task, version), (task, version), open_truth).to_json(),
        )
        written.append(folder / COMPARISONS)
    board = load_board(leaderboards, task, version)
    written += write_figures(board, folder)
    write_atomic(folder / PAGE, _page(board, beside))
    return [*written, folder / PAGE]


def _page(board: Board, beside: Beside) -> str:
    pictures = [(drawing.caption, f"{FIGURES}/{drawing.name}.svg") for drawing in drawings(board)]
    records = [r for section in board.sections for ranked in section.ranked for r in ranked.row.records]
    return render_markdown(board, pictures, beside(board.task, records))


def check_board(
    leaderboards: Path,
    task: str,
    version: int,
    open_truth: OpenTruth | None = None,
    beside: Beside = nothing_beside,
) -> list[Path]:
    """Files of a leaderboard that are not what its records and logits give; empty when all is current.

    Args:
        leaderboards: folder of all leaderboards.
        task: name without setting.
        version: of the task.
        open_truth: if given, ``comparisons.json`` is not believed but computed again.
        beside: as it was written with.

    Raises:
        UserError: a record cannot be read, or logits are not those of the task.
    """
    folder = board_folder(leaderboards, task, version)
    records, stored = board_records(folder, task, version), Comparisons.read(folder)
    stale, comparisons = [], stored
    if open_truth is not None:
        comparisons = _compared(folder, records, (task, version), open_truth)
        # The page must be what the logits give; what the file says is used where it says the same.
        if stored.differences(comparisons):
            stale.append(folder / COMPARISONS)
        else:
            comparisons = stored
    board = build_board(records, task, version, comparisons)
    page = folder / PAGE
    if not page.exists() or page.read_bytes() != _page(board, beside).encode("utf-8"):
        stale.append(page)
    return [*stale, *stale_figures(board, folder)]


def _compared(folder: Path, records: list[RunRecord], of: tuple[str, int], open_truth: OpenTruth) -> Comparisons:
    """Comparisons of a leaderboard, from its records and the logits in its folder."""
    return Comparisons.of(ranked_sections(records, *of), logits_in([folder / "logits"]), open_truth)


def check_all(leaderboards: Path, open_truth: OpenTruth | None = None) -> list[Path]:
    """Stale files of every leaderboard and of the printed figures: what ``ltbench leaderboard --check`` lists.

    Raises:
        UserError: a record cannot be read.
    """
    from ltbench.report.published_pages import check_published

    boards = list_boards(leaderboards)
    stale = [path for task, version in boards for path in check_board(leaderboards, task, version, open_truth)]
    return [*stale, *check_published(leaderboards)]


def board_records(folder: Path, task: str, version: int) -> list[RunRecord]:
    """All records of a leaderboard.

    Raises:
        UserError: one cannot be read, or lies in the folder of another task; all such files are named.
    """
    found = all_records([folder / "records"]) if (folder / "records").is_dir() else None
    if found is None:
        raise UserError(f"the leaderboard of {task} v{version} has no records", f"ltbench run --task {task} --method …")
    problems = [problem.message for problem in found.problems]
    for loaded in found.records:
        where = (loaded.record.task.name, loaded.record.task.version)
        if where != (task, version):
            problems.append(f"{loaded.path} belongs to {where[0]} v{where[1]}")
    if problems:
        raise UserError("; ".join(problems), "ltbench verify RECORD")
    return [loaded.record for loaded in found.records]
