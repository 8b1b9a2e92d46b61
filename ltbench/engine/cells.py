"""The runs of a plan: what each is, as it would be typed, and how it ended. Imports no torch."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ltbench.data.progress import SILENT
from ltbench.engine.choose import choose_backbone
from ltbench.engine.failures import MachineFault, is_the_machines
from ltbench.engine.how import SweepOptions
from ltbench.engine.request import RunRequest
from ltbench.engine.sweep_plan import PlanItem, SweepPlan
from ltbench.plugin.errors import DiskFull, UserError
from ltbench.plugin.manager import registry
from ltbench.plugin.reading import one_line
from ltbench.records.read import RECORD_NAME
from ltbench.records.record import RunRecord
from ltbench.records.store import RunBusyError
from ltbench.tasks.defaults import Chosen
from ltbench.tasks.registry import PinnedTask, resolve


@dataclass(frozen=True)
class Cell:
    """One run of a sweep."""

    pinned: PinnedTask
    # Options may hold lists, which have no hash; equality still looks at them.
    item: PlanItem = field(hash=False)
    seed: int = 0

    @property
    def task(self) -> str:
        """Address of the task."""
        return self.pinned.address

    @property
    def label(self) -> str:
        """How a line names the run."""
        options = ",".join(f"{name}={value}" for name, value in self.item.options.items())
        size = "" if self.item.image_size is None else f"{self.item.image_size} pixels"
        share = "" if self.item.share is None else f"share {self.item.share:g}"
        # What is said of each is what is typed of it: two items may differ in nothing else.
        named = {"selection": self.item.selection, "validation": self.item.validation}
        epoch = " ".join(f"{name} {value}" for name, value in named.items() if value is not None)
        parts = (self.item.preset or "", self.item.backbone or "", size, share, epoch, options)
        extra = " ".join(part for part in parts if part)
        return f"{self.task} {self.item.method}{f' [{extra}]' if extra else ''} seed {self.seed}"


@dataclass(frozen=True)
class CellResult:
    """How one run ended.

    Attributes:
        status: ``completed``, ``diverged``, ``failed``, ``refused`` (it cannot run), ``crashed`` (its process died, or
            disk, memory or cache failed it; nothing is recorded) or ``busy`` (another process is making it).
        score: headline metric, total, percent.
    """

    cell: Cell
    status: str
    seconds: float
    score: float | None = None
    reused: bool = False
    reason: str = ""
    record: Path | None = None


def expand(plan: SweepPlan) -> list[Cell]:
    """All runs of a plan: recipes with one seed after the other, so that a stopped sweep has whole recipes.

    A deterministic recipe gets the first seed alone, because its other runs would repeat that one.

    Raises:
        UnknownName: a task or a recipe that nobody registered.
        UserError: an item names a task that the plan does not have.
    """
    tasks = [PinnedTask.of(task) for name in plan.tasks for task in resolve(name)]
    own: list[set[PinnedTask]] = []
    for item in plan.items:
        registry().methods.get(item.method)
        own.append({PinnedTask.of(task) for name in item.tasks for task in resolve(name)})
        if strange := own[-1] - set(tasks):
            first = min(task.address for task in strange)
            raise UserError(f"{item.method} of the plan runs on {first}, the plan does not", "name it in tasks")
    return [
        Cell(task, item, seed)
        for task in tasks
        for item, chosen in zip(plan.items, own, strict=True)
        if not chosen or task in chosen
        for seed in (plan.seeds[:1] if _is_deterministic(item.method) else plan.seeds)
    ]


def _is_deterministic(method: str) -> bool:
    return registry().methods.get(method).spec.deterministic


def run_once(plan: SweepPlan) -> list[str]:
    """A line on the recipes whose seed changes nothing, so that they get one; empty where there are none."""
    names = list(dict.fromkeys(item.method for item in plan.items if _is_deterministic(item.method)))
    if not names or len(plan.seeds) < 2:
        return []
    verb = "is" if len(names) == 1 else "are"
    return [f"{', '.join(names)} {verb} deterministic: one run in place of {len(plan.seeds)}, of seed {plan.seeds[0]}"]


def backbone_of(cell: Cell, plan: SweepPlan) -> Chosen:
    """The backbone of one run of a plan, and why: the item's own, else the plan's, else what the run would choose.

    Raises:
        UserError: as :func:`ltbench.engine.choose.choose_backbone`.
    """
    item = cell.item
    how: dict[str, Any] = {"preset": item.preset, "variant": item.variant, "overrides": item.options}
    return choose_backbone(cell.pinned.open(), item.method, item.backbone or plan.backbone, **how)


def chosen_backbones(plan: SweepPlan) -> list[str]:
    """One line for each backbone that nobody named, and how many runs take it; runs without one are refused later."""
    if plan.backbone is not None:
        return []
    counts: Counter[str] = Counter()
    for cell in expand(plan):
        if cell.item.backbone is not None:
            continue
        with suppress(UserError):
            counts[str(backbone_of(cell, plan))] += 1
    return [f"{name}: {count} runs" for name, count in counts.items()]


def describe(result: CellResult) -> str:
    """One line for a run."""
    if result.status == "completed":
        score = "" if result.score is None else f"{result.score:.2f}"
        return f"{result.cell.label}: {score} ({'already there' if result.reused else f'{result.seconds:.0f} s'})"
    return f"{result.cell.label}: {result.status} ({result.reason})"


def request_of(cell: Cell, plan: SweepPlan, options: SweepOptions) -> RunRequest:
    """One run of a plan as it would be typed.

    Raises:
        UserError: as :func:`backbone_of`.
    """
    chosen = backbone_of(cell, plan)
    return RunRequest(
        task=cell.pinned.open(),
        method=cell.item.method,
        backbone=chosen.name,
        why_backbone=chosen.why,
        weights=plan.weights,
        image_size=plan.image_size if cell.item.image_size is None else cell.item.image_size,
        dtype=plan.dtype,
        seed=cell.seed,
        preset=cell.item.preset,
        overrides=cell.item.options,
        variant=cell.item.variant,
        device=options.device,
        threads=plan.threads,
        data_root=options.data_root,
        out=options.out,
        limit=plan.limit,
        share=cell.item.share or plan.share,
        selection=cell.item.selection or plan.selection,
        validation=cell.item.validation or plan.validation,
        overwrite=options.overwrite,
        audit_selection=options.audit_selection,
        workers=options.workers,
    )


def work(cell: Cell, plan: SweepPlan, options: SweepOptions, wait: float = 24 * 3600.0) -> CellResult:
    """One run, in this process; whatever becomes of it is its result.

    Args:
        wait: seconds to wait for another process that makes the same run; then it is ``busy``.
    """
    from ltbench.engine.run import run_one

    started = time.monotonic()
    try:
        finished = run_one(request_of(cell, plan, options), SILENT, wait=wait)
    except RunBusyError as error:
        return CellResult(cell, "busy", time.monotonic() - started, reason=str(error))
    except (MachineFault, DiskFull) as error:
        return CellResult(cell, "crashed", time.monotonic() - started, reason=str(error))
    except UserError as error:
        return CellResult(cell, "refused", time.monotonic() - started, reason=str(error))
    except Exception as error:  # whatever it is, it is this run's, and the others go on
        if is_the_machines(error):
            return CellResult(cell, "crashed", time.monotonic() - started, reason=str(MachineFault.of(error)))
        reason = f"{type(error).__name__}: {one_line(error)}"
        return CellResult(cell, "failed", time.monotonic() - started, reason=reason)
    path = finished.folder / RECORD_NAME
    return result_of(cell, finished.record, path, time.monotonic() - started, reused=finished.reused)


def result_of(cell: Cell, record: RunRecord, path: Path, seconds: float, *, reused: bool) -> CellResult:
    """How a recorded run ended."""
    scores: Mapping[str, float | None] = record.scores.get(record.task.headline, {})
    return CellResult(cell, record.status, seconds, scores.get("total"), reused, record.reason or "", path)
