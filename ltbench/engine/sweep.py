"""Tasks x recipes x seeds, each run made once by whichever process comes first; a finished key is not run again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from ltbench.backbones.acceleration import unaccelerated
from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.cells import (
    Cell,
    CellResult,
    backbone_of,
    chosen_backbones,
    describe,
    expand,
    request_of,
    run_once,
    work,
)
from ltbench.engine.executors.base import ExecutorOptions, Job
from ltbench.engine.executors.drive import drive, new_name
from ltbench.engine.executors.local import LocalExecutor, open_local
from ltbench.engine.how import SweepOptions
from ltbench.engine.sweep_plan import SweepPlan
from ltbench.engine.where import Where, files_of, recorded_cells

__all__ = [
    "Cell",
    "CellResult",
    "SweepOptions",
    "Where",
    "backbone_of",
    "chosen_backbones",
    "describe",
    "expand",
    "request_of",
    "run_once",
    "sweep",
    "work",
]


def sweep(
    plan: SweepPlan, options: SweepOptions, reporter: Reporter = SILENT, where: Where | None = None
) -> list[CellResult]:
    """Run a plan; one line a run. A run that fails, is refused or whose process dies never stops the others.

    Several sweeps of one plan share its runs: one that another process makes is left to it, and asked for later.

    Raises:
        UserError: the executor cannot be used, or the resources do not fit the plan; nothing has run.
    """
    where = where or Where()
    cells = expand(plan)
    for line in filter(None, [*run_once(plan), *chosen_backbones(plan), unaccelerated(plan.dtype, options.device)]):
        reporter.line(line)
    results: dict[Cell, CellResult] = {}
    with reporter.task(f"sweep of {len(cells)} runs", len(cells)) as advance:
        for result in _all(cells, plan, options, where, reporter):
            results[result.cell] = result
            advance(1)
            reporter.line(f"[{len(results)}/{len(cells)}] {describe(result)}")
    return [results[cell] for cell in cells]


def _all(
    cells: Sequence[Cell], plan: SweepPlan, options: SweepOptions, where: Where, reporter: Reporter
) -> Iterator[CellResult]:
    """Results as they come: of what is recorded first, then of what has to run."""
    if where.elsewhere:
        from ltbench.engine.elsewhere import Elsewhere

        with closing(Elsewhere(plan, options, where, reporter)) as elsewhere:
            yield from elsewhere.results()
        return
    where.resources.check({cell.item.method for cell in cells}, plan.threads)
    done = recorded_cells(cells, plan, options, where)
    yield from done.values()
    left = [cell for cell in cells if cell not in done]
    if left:
        yield from _here(left, plan, options, where)


def _here(cells: Sequence[Cell], plan: SweepPlan, options: SweepOptions, where: Where) -> Iterator[CellResult]:
    """Runs in processes on this machine."""
    executor = _processes(len(cells), plan, options, where)
    if options.workers is None and executor.room() > 1:
        # The cores are the other runs'.
        options = replace(options, workers=0)
    files = files_of(cells)
    groups = [Job(new_name(), (cell,), plan, options, files) for cell in cells]

    def nothing(job: Job, cell: Cell) -> CellResult | None:
        return None

    with closing(executor):
        yield from drive(groups, executor, ask=nothing)


def _processes(runs: int, plan: SweepPlan, options: SweepOptions, where: Where) -> LocalExecutor:
    """As many processes as the machine allows, and no more than there are runs."""
    methods = [item.method for item in plan.items]
    how = ExecutorOptions(options.jobs, plan.threads, options.device, where.resources.most(methods))
    allowed = open_local(how).room()
    return open_local(replace(how, jobs=min(allowed, runs)))
