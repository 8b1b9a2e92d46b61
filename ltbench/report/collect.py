"""From run folders into leaderboards: records under names that say what they are, and the logits that are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ltbench.plugin.errors import UserError
from ltbench.plugin.files import write_atomic
from ltbench.plugin.names import below
from ltbench.plugin.reading import one_line
from ltbench.records.facts import OVERRIDDEN
from ltbench.records.logits import file_sha256
from ltbench.records.marks import is_marked
from ltbench.records.read import RECORDS_FOLDER, LoadedRecord, all_records
from ltbench.records.record import RunRecord
from ltbench.records.verify import VerifyReport
from ltbench.records.versions import WRITTEN
from ltbench.report.at_hand import together
from ltbench.report.board import build_board
from ltbench.report.evidence import write_marks
from ltbench.report.markdown import render_markdown
from ltbench.report.write import board_folder, board_records

#: Verifies the record in a file.
Verify = Callable[[Path], VerifyReport]
#: Says whether the logits of a run are kept beside the leaderboard.
KeepLogits = Callable[[RunRecord], bool]


@dataclass
class Collected:
    """What an import did.

    Attributes:
        written: new files.
        present: records that were there already, byte for byte.
        boards: task and version of every leaderboard that was touched.
        problems: what could not be imported, one error each.
        refused: records that are not right, or whose figures could not be judged, one error each.
    """

    written: list[Path] = field(default_factory=list)
    present: list[Path] = field(default_factory=list)
    boards: set[tuple[str, int]] = field(default_factory=set)
    problems: list[UserError] = field(default_factory=list)
    refused: list[UserError] = field(default_factory=list)


def keep_none(record: RunRecord) -> bool:
    """Keep no logits."""
    return False


def keep_all(record: RunRecord) -> bool:
    """Keep the logits of every run."""
    return True


def keep_first_seed(record: RunRecord) -> bool:
    """Keep the logits of seed 0."""
    return record.seed == 0


def record_name(record: RunRecord) -> str:
    """``<setting or all>-<method>-s<seed>-<key8>-a<attempt>.json``."""
    setting = record.task.setting or "all"
    return f"{setting}-{record.method.name}-s{record.seed}-{record.key[:8]}-a{record.attempt}.json"


def import_records(
    run_dirs: Iterable[Path],
    leaderboards: Path,
    verify: Verify,
    keep_logits: KeepLogits = keep_none,
    task: str | None = None,
) -> Collected:
    """Copy records, completed or failed, to the leaderboards of their tasks; nothing there is ever overwritten.

    All of them are verified before the first is copied, and only those that are right are taken: one whose logits are
    not at hand is refused like one that is wrong, and so is one of an older schema version, which states less of where
    its options come from and what it used. Runs whose logits are not kept are listed in ``rerun.json``. Records that
    are on the leaderboard already stay, whatever their version.

    Args:
        run_dirs: folders with runs, at any depth. Of leaderboards inside one another the outer are taken, see
            :func:`~ltbench.report.at_hand.together`; the others are named among the problems.
        leaderboards: folder of all leaderboards.
        verify: checks a record with its logits.
        keep_logits: which logits are copied to ``logits/<first 16 digits of the hash>.safetensors``.
        task: only runs of this task, without setting.

    Raises:
        UserError: a file cannot be written, or a list of runs to be run again is damaged.
    """
    found = all_records(run_dirs)
    result = Collected(problems=list(found.problems))
    standing = together(found.records)
    for folder in standing.apart:
        message = f"the boards in {folder} stand apart and were not imported"
        result.problems.append(UserError(message, f"ltbench leaderboard --import {folder} --boards SOME-OTHER-FOLDER"))
    wanted = [loaded for loaded in standing.records if task is None or loaded.record.task.name == task]
    known = [_is_known(loaded, leaderboards) for loaded in wanted]
    right = [
        loaded for loaded, before in zip(wanted, known, strict=True) if before or _is_right(loaded, verify, result)
    ]
    right = _buildable(right, leaderboards, result)
    for loaded in right:
        _import(loaded, leaderboards, keep_logits, result)
    new = {loaded.record.record_sha256 for loaded in right}
    for name, version in sorted(result.boards):
        folder = board_folder(leaderboards, name, version)
        result.written += write_marks(folder, board_records(folder, name, version), new)
    return result


def _buildable(right: list[LoadedRecord], leaderboards: Path, result: Collected) -> list[LoadedRecord]:
    """Records with which their leaderboards can be built: a record that keeps one from being built is refused before
    anything is copied."""
    found: list[LoadedRecord] = []
    for name, version in dict.fromkeys((each.record.task.name, each.record.task.version) for each in right):
        folder = board_folder(leaderboards, name, version)
        there = board_records(folder, name, version) if (folder / "records").is_dir() else []
        new = [each for each in right if (each.record.task.name, each.record.task.version) == (name, version)]
        if not _problem(there, new, name, version):
            found += new
            continue
        taken: list[LoadedRecord] = []
        for each in new:
            if why := _problem(there, [*taken, each], name, version):
                message = f"{each.path} is refused: the leaderboard cannot be built with it ({why})"
                result.refused.append(UserError(message, f"ltbench verify {each.path}"))
            else:
                taken.append(each)
        found += taken
    return found


def _problem(there: list[RunRecord], new: list[LoadedRecord], name: str, version: int) -> str:
    """Why a leaderboard of these records cannot be built; empty when it can."""
    known = {record.record_sha256 for record in there}
    records = [*there, *(each.record for each in new if each.record.record_sha256 not in known)]
    try:
        render_markdown(build_board(records, name, version))
    except Exception as error:  # of a record that means nothing, whatever it leads to
        return f"{type(error).__name__}: {one_line(error)}"
    return ""


def _target(record: RunRecord, leaderboards: Path) -> Path:
    return below(board_folder(leaderboards, record.task.name, record.task.version), "records", record_name(record))


def _is_known(loaded: LoadedRecord, leaderboards: Path) -> bool:
    """Whether the very same record is on the leaderboard with its logits or its mark: it was verified on its way in."""
    target = _target(loaded.record, leaderboards)
    if not target.exists() or target.read_bytes() != loaded.path.read_bytes():
        return False
    folder = target.parent.parent
    if loaded.record.logits is None or is_marked(loaded.record, folder):
        return True
    kept = folder / "logits" / f"{loaded.record.logits.sha256[:16]}.safetensors"
    return kept.is_file() and file_sha256(kept) == loaded.record.logits.sha256


def _is_right(loaded: LoadedRecord, verify: Verify, result: Collected) -> bool:
    path, version = loaded.path, loaded.record.schema_version
    if version < WRITTEN:
        why = f"it is of schema version {version}, and boards take new runs of version {WRITTEN} only"
        result.refused.append(UserError(f"{path} is refused: {why}", _again(loaded.record)))
        return False
    report = verify(path)
    if report.ok:
        return True
    why = report.problems[0] if report.problems else report.absent
    more = f" and {len(report.problems) - 1} more" if len(report.problems) > 1 else ""
    result.refused.append(UserError(f"{path} is refused: {why}{more}", f"ltbench verify {path}"))
    return False


def _again(record: RunRecord) -> str:
    """The command that makes the run of a record again; options of one's own are left to the reader."""
    method = record.method
    words = ["ltbench run", f"--task {record.task.address}", f"--method {method.name}", f"--variant {method.variant}"]
    name = (method.preset or "none").removesuffix(OVERRIDDEN)
    own = " -o …" if (method.preset or "").endswith(OVERRIDDEN) else ""
    return " ".join([*words, f"--preset {name}{own}", f"--backbone {record.backbone.name}", f"--seed {record.seed}"])


