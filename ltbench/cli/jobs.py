"""Sweeps whose jobs are elsewhere: submitted, shown, given up."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from ltbench.cli.output import note, say

if TYPE_CHECKING:
    from ltbench.data.progress import Reporter
    from ltbench.engine.elsewhere import Standing
    from ltbench.engine.how import SweepOptions
    from ltbench.engine.sweep_plan import SweepPlan
    from ltbench.engine.where import Where

#: Rows of the table of ``--status``; all are in ``--json``.
SHOWN = 20
#: In the order of a table: what asks for attention first.
_ORDER = ("crashed", "failed", "diverged", "refused", "running", "unknown", "waiting", "open", "completed")


def submit(plan: SweepPlan, options: SweepOptions, where: Where, reporter: Reporter, as_json: bool) -> None:
    """Submit what has to run, and say how to follow it."""
    from ltbench.cli.output import print_json
    from ltbench.engine.elsewhere import Elsewhere

    with closing(Elsewhere(plan, options, where, reporter)) as elsewhere:
        recorded, ids = elsewhere.submit()
    if as_json:
        print_json({"runs": len(elsewhere.cells), "recorded": recorded, "jobs": ids})
        return
    say(f"{recorded} of {len(elsewhere.cells)} runs are recorded; {_jobs(len(ids))} submitted{_first(ids)}.")
    say("Follow: the same command with --status in place of --detach; --cancel gives the jobs up.")


def show(plan: SweepPlan, options: SweepOptions, where: Where, as_json: bool) -> None:
    """Say how each run stands."""
    from ltbench.cli.output import Column, print_json, print_table, seconds
    from ltbench.engine.elsewhere import Elsewhere

    with closing(Elsewhere(plan, options, where)) as elsewhere:
        standing = elsewhere.standing()
    if as_json:
        print_json([_json(each) for each in standing])
        return
    counts = {state: sum(each.state == state for each in standing) for state in _ORDER}
    ordered = sorted(standing, key=lambda each: _ORDER.index(each.state))
    print_table(
        ["run", "state", Column("score", right=True), Column("time", right=True), "job"],
        [
            [
                each.cell.label,
                each.state if not (each.result and each.result.reason) else f"{each.state}: {each.result.reason}",
                "" if each.result is None or each.result.score is None else f"{each.result.score:.2f}",
                "" if each.result is None or each.result.reused else seconds(each.result.seconds),
                each.job,
            ]
            for each in ordered[:SHOWN]
        ],
    )
    if len(ordered) > SHOWN:
        note(f"{len(ordered) - SHOWN} more runs; --json has them all")
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    say(f"{len(standing)} runs: {told}.")
    if counts["open"]:
        note("Open runs are submitted by the same command without --status.")


def cancel(plan: SweepPlan, options: SweepOptions, where: Where, as_json: bool) -> None:
    """Give the jobs of a sweep up."""
    from ltbench.cli.output import print_json
    from ltbench.engine.elsewhere import Elsewhere

    with closing(Elsewhere(plan, options, where)) as elsewhere:
        ids = elsewhere.cancel()
    if as_json:
        print_json({"cancelled": ids})
        return
    say(f"{_jobs(len(ids))} given up{_first(ids)}; what is recorded stays, and runs go on from their last epoch.")


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _first(ids: list[str]) -> str:
    if not ids:
        return ""
    return f" ({', '.join(ids[:3])}{' …' if len(ids) > 3 else ''})"


def _json(each: Standing) -> dict[str, Any]:
    result = each.result
    return {
        "task": each.cell.task,
        "method": each.cell.item.method,
        "preset": each.cell.item.preset,
        "options": each.cell.item.options,
        "seed": each.cell.seed,
        "state": each.state,
        "job": each.job,
        "score": None if result is None else result.score,
        "reason": "" if result is None else result.reason,
        "path": None if result is None or result.record is None else str(result.record),
    }
