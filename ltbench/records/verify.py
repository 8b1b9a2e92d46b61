"""Phase 2 again, for a record that somebody hands over: nothing in it is taken on trust that can be recomputed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ltbench.data.base import DataRoot
from ltbench.metrics.bootstrap import REPLICATES
from ltbench.metrics.errors import MetricError
from ltbench.plugin.errors import DataMissing, UserError
from ltbench.records.corrections import judge_corrections
from ltbench.records.facts import TaskFacts
from ltbench.records.judge import Judgement, check_alignment, check_stored, judge
from ltbench.records.logits import LogitsFile, file_sha256, read_logits
from ltbench.records.marks import is_marked
from ltbench.records.read import field_problems, load_document
from ltbench.records.record import RunRecord, document_sha256, key_of
from ltbench.records.restated import Restate
from ltbench.tasks.task import Fingerprints, Task
from ltbench.tasks.views import Truth, compare_fingerprints, open_truth
from ltbench.tasks.views.complete import TrainTruth, open_train_truth

#: Opens the task that a record names, and its truth.
OpenTruth = Callable[[RunRecord], tuple[Task, Truth]]
#: Opens the complete training labels of the task that a record names.
OpenTrainTruth = Callable[[RunRecord], TrainTruth]


@dataclass
class VerifyReport:
    """Outcome of a verification.

    Attributes:
        path: the record.
        problems: one line each; none when the record is right.
        checked: what was checked, in order.
        unchecked: facts that nothing here can check, each a line "not checked: …".
        absent: what would be needed to check the rest; empty when nothing is missing.
        rerun: the leaderboard lists the run as one to be run again, because its logits are not kept.
        without_data: address of the task, where its data set is not here; else empty.
    """

    path: Path
    problems: list[str] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    absent: str = ""
    rerun: bool = False
    without_data: str = ""

    @property
    def ok(self) -> bool:
        """Whether everything was checked and nothing is wrong."""
        return not self.problems and not self.absent

    @property
    def verdict(self) -> str:
        """``right``; ``WRONG``; ``unscored``: nothing is wrong, and the figures could not be recomputed; ``re-run``: as
        ``unscored``, and a leaderboard says so; or ``no data``: as ``unscored``, because the labels are not here.
        """
        if self.problems:
            return "WRONG"
        if self.without_data:
            return "no data"
        if self.absent:
            return "re-run" if self.rerun else "unscored"
        return "right"

    def note(self, what: str, problems: Iterable[str]) -> None:
        """Remember a check with what it found."""
        self.checked.append(what)
        self.problems.extend(problems)


def open_registered(root: DataRoot) -> OpenTruth:
    """The usual way to the truth: the registered task of the record's address, and its data set below ``root``.

    Each task is opened once, however many records ask for it.
    """
    known: dict[str, tuple[Task, Truth]] = {}

    def opened(record: RunRecord) -> tuple[Task, Truth]:
        from ltbench.tasks.registry import load_task, open_data_set

        address = record.task.address
        if address not in known:
            task = load_task(address)
            known[address] = task, open_truth(task, open_data_set(task, root))
        return known[address]

    return opened


def open_registered_train(root: DataRoot) -> OpenTrainTruth:
    """The usual way to the complete training labels; each task is opened once."""
    known: dict[str, TrainTruth] = {}

    def opened(record: RunRecord) -> TrainTruth:
        from ltbench.tasks.registry import load_task, open_data_set

        address = record.task.address
        if address not in known:
            task = load_task(address)
            known[address] = open_train_truth(task, open_data_set(task, root))
        return known[address]

    return opened


def verify(
    record_path: Path,
    open_truth: OpenTruth,
    logits_dirs: Iterable[Path] = (),
    replicates: int = REPLICATES,
    open_train: OpenTrainTruth | None = None,
    restate: Restate | None = None,
) -> VerifyReport:
    """Check a record: schema, hashes, run key, fingerprints, logits, and every figure, recomputed and compared exactly.

    Args:
        record_path: the record.
        open_truth: opens the task that the record names.
        logits_dirs: further folders to look for the logits in: named by the first 16 digits of their hash, or run
            folders at any depth.
        replicates: resamplings behind the intervals.
        open_train: opens the complete training labels; with them, corrections are judged again where the file of
            decisions lies beside the record.
        restate: states configuration, preset, origin, extras and encoder again from what is installed; without it they
            are covered by the record's hash only.

    Returns:
        What was checked and what is wrong. What cannot be recomputed (cost, environment, oracle, corrections without
        their decisions) is covered by the record's own hash only.
    """
    report = VerifyReport(record_path)
    record = _check_text(record_path, report)
    if record is None:
        return report
    expected = key_of(record)
    report.note("run key", [] if record.key == expected else [f"key: stored {record.key}, recomputed {expected}"])
    try:
        task, everything = open_truth(record)
        truth = everything.limited(record.limit)
    except DataMissing as error:
        report.without_data = record.task.address
        report.absent = f"labels of {report.without_data} to score by: {error}"
        return report
    except UserError as error:
        report.note("task", [f"task {record.task.address} cannot be opened: {error}"])
        return report
    report.note("task", _task_problems(record.task, task, truth))
    report.note("fingerprints", _fingerprint_problems(record.task.fingerprints, truth.fingerprints))
    if restate is not None:
        again = restate(record, task)
        report.note("facts of recipe and encoder", again.problems)
        report.unchecked.extend(again.unchecked)
    decisions = record_path.parent / "decisions.json"
    if record.decisions is not None and decisions.exists():
        found = file_sha256(decisions)
        report.note("decisions", _differing("decisions", record.decisions, found))
        if record.corrections is not None and open_train is not None:
            report.note("corrections", _correction_problems(record, task, decisions, open_train))
    if record.status != "completed":
        report.note("scores", [f"a run that {record.status} has scores"] if record.scores else [])
        return report
    file = _find_logits(record, record_path, logits_dirs, report)
    if report.absent:
        report.rerun = is_marked(record, record_path.parent.parent)
    if file is not None:
        _check_figures(record, task, truth, file, replicates, report)
    return report


def _check_text(path: Path, report: VerifyReport) -> RunRecord | None:
    """Schema, spelling and the record's own hash."""
    try:
        document = load_document(path)
        record = RunRecord.model_validate(document)
    except UserError as error:
        report.note("schema", [error.message])
        return None
    except ValidationError as error:
        report.note("schema", field_problems(error))
        return None
    report.note("schema", [])
    spelled = path.read_bytes() == record.to_json().encode("utf-8")
    report.note("canonical text", [] if spelled else ["the file is not canonical JSON: it was edited or re-encoded"])
    report.note("record hash", _differing("record_sha256", record.record_sha256, document_sha256(document)))
    return record


