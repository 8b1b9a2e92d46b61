"""Leaderboards on disk: ``<leaderboards>/<task>/v<version>/`` with records, logits, comparisons and the page."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Literal, get_args

from ltbench.plugin.errors import UserError
from ltbench.plugin.files import write_atomic
from ltbench.records.compare import paired_difference
from ltbench.records.logits import file_sha256, read_logits
from ltbench.records.read import all_records
from ltbench.records.record import RunRecord
from ltbench.records.verify import OpenTruth
from ltbench.report.board import Board, build_board
from ltbench.report.figures import FOLDER as FIGURES
from ltbench.report.figures import drawings, stale_figures, write_figures
from ltbench.report.frames import entries, frame
from ltbench.report.markdown import render_markdown
from ltbench.report.ranks import NAME as COMPARISONS
from ltbench.report.ranks import Comparison, Comparisons

Format = Literal["md", "latex", "html", "json", "csv"]
FORMATS: tuple[str, ...] = get_args(Format)
PAGE = "README.md"


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
        return frame(board).to_csv(index=False, lineterminator="\n")
    raise UserError(f"unknown format {form!r}; there are {', '.join(FORMATS)}", "ltbench leaderboard --format md")


def board_folder(leaderboards: Path, task: str, version: int) -> Path:
    """Folder of the leaderboard of one task version."""
    return leaderboards / task / f"v{version}"


def list_boards(leaderboards: Path) -> list[tuple[str, int]]:
    """Task and version of every leaderboard that has a folder of records."""
    found = []
    for folder in sorted(leaderboards.glob("*/v*/records")):
        number = folder.parent.name[1:]
        if number.isdigit():
            found.append((folder.parent.parent.name, int(number)))
    return sorted(found)


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
    logits_dirs: Iterable[Path] = (),
) -> list[Path]:
    """Write the page of a leaderboard, deterministic to the byte from the files in its folder, and its figures.

    Args:
        leaderboards: folder of all leaderboards.
        task: name without setting.
        version: of the task.
        open_truth: if given, neighbours whose logits are all at hand are compared first by a paired bootstrap, and
            ``comparisons.json`` is renewed; otherwise that file is taken as it is.
        logits_dirs: further folders with files of logits, such as those of attempts.

    Returns:
        The files written.

    Raises:
        UserError: a record cannot be read, or the folder cannot be written.
    """
    folder = board_folder(leaderboards, task, version)
    written = []
    if open_truth is not None:
        board = build_board(board_records(folder, task, version), task, version)
        found = compare_rows(board, open_truth, [folder / "logits", *logits_dirs], Comparisons.read(folder))
        write_atomic(folder / COMPARISONS, found.to_json())
        written.append(folder / COMPARISONS)
    board = load_board(leaderboards, task, version)
    written += write_figures(board, folder)
    write_atomic(folder / PAGE, _page(board))
    return [*written, folder / PAGE]


def _page(board: Board) -> str:
    return render_markdown(board, [(drawing.caption, f"{FIGURES}/{drawing.name}.svg") for drawing in drawings(board)])


def check_board(leaderboards: Path, task: str, version: int) -> list[Path]:
    """Files of a leaderboard that are not what its records give; empty when all is current.

    Raises:
        UserError: a record cannot be read.
    """
    folder, board = board_folder(leaderboards, task, version), load_board(leaderboards, task, version)
    page = folder / PAGE
    current = page.exists() and page.read_bytes() == _page(board).encode("utf-8")
    return [*([] if current else [page]), *stale_figures(board, folder)]


def check_all(leaderboards: Path) -> list[Path]:
    """Stale files of every leaderboard and of the printed figures: what ``ltbench leaderboard --check`` lists.

    Raises:
        UserError: a record cannot be read.
    """
    from ltbench.report.published_pages import check_published

    stale = [path for task, version in list_boards(leaderboards) for path in check_board(leaderboards, task, version)]
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


def compare_rows(board: Board, open_truth: OpenTruth, dirs: Iterable[Path], known: Comparisons) -> Comparisons:
    """Compare neighbours; where logits are not at hand, what was found before about the same logits stays."""
    files = _by_hash(dirs)
    made = []
    for section in board.sections:
        rows = [ranked.row for ranked in section.ranked]
        for upper, lower in pairwise(rows):
            if not {*upper.logits, *lower.logits} <= set(files):
                before = known.find(upper, lower)
                made += [] if before is None else [before]
                continue
            truth = open_truth(upper.first)[1]
            a, b = ([read_logits(files[sha256]).logits for sha256 in row.logits] for row in (upper, lower))
            found = paired_difference(a, b, truth, board.headline)
            if found is not None:
                entry = Comparison(upper.logits, lower.logits, board.headline, found.value, found.low, found.high)
                made.append(entry)
    return Comparisons.of(made)


def _by_hash(dirs: Iterable[Path]) -> dict[str, Path]:
    """Files of logits in some folders by the hash of their content, whatever their names promise."""
    return {file_sha256(path): path for folder in dirs for path in sorted(folder.glob("*.safetensors"))}
