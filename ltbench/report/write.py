"""Leaderboards on disk: ``<leaderboards>/<task>/v<version>/`` with records, logits, comparisons and the page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
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
    return build_board(_records(folder, task, version), task, version, Comparisons.read(folder))


def write_board(
    leaderboards: Path,
    task: str,
    version: int,
    open_truth: OpenTruth | None = None,
    logits_dirs: Iterable[Path] = (),
) -> list[Path]:
    """Write the page of a leaderboard, deterministic to the byte from the files in its folder.

    Args:
        leaderboards: folder of all leaderboards.
        task: name without setting.
        version: of the task.
        open_truth: if given, neighbours whose logits are all at hand are compared first by a paired bootstrap, and
            ``comparisons.json`` is renewed; otherwise that file is taken as it is.
        logits_dirs: further folders with ``<first 16 digits of the hash>.safetensors``.

    Returns:
        The files written.

    Raises:
        UserError: a record cannot be read, or the folder cannot be written.
    """
    folder = board_folder(leaderboards, task, version)
    written = []
    if open_truth is not None:
        board = build_board(_records(folder, task, version), task, version)
        found = _compare(board, open_truth, [folder / "logits", *logits_dirs])
        write_atomic(folder / COMPARISONS, found.to_json())
        written.append(folder / COMPARISONS)
    write_atomic(folder / PAGE, render_markdown(load_board(leaderboards, task, version)))
    return [*written, folder / PAGE]


def check_board(leaderboards: Path, task: str, version: int) -> list[Path]:
    """Files of a leaderboard that are not what its records give; empty when all is current.

    Raises:
        UserError: a record cannot be read.
    """
    page = board_folder(leaderboards, task, version) / PAGE
    expected = render_markdown(load_board(leaderboards, task, version)).encode("utf-8")
    return [] if page.exists() and page.read_bytes() == expected else [page]


def check_all(leaderboards: Path) -> list[Path]:
    """Stale files of every leaderboard and of the printed figures: what ``ltbench leaderboard --check`` lists.

    Raises:
        UserError: a record cannot be read.
    """
    from ltbench.report.published_pages import check_published

    stale = [path for task, version in list_boards(leaderboards) for path in check_board(leaderboards, task, version)]
    return [*stale, *check_published(leaderboards)]


def _records(folder: Path, task: str, version: int) -> list[RunRecord]:
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


def _compare(board: Board, open_truth: OpenTruth, dirs: Sequence[Path]) -> Comparisons:
    """Compare neighbours; those whose logits are not all at hand are left out."""
    made = []
    for section in board.sections:
        rows = [ranked.row for ranked in section.ranked]
        truth = None
        for upper, lower in pairwise(rows):
            sides = [[_find(sha256, dirs) for sha256 in row.logits] for row in (upper, lower)]
            if any(path is None for side in sides for path in side):
                continue
            truth = truth or open_truth(upper.first)[1]
            a, b = ([read_logits(path).logits for path in side if path is not None] for side in sides)
            found = paired_difference(a, b, truth, board.headline)
            if found is not None:
                made.append(Comparison(upper.logits, lower.logits, board.headline, found.value, found.low, found.high))
    return Comparisons.of(made)


def _find(sha256: str, dirs: Sequence[Path]) -> Path | None:
    """The file with these logits, if its content still has the hash in its name."""
    for folder in dirs:
        path = folder / f"{sha256[:16]}.safetensors"
        if path.is_file() and file_sha256(path) == sha256:
            return path
    return None