def _correction_problems(record: RunRecord, task: Task, decisions: Path, open_train: OpenTrainTruth) -> list[str]:
    assert record.corrections is not None
    try:
        truth = open_train(record).sampled(task, record.share).limited(record.limit)
        found = judge_corrections(decisions, truth, len(record.corrections.right))
    except UserError as error:
        return [f"the corrections cannot be judged: {error}"]
    return list(_table_problems("corrections", record.corrections.model_dump(), found.model_dump()))


def _task_problems(stated: TaskFacts, task: Task, truth: Truth) -> list[str]:
    actual = TaskFacts.of(task, truth.fingerprints.model_dump())
    return [
        f"task.{name}: stored {getattr(stated, name)!r}, the task has {getattr(actual, name)!r}"
        for name in TaskFacts.model_fields
        if name != "fingerprints" and getattr(stated, name) != getattr(actual, name)
    ]


def _fingerprint_problems(stated: Mapping[str, str | None], found: Fingerprints) -> list[str]:
    strangers = sorted(set(stated) - set(Fingerprints.model_fields))
    problems = [f"task.fingerprints.{name}: no fingerprint of that name" for name in strangers]
    rebuilt = found.model_dump()
    for name, value in rebuilt.items():
        if (stated.get(name) is None) != (value is None):
            problems.append(f"task.fingerprints.{name}: stored {stated.get(name)}, rebuilt {value}")
    known = Fingerprints(**{name: value for name, value in stated.items() if name in rebuilt})
    return [*problems, *(f"task.fingerprints.{line}" for line in compare_fingerprints(known, found))]


