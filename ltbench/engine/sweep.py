"""Tasks x recipes x seeds in processes of one thread each that share the cache; a finished key is not run again."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ltbench.backbones.acceleration import unaccelerated
from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.choose import choose_backbone
from ltbench.engine.failures import MachineFault
from ltbench.engine.how import SweepOptions
from ltbench.engine.request import RunRequest
from ltbench.engine.sweep_plan import PlanItem, SweepPlan
from ltbench.method.local import local_files, use_file
from ltbench.plugin.errors import UserError
from ltbench.plugin.manager import LOCAL_PREFIX, registry
from ltbench.plugin.reading import one_line
from ltbench.plugin.system import end_with_parent, usable_cores
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
        parts = (self.item.preset or "", self.item.backbone or "", size, share, options)
        extra = " ".join(part for part in parts if part)
        return f"{self.task} {self.item.method}{f' [{extra}]' if extra else ''} seed {self.seed}"


@dataclass(frozen=True)
class CellResult:
    """How one run ended.

    Attributes:
        status: ``completed``, ``diverged``, ``failed``, ``refused`` (it cannot run) or ``crashed`` (its process died,
            or disk, memory or cache failed it; nothing is recorded).
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


def sweep(plan: SweepPlan, options: SweepOptions, reporter: Reporter = SILENT) -> list[CellResult]:
    """Run a plan; one line a run. A run that fails, is refused or whose process dies never stops the others."""
    cells = expand(plan)
    for line in filter(None, [*run_once(plan), *chosen_backbones(plan), unaccelerated(plan.dtype, options.device)]):
        reporter.line(line)
    jobs = min(options.jobs or max(1, usable_cores() // plan.threads), len(cells))
    if options.workers is None and jobs > 1:
        # The cores are the other runs'.
        options = replace(options, workers=0)
    results: dict[Cell, CellResult] = {}
    with reporter.task(f"sweep of {len(cells)} runs", len(cells)) as advance:
        for result in _all(cells, plan, options, jobs):
            results[result.cell] = result
            advance(1)
            reporter.line(f"[{len(results)}/{len(cells)}] {describe(result)}")
    return [results[cell] for cell in cells]


def describe(result: CellResult) -> str:
    """One line for a run."""
    if result.status == "completed":
        score = "" if result.score is None else f"{result.score:.2f}"
        return f"{result.cell.label}: {score} ({'already there' if result.reused else f'{result.seconds:.0f} s'})"
    return f"{result.cell.label}: {result.status} ({result.reason})"


def _all(cells: Sequence[Cell], plan: SweepPlan, options: SweepOptions, jobs: int) -> Iterator[CellResult]:
    """Results as they come; a pool whose worker died is replaced, and only the runs in flight count as crashed once."""
    files = [path for path in local_files() if any(cell.item.method.startswith(LOCAL_PREFIX) for cell in cells)]
    pending = list(cells)
    retried: set[Cell] = set()
    while pending:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(plan.threads, files)) as pool:
            flying: dict[Future[CellResult], Cell] = {}
            try:
                while pending or flying:
                    while pending and len(flying) < jobs:
                        cell = pending.pop(0)
                        flying[pool.submit(_work, cell, plan, options)] = cell
                    finished, _ = wait(flying, return_when=FIRST_COMPLETED)
                    for future in finished:
                        yield future.result()
                        del flying[future]
            except BrokenProcessPool:
                for cell in flying.values():
                    if cell in retried:
                        yield CellResult(cell, "crashed", 0.0, reason="its process died twice")
                    else:
                        # The dead process may have been the other one's; each run in flight gets one more try.
                        retried.add(cell)
                        pending.insert(0, cell)


def _begin(threads: int, files: Sequence[str]) -> None:
    """Threads of a worker process, and the methods that only files hold; it ends with its parent."""
    end_with_parent()
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    for path in files:
        # A file that can no longer be read is told by each of its runs.
        with suppress(UserError):
            use_file(path)


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
        selection=plan.selection,
        validation=plan.validation,
        overwrite=options.overwrite,
        audit_selection=options.audit_selection,
        workers=options.workers,
    )


def _work(cell: Cell, plan: SweepPlan, options: SweepOptions) -> CellResult:
    """One run, in a worker process."""
    from ltbench.engine.run import run_one

    started = time.monotonic()
    try:
        finished = run_one(request_of(cell, plan, options))
    except MachineFault as error:
        return CellResult(cell, "crashed", time.monotonic() - started, reason=str(error))
    except UserError as error:
        return CellResult(cell, "refused", time.monotonic() - started, reason=str(error))
    except Exception as error:  # whatever it is, it is this run's, and the others go on
        reason = f"{type(error).__name__}: {one_line(error)}"
        return CellResult(cell, "failed", time.monotonic() - started, reason=reason)
    record = finished.record
    scores: Mapping[str, float | None] = record.scores.get(record.task.headline, {})
    return CellResult(
        cell,
        record.status,
        time.monotonic() - started,
        score=scores.get("total"),
        reused=finished.reused,
        reason=record.reason or "",
        record=finished.folder / "record.json",
    )
