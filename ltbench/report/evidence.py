"""What stands behind the rows of a committed leaderboard: logits, or the mark that a run is to be run again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ltbench.plugin.files import write_atomic
from ltbench.records.marks import NAME, marks_text, read_marks
from ltbench.records.record import RunRecord
from ltbench.report.pairs import logits_in
from ltbench.report.write import board_folder, board_records


@dataclass
class Evidence:
    """What was found behind a leaderboard.

    Attributes:
        problems: why it is refused, one line each.
        kept: completed runs whose logits are kept.
        marked: those that are marked to be run again.
    """

    problems: list[str] = field(default_factory=list)
    kept: int = 0
    marked: int = 0


def kept_logits(folder: Path) -> set[str]:
    """Hashes of the files of logits of a leaderboard, by their content, whatever their names promise."""
    return set(logits_in([folder / "logits"]))


def without_logits(folder: Path, records: Iterable[RunRecord]) -> list[RunRecord]:
    """Completed runs whose logits' hash belongs to no file of the leaderboard."""
    kept = kept_logits(folder)
    return [record for record in records if record.logits is not None and record.logits.sha256 not in kept]


def write_marks(folder: Path, records: Sequence[RunRecord], new: Iterable[str] | None = None) -> list[Path]:
    """Renew the list of runs to be run again.

    Args:
        folder: of the leaderboard.
        records: all of its records.
        new: hashes of records that may join the list; those on it stay. None lists every run without logits.

    Returns:
        The file, where it changed.

    Raises:
        UserError: the list is damaged or cannot be written.
    """
    lacking = without_logits(folder, records)
    if new is not None:
        allowed = {*read_marks(folder), *new}
        lacking = [record for record in lacking if record.record_sha256 in allowed]
    path, text = folder / NAME, marks_text(lacking)
    if path.read_bytes() == text.encode() if path.exists() else not lacking:
        return []
    write_atomic(path, text)
    return [path]


def check_evidence(leaderboards: Path, task: str, version: int) -> Evidence:
    """Look behind every row: are its logits kept, or is it marked to be run again?

    Raises:
        UserError: a record or the list of marks cannot be read.
    """
    folder = board_folder(leaderboards, task, version)
    records = board_records(folder, task, version)
    found = Evidence()
    marks = read_marks(folder)
    lacking = without_logits(folder, records)
    for record in lacking:
        assert record.logits is not None
        if marks.get(record.record_sha256) == record.logits.sha256:
            found.marked += 1
        else:
            what = f"{record.task.address} {record.method.name} seed {record.seed} ({record.key[:8]})"
            found.problems.append(f"{folder}: the logits of {what} belong to no file, and it is not in {NAME}")
    found.kept = sum(record.logits is not None for record in records) - len(lacking)
    strangers = set(marks) - {record.record_sha256 for record in lacking}
    if strangers:
        found.problems.append(f"{folder / NAME}: {len(strangers)} entries are of no run without logits")
    return found
