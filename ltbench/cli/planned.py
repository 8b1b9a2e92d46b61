"""Plans of many runs before the first begins: all that they lack and take, each thing once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ltbench.data.progress import Reporter
    from ltbench.engine.how import SweepOptions
    from ltbench.engine.sweep_plan import SweepPlan
    from ltbench.engine.whole import Whole


def show(plan: SweepPlan, options: SweepOptions, what: str) -> Whole:
    """Say on stderr what the runs of a plan need and take; nothing is brought.

    Args:
        what: what people call the runs together.
    """
    from ltbench.cli.output import note
    from ltbench.cli.preflight import whole_lines
    from ltbench.engine.planned import look_at_plan

    whole = look_at_plan(plan, options)
    for line in whole_lines(whole, what, jobs_of(plan, options, whole)):
        note(line)
    return whole


def begin(plan: SweepPlan, options: SweepOptions, reporter: Reporter, what: str) -> None:
    """Refuse a plan that cannot start; else say what its runs need and take, and bring what they lack.

    Raises:
        UserError: something is missing and cannot be brought, all of it in one error; or there is too little disk.
    """
    from ltbench.cli.preflight import whole_lines
    from ltbench.data.base import default_offline
    from ltbench.engine.planned import look_at_plan
    from ltbench.engine.whole import bring, clear

    whole = look_at_plan(plan, options)
    clear(whole, default_offline(), what)
    for line in whole_lines(whole, what, jobs_of(plan, options, whole)):
        reporter.line(line)
    bring(whole, reporter)


def jobs_of(plan: SweepPlan, options: SweepOptions, whole: Whole) -> int:
    """Runs at a time, of those that are not recorded yet."""
    from ltbench.plugin.system import usable_cores

    jobs = options.jobs or max(1, usable_cores() // plan.threads)
    return max(1, min(jobs, len(whole.open)))