def _import(loaded: LoadedRecord, leaderboards: Path, keep_logits: KeepLogits, result: Collected) -> None:
    record = loaded.record
    target = _target(record, leaderboards)
    folder = target.parent.parent
    content = loaded.path.read_bytes()
    if target.exists() and target.read_bytes() != content:
        message = f"{loaded.path} and {target} are different records of one attempt"
        result.problems.append(UserError(message, "keep one, or run again with --overwrite always"))
        return
    if target.exists():
        result.present.append(target)
    else:
        write_atomic(target, content)
        result.written.append(target)
    result.boards.add((record.task.name, record.task.version))
    if record.logits is not None and keep_logits(record):
        _keep(loaded, record.logits.sha256, folder / "logits", result)


def _keep(loaded: LoadedRecord, sha256: str, folder: Path, result: Collected) -> None:
    target = folder / f"{sha256[:16]}.safetensors"
    if target.exists():
        return
    source = _logits_beside(loaded.path, sha256)
    if source is None:
        message = f"the logits of {loaded.path} are missing or not those of the record"
        result.problems.append(UserError(message, f"ltbench verify {loaded.path}"))
        return
    write_atomic(target, source.read_bytes())
    result.written.append(target)


def _logits_beside(record: Path, sha256: str) -> Path | None:
    """The file of logits of a record, by its content: beside it as a run leaves it, or in ``logits/`` next to the
    folder ``records`` of a leaderboard, as records come from the hub."""
    kept = record.parent.parent / "logits" / f"{sha256[:16]}.safetensors"
    places = (record.parent / "logits.safetensors", *((kept,) if record.parent.name == RECORDS_FOLDER else ()))
    return next((path for path in places if path.is_file() and file_sha256(path) == sha256), None)
