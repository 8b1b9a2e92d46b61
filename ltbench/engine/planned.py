"""A sweep's plan before it begins: its runs as they would be typed, and what they need together. Imports no torch."""

from __future__ import annotations

from dataclasses import replace

from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.cells import Cell, expand, request_of
from ltbench.engine.expected import recorded_seeds
from ltbench.engine.how import SweepOptions
from ltbench.engine.lacks import Look
from ltbench.engine.preflight import Preflight, preflight
from ltbench.engine.sweep_plan import SweepPlan
from ltbench.engine.whole import Whole, whole_of
from ltbench.plugin.errors import UserError


def look_at_plan(plan: SweepPlan, options: SweepOptions, reporter: Reporter = SILENT) -> Whole:
    """Look what the runs of a plan need; runs that cannot be made are counted, and refused when their turn comes.

    Raises:
        UserError: as :func:`ltbench.engine.sweep.expand`.
    """
    look, found, refused = Look(), list[Preflight](), dict[str, int]()
    first: Cell | None = None
    seeds: frozenset[int] | None = None
    known: Preflight | UserError | None = None
    for cell in expand(plan):
        # Seeds come one after the other, and differ in nothing that is looked at here.
        if first is None or (cell.pinned, id(cell.item)) != (first.pinned, id(first.item)):
            first, seeds = cell, None
            try:
                known = preflight(request_of(cell, plan, options), reporter, look)
            except UserError as error:
                known = error
        elif isinstance(known, Preflight):
            request = replace(known.request, seed=cell.seed)
            if seeds is None:
                seeds = recorded_seeds(request)
            known = replace(known, request=request, recorded=cell.seed in seeds)
        if isinstance(known, Preflight):
            found.append(known)
        else:
            refused[str(known)] = refused.get(str(known), 0) + 1
    return whole_of(found, refused)
