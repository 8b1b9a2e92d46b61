"""A recorded run trained again from what its record states, and compared: bits where they must agree, else figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ltbench.data.base import DataRoot
from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.request import RunRequest
from ltbench.engine.restate import restate
from ltbench.engine.run import run_one
from ltbench.method.extras import CLEAN_VALIDATION
from ltbench.plugin.errors import UserError
from ltbench.records.environment import is_one_processor
from ltbench.records.read import load_record
from ltbench.records.record import RunRecord, run_key
from ltbench.records.versions import FIRST_WITH_DEVICE
from ltbench.tasks.needs import plan_of_run
from ltbench.tasks.registry import load_task

#: Percentage points by which figures may move on another processor or with another torch, where bits need not agree:
#: those of the headline metric, and those of others, which count decisions at a threshold. Three and four times
#: the largest that was measured, see docs/explanation/evidence.md.
HEADLINE_TOLERANCE: Final = 0.1
OTHER_TOLERANCE: Final = 0.5
#: The same for metrics of the k highest classes of an image: two scores that lie close change places as a whole.
TOP_K_TOLERANCE: Final = 4.0
#: Facts of the environment that fix the bits of a run together with seed, threads and device.
_FIXES_BITS: Final = ("machine", "torch", "torchvision", "open_clip", "numpy", "platform")


@dataclass
class RerunReport:
    """How a run came out the second time.

    Attributes:
        path: the record.
        verdict: ``same`` (the same bits), ``close`` (figures within the tolerance), ``WRONG``, or ``not run``.
        problems: what differs, one line each.
        unchecked: facts that nothing here can check.
        stored: headline figure of the record, percent.
        again: that of the second run.
        tolerance: percentage points by which these may differ where bits need not agree; None where they must.
        reason: why it was not run.
    """

    path: Path
    verdict: str = "not run"
    problems: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    stored: float | None = None
    again: float | None = None
    tolerance: float | None = None
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether the run came out as its record says."""
        return self.verdict in ("same", "close")


def request_of(record: RunRecord, out: Path, data_root: Path | None = None) -> RunRequest:
    """The request that gives the run of a record: its configuration as stated, whatever presets say today.

    Raises:
        UserError: the task is not installed.
    """
    return RunRequest(
        task=load_task(record.task.address),
        method=record.method.name,
        backbone=record.backbone.name,
        weights="random" if record.backbone.weights == "random" else None,
        image_size=record.backbone.image_size,
        dtype=record.backbone.dtype,  # type: ignore[arg-type]
        seed=record.seed,
        preset="none",
        overrides=record.method.config,
        variant=record.method.variant,
        device=record.device,
        threads=record.threads,
        data_root=data_root,
        out=out,
        limit=record.limit,
        share=record.share,
        selection="validation" if record.selection.rule == "validation" else "last",
        overwrite="always",
        validation="clean" if CLEAN_VALIDATION in record.extras else "observed",
        accumulation=record.accumulation or 1,
    )


def rerun(path: Path, out: Path, data_root: Path | None = None, reporter: Reporter = SILENT) -> RerunReport:
    """Train the run of a record again and compare.

    Args:
        path: the record.
        out: folder for the second run.
        data_root: where data sets are.

    Returns:
        ``WRONG`` as well where the record's facts are not those of what is installed: then nothing is trained.
    """
    report = RerunReport(path)
    try:
        record = load_record(path)
        if record.world_size is not None:
            report.reason = f"{record.world_size} processes made it together, and this is one"
            return report
        request = request_of(record, out, data_root)
        again = restate(record, request.task, request.root())
        report.unchecked = again.unchecked
        if again.problems:
            report.verdict, report.problems = "WRONG", again.problems
            return report
        second = run_one(request, reporter).record
    except UserError as error:
        report.reason = error.message
        return report
    _compare(record, second, report)
    return report


def _compare(first: RunRecord, second: RunRecord, report: RerunReport) -> None:
    if first.status != second.status:
        report.problems.append(f"status: stored {first.status}, trained again {second.status} ({second.reason})")
    elif first.logits is None or second.logits is None:
        pass
    elif _identity(_with_gained(first, second), first.schema_version) != _identity(second, first.schema_version):
        report.problems.append("key: what was trained again is not the run that the record states")
    else:
        report.stored, report.again = _headline(first), _headline(second)
    if report.problems:
        report.verdict = "WRONG"
        return
    if first.logits and second.logits and first.logits.sha256 == second.logits.sha256:
        # Figures are what the same logits are judged to be, on any machine.
        report.problems += _figures(first, second, exact=True)
        report.verdict = "WRONG" if report.problems else "same"
        return
    if first.logits is None or second.logits is None:
        report.verdict = "close"
        return
    if bits_must_agree(first, second):
        report.problems.append(
            f"logits.sha256: stored {first.logits.sha256}, trained again {second.logits.sha256} on the same processor, "
            "versions and threads"
        )
    else:
        report.tolerance = HEADLINE_TOLERANCE
        report.problems += _figures(first, second, exact=False)
    report.verdict = "WRONG" if report.problems else "close"


