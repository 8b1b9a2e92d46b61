"""One run for a leaderboard: whether it may stand there, where its files go, and what it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltbench.plugin.errors import UserError
from ltbench.records.read import load_record
from ltbench.records.record import RunRecord
from ltbench.records.versions import WRITTEN
from ltbench.report.board import Board, build_board, labels_of
from ltbench.report.collect import Verify, record_name
from ltbench.report.pairs import Comparisons, logits_in
from ltbench.report.rows import why_not_ranked
from ltbench.report.write import board_folder, board_records

if TYPE_CHECKING:
    from ltbench.records.verify import OpenTruth


@dataclass(frozen=True)
class Moved:
    """A row of the section that the run is in, before and after; ``None`` where it was not there.

    Attributes:
        mean: headline metric over all classes, percent.
        seeds: how many.
        own: the run is one of its seeds.
    """

    method: str
    rank: tuple[int | None, int | None]
    mean: tuple[float | None, float | None]
    seeds: tuple[int, int]
    own: bool


@dataclass(frozen=True)
class Submission:
    """What a submission would do.

    Attributes:
        files: place in a folder of leaderboards → file here.
        rows: those that change, the run's own first.
        never_ranked: why, where it is shown and not ranked.
    """

    record: RunRecord
    path: Path
    files: Mapping[str, Path]
    rows: tuple[Moved, ...]
    never_ranked: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "task": self.record.task.address,
            "method": self.record.method.name,
            "seed": self.record.seed,
            "key": self.record.key,
            "files": {place: str(path) for place, path in self.files.items()},
            "rows": [asdict(row) for row in self.rows],
            "never_ranked": list(self.never_ranked),
        }


def prepare(path: Path, leaderboards: Path, verify: Verify, open_truth: OpenTruth) -> Submission:
    """Check a run and lay out what it would change; writes nothing.

    Args:
        path: of the record; its logits lie beside it.
        leaderboards: folder of leaderboards.
        verify: checks a record with its logits.
        open_truth: opens the task that a record names.

    Raises:
        UserError: the run did not complete, is on the leaderboard already, is not right, or has no logits at hand.
    """
    record = load_record(path)
    name = f"{record.task.address} {record.method.name} seed {record.seed}"
    if record.status != "completed" or record.logits is None:
        raise UserError(
            f"{name} is refused: it {record.status} ({record.reason})",
            f"ltbench run --task {record.task.address} --method {record.method.name} --overwrite failed",
        )
    if record.schema_version < WRITTEN:
        why = f"it is of schema version {record.schema_version}, and boards take new runs of version {WRITTEN} only"
        raise UserError(f"{name} is refused: {why}", f"ltbench verify {path}")
    folder = board_folder(leaderboards, record.task.name, record.task.version)
    before = board_records(folder, record.task.name, record.task.version) if (folder / "records").is_dir() else []
    for other in before:
        if other.key == record.key and other.status == "completed":
            raise UserError(
                f"{name} is refused: the same run is on the leaderboard ({folder / 'records' / record_name(other)})",
                f"ltbench leaderboard --records {folder}",
            )
    report = verify(path)
    if not report.ok:
        why = report.problems[0] if report.problems else report.absent
        raise UserError(f"{name} is refused: {why}", f"ltbench verify {path}")
    logits = path.parent / "logits.safetensors"
    if not logits.is_file():
        raise UserError(f"{name} is refused: its logits are not beside it ({logits})", f"ltbench verify {path}")
    where = folder.relative_to(leaderboards).as_posix()
    files = {
        f"{where}/records/{record_name(record)}": path,
        f"{where}/logits/{record.logits.sha256[:16]}.safetensors": logits,
    }
    if (leaderboards / where / "records" / record_name(record)).exists():
        raise UserError(f"{name} is refused: another record has its place ({record_name(record)})", "ltbench list runs")
    rows = _moved(record, before, {**logits_in([folder / "logits"]), record.logits.sha256: logits}, open_truth)
    return Submission(record, path, files, rows, why_not_ranked(record))


def _moved(
    record: RunRecord, before: list[RunRecord], files: Mapping[str, Path], open_truth: OpenTruth
) -> tuple[Moved, ...]:
    """Both boards are compared on the same logits, so that what differs is the run."""
    old, new = (_standing(records, record, files, open_truth) for records in (before, [*before, record]))
    moved = []
    for label in dict.fromkeys([*new, *old]):
        was, now = old.get(label), new.get(label)
        if was == now:
            continue
        moved.append(
            Moved(
                method=label,
                rank=(was[0] if was else None, now[0] if now else None),
                mean=(was[1] if was else None, now[1] if now else None),
                seeds=(len(was[2]) if was else 0, len(now[2]) if now else 0),
                own=now is not None and record.record_sha256 in now[2],
            )
        )
    return tuple(sorted(moved, key=lambda row: not row.own))


def _standing(
    records: list[RunRecord], record: RunRecord, files: Mapping[str, Path], open_truth: OpenTruth
) -> dict[str, tuple[int, float | None, tuple[str, ...]]]:
    """Label of each row of the record's section → rank, mean, hashes of its records."""
    from ltbench.report.rows import Equals

    task = (record.task.name, record.task.version)
    equals = Equals.of(record)
    own = [one for one in records if Equals.of(one) == equals]
    plain = build_board(own, *task)
    comparisons = Comparisons.of([section.compared.rows for section in plain.sections], files, open_truth)
    board: Board = build_board(own, *task, comparisons)
    found = {}
    for section in board.sections:
        rows = [ranked.row for ranked in section.ranked]
        for ranked, label in zip(section.ranked, labels_of(rows), strict=True):
            hashes = tuple(one.record_sha256 for one in ranked.row.records)
            found[label] = (ranked.rank, ranked.row.headline, hashes)
    return found