def _find_logits(record: RunRecord, path: Path, logits_dirs: Iterable[Path], report: VerifyReport) -> LogitsFile | None:
    """The first file in the usual places; a file whose name carries the hash must have that hash."""
    assert record.logits is not None
    by_hash = f"{record.logits.sha256[:16]}.safetensors"
    folder = path.parent
    places = [folder / "logits.safetensors", path.with_suffix(".safetensors"), folder.parent / "logits" / by_hash]
    present = [place for place in places if place.is_file()]
    if not present:
        present = [place for directory in logits_dirs if (place := _logits_below(directory, record.logits.sha256))]
    if not present:
        report.absent = f"logits with sha256 {record.logits.sha256} were not found: give their folder with --logits"
        return None
    right = [place for place in present if file_sha256(place) == record.logits.sha256]
    if not right:
        found = file_sha256(present[0])
        report.note("logits", [f"logits: {present[0].name} has sha256 {found}, stored {record.logits.sha256}"])
    try:
        file = read_logits((right or present)[0])
    except UserError as error:
        report.note("logits", [error.message])
        return None
    report.note("logits", [])
    return file


def _logits_below(directory: Path, sha256: str) -> Path | None:
    """Logits with this hash at any depth: named by it, as on leaderboards, or beside a record, as in run folders."""
    named = directory / f"{sha256[:16]}.safetensors"
    if named.is_file():
        return named
    beside = sorted(directory.rglob("logits.safetensors"))
    return next((place for place in beside if file_sha256(place) == sha256), None)


def _check_figures(
    record: RunRecord, task: Task, truth: Truth, file: LogitsFile, replicates: int, report: VerifyReport
) -> None:
    assert record.logits is not None
    rows, classes = file.logits.shape
    problems = [*_differing("logits.rows", record.logits.rows, rows), *check_alignment(truth, file)]
    problems += _differing("logits.classes", record.logits.classes, classes)
    problems += [*_differing("logits.dtype", record.logits.dtype, file.dtype), *check_stored(task, file)]
    report.note("alignment", problems)
    if check_alignment(truth, file):
        return
    try:
        found = judge(task, truth, file.logits, calibrated=record.method.calibrated, replicates=replicates)
    except (MetricError, UserError) as error:
        report.note("scores", [f"the logits cannot be judged: {error}"])
        return
    for what, stored, recomputed in _tables(record, found):
        report.note(what, _table_problems(what, stored, recomputed))


def _tables(record: RunRecord, found: Judgement) -> Iterator[tuple[str, Any, Any]]:
    yield "scores", record.scores, found.scores
    yield "intervals", record.intervals, found.intervals
    yield "per_class_ap", record.per_class_ap, found.per_class_ap
    yield "excluded_classes", list(record.excluded_classes), list(found.excluded)


def _table_problems(where: str, stored: Any, recomputed: Any) -> Iterator[str]:
    """Every leaf that differs, by name."""
    if isinstance(stored, dict) and isinstance(recomputed, dict):
        for name in sorted({*stored, *recomputed}):
            if name not in stored or name not in recomputed:
                missing = "missing in the record" if name not in stored else "not a figure of this task"
                yield f"{where}.{name}: {missing}"
            else:
                yield from _table_problems(f"{where}.{name}", stored[name], recomputed[name])
    elif stored != recomputed:
        yield f"{where}: stored {stored}, recomputed {recomputed}"


def _differing(where: str, stored: object, recomputed: object) -> list[str]:
    return [] if stored == recomputed else [f"{where}: stored {stored}, recomputed {recomputed}"]