def _with_gained(first: RunRecord, second: RunRecord) -> RunRecord:
    """The record with the options that its recipe has gained since, which the second run had at their defaults."""
    config = {**second.method.config, **first.method.config}
    return first.model_copy(update={"method": first.method.model_copy(update={"config": config})})


def _identity(record: RunRecord, version: int) -> str:
    """The key of a run by the formula of a schema version, which decides whether the device belongs to it."""
    device = record.device if version >= FIRST_WITH_DEVICE else None
    # Older records name fewer extras; those were compared as facts.
    return run_key(
        task=record.task,
        method=record.method,
        backbone=record.backbone.model_copy(update={"revision": ""}),
        selection_rule=record.selection.rule,
        threads=record.threads,
        seed=record.seed,
        limit=record.limit,
        share=record.share,
        device=device,
        world_size=record.world_size,
        accumulation=record.accumulation,
    )


def bits_must_agree(first: RunRecord, second: RunRecord) -> bool:
    """Whether two runs of one key have to give the same logits, bit for bit.

    A name that several kinds of processor bear decides nothing: they round differently.
    """
    a, b = first.environment, second.environment
    same = is_one_processor(a.machine) and all(getattr(a, name) == getattr(b, name) for name in _FIXES_BITS)
    return same and first.cost.device == second.cost.device and first.threads == second.threads


def _figures(first: RunRecord, second: RunRecord, exact: bool) -> list[str]:
    """Figures that differ: at all, or by more than the tolerance."""
    problems = []
    for metric, subsets in first.scores.items():
        allowed = 0.0 if exact else _tolerance(metric, first.task.headline)
        for subset, stored in subsets.items():
            again = second.scores.get(metric, {}).get(subset)
            if stored == again:
                continue
            if exact or stored is None or again is None or abs(stored - again) > allowed:
                limit = "" if exact else f", allowed difference {allowed}"
                problems.append(f"scores.{metric}.{subset}: stored {stored}, trained again {again}{limit}")
    return problems


def _tolerance(metric: str, headline: str) -> float:
    """Percentage points by which a metric may move where bits need not agree."""
    if metric == headline:
        return HEADLINE_TOLERANCE
    return TOP_K_TOLERANCE if "@" in metric else OTHER_TOLERANCE


def _headline(record: RunRecord) -> float | None:
    return record.scores[record.task.headline]["total"]


def seconds_of(record: RunRecord) -> float:
    """What a run took by its own record: encoding, training and judging."""
    cost = record.cost
    return sum(part or 0.0 for part in (cost.encode_seconds, cost.train_seconds, cost.evaluate_seconds))


def with_data(paths: Sequence[Path], data_root: Path | None) -> list[Path]:
    """Those records whose data sets are here, in the order given.

    Raises:
        UserError: a record cannot be read, or names a task that is not known.
    """
    root = DataRoot(root=data_root)
    addresses = [load_record(path).task.address for path in paths]
    here = {
        address: all(item.state == "here" for item in plan_of_run(load_task(address), root).items)
        for address in dict.fromkeys(addresses)
    }
    return [path for path, address in zip(paths, addresses, strict=True) if here[address]]


def sample(paths: Sequence[Path], budget: float) -> list[Path]:
    """A fixed sample of records to run again, in order of their keys, which are hashes and so follow no other order.

    At most one of each method, none that took more than a tenth of the budget, as many as fit into it.

    Args:
        paths: records.
        budget: seconds that all of them took together, by what they state.

    Raises:
        UserError: a record cannot be read.
    """
    chosen: list[Path] = []
    seen: set[str] = set()
    left = budget
    found = sorted(((load_record(path), path) for path in paths), key=lambda pair: (pair[0].key, str(pair[1])))
    for record, path in found:
        seconds = seconds_of(record)
        if record.status == "completed" and record.method.name not in seen and seconds <= min(left, budget / 10):
            chosen.append(path)
            seen.add(record.method.name)
            left -= seconds
    return chosen
