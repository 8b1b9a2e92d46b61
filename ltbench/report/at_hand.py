"""Boards of whatever records are at hand, their rows compared on whatever logits lie beside them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ltbench.plugin.errors import UserError
from ltbench.records.read import RECORDS_FOLDER, LoadedRecord
from ltbench.report.board import Board, build_board
from ltbench.report.pairs import NAME, Comparisons, logits_beside
from ltbench.report.rows import Row

if TYPE_CHECKING:
    from ltbench.records.verify import OpenTruth

_VERSION = re.compile(r"v\d+")


@dataclass(frozen=True)
class Together:
    """Records that may stand on one board.

    Attributes:
        records: those that do.
        apart: folders of leaderboards inside another one of these, whose records do not.
    """

    records: tuple[LoadedRecord, ...]
    apart: tuple[Path, ...]


def together(records: Iterable[LoadedRecord]) -> Together:
    """Leave out leaderboards that lie inside a folder of leaderboards, where others of it are read as well.

    ``leaderboards/ablations/<task>`` and ``leaderboards/audits/<task>`` ask other questions than
    ``leaderboards/<task>``: a row of an ablation was chosen for what it lacks. They are boards of their own, and stand
    together with runs in other places only when their folder is the one of its home that is read: of ablations and
    audits, the first.
    """
    entries = list(records)
    folders = {entry.path: _leaderboards(entry.path) for entry in entries}
    resolved = {folder: folder.resolve() for folder in folders.values() if folder is not None}
    first: dict[Path, Path] = {}
    for place in sorted(set(resolved.values())):
        first.setdefault(_home(place), place)
    inner = {folder for folder, place in resolved.items() if first[_home(place)] != place}
    kept = tuple(entry for entry in entries if folders[entry.path] not in inner)
    return Together(kept, tuple(sorted(inner)))


def _home(folder: Path) -> Path:
    """The outermost folder of leaderboards around a folder of leaderboards; its own where it lies in no other."""
    around = [parent for parent in folder.parents if any(parent.glob("*/v*/records"))]
    return around[-1] if around else folder


def _leaderboards(path: Path) -> Path | None:
    """The folder of leaderboards in which a record lies, ``…/<task>/v<version>/records/<record>``, if it does."""
    records = path.absolute().parent
    if records.name != RECORDS_FOLDER or not _VERSION.fullmatch(records.parent.name):
        return None
    return path.parent.parent.parent.parent


def boards_at_hand(
    records: Sequence[LoadedRecord],
    wanted: Iterable[tuple[str, int]],
    open_truth: OpenTruth,
    note: Callable[[str], None],
) -> list[Board]:
    """A board for each task and version, compared anew on the logits beside the records.

    Args:
        records: which may stand together, see :func:`together`.
        wanted: tasks and versions.
        open_truth: opens the task that a record names.
        note: receives a line where logits are at hand and cannot be used; stored comparisons then stand in.
    """
    return [_board(records, task, version, open_truth, note) for task, version in wanted]


def _board(
    records: Sequence[LoadedRecord], task: str, version: int, open_truth: OpenTruth, note: Callable[[str], None]
) -> Board:
    own = [entry for entry in records if (entry.record.task.name, entry.record.task.version) == (task, version)]
    records_alone = [entry.record for entry in own]
    return build_board(records_alone, task, version, lambda rows: compare_at_hand(own, rows, open_truth, note))


def compare_at_hand(
    records: Sequence[LoadedRecord],
    sections: Iterable[Sequence[Row]],
    open_truth: OpenTruth,
    note: Callable[[str], None],
) -> Comparisons:
    """Comparisons of some sections on the logits beside the records; see :func:`boards_at_hand`."""
    several = [rows for rows in sections if len(rows) > 1]
    if not several:
        return Comparisons()
    files = logits_beside(records)
    try:
        return Comparisons.of(several, files, open_truth)
    except UserError as error:
        folders = sorted({entry.path.parent.parent for entry in records if entry.path.parent.name == RECORDS_FOLDER})
        stored = [folder for folder in folders if (folder / NAME).is_file()]
        instead = (
            f"those in {', '.join(str(folder / NAME) for folder in stored)} are shown" if stored else "none is shown"
        )
        note(f"note: pairs were not compared on their logits ({error.message}); {instead}")
        return Comparisons.merged(Comparisons.read(folder) for folder in stored)
