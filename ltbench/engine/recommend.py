"""Which method for a task: each tuned alike on validation rows, then trained with several seeds, then judged.

No test label is read before the last trial of the last method is over: the runs come after all of the choices. What is
done is in the folder of searches and that of runs, each by its key, so that a stopped job goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.budget import RUN_IN_TRIALS, Extent, cap_of_trial, fit
from ltbench.engine.first_trials import FirstTrials, begin, encode, first_trials, folder_of, request_of
from ltbench.engine.held_out import with_validation
from ltbench.engine.request import RunRequest
from ltbench.engine.run import Finished, run_one
from ltbench.engine.select import select
from ltbench.engine.suggested import Suggestion
from ltbench.engine.tune import TuneReport, tune
from ltbench.engine.wish import Outcome, Tried, Wish
from ltbench.plugin.errors import UserError
from ltbench.tasks.defaults import Chosen, default_backbone


def recommend(wish: Wish, reporter: Reporter = SILENT) -> Outcome:
    """Try methods on a task.

    Raises:
        UserError: nothing fits, something is missing and cannot be brought, or no method completed a trial or a run.
    """
    started = time.monotonic()
    backbone = default_backbone(wish.task) if wish.backbone is None else Chosen(wish.backbone)
    chosen = select(wish.methods, wish.task, backbone.name)
    tuning, held_out = with_validation(wish.task)
    requests = {one: request_of(wish, tuning, backbone.name, one) for one in chosen.chosen}
    begin(wish, list(requests.values()), reporter)
    folder = folder_of(wish, backbone.name)
    spent = encode(folder, list(requests.values()), reporter)
    cap = cap_of_trial(wish.budget, len(requests))
    first = first_trials(wish, requests, cap, spent, reporter)
    spent += first.seconds
    if not first.candidates:
        why = "; ".join(f"{one.suggestion.method}: {one.why_out}" for one in first.out)
        raise UserError(f"no method completed a trial on {wish.task.address} ({why})", "ltbench tune --help")
    left = None if wish.budget is None else wish.budget - spent
    extent = fit(list(first.candidates.values()), wish.trials, wish.seeds, wish.shares, left)
    for line in _said(extent, wish):
        reporter.line(line)
    searches = _search(wish, requests, first, extent, cap, reporter)
    extent = _after_search(wish, first, searches, extent, spent, reporter)
    tried = _run(wish, requests, first, searches, extent, reporter)
    if not any(one.completed for one in tried):
        reasons = [
            f"{one.suggestion.method} {run.record.status} ({run.record.reason})" for one in tried for run in one.runs
        ]
        raise UserError(f"no run completed on {wish.task.address}: {'; '.join(reasons[:3])}", "ltbench list runs")
    learner = _learner(tried)
    curve = {} if learner is None else _curve(wish, requests, learner, searches, extent, reporter)
    return Outcome(
        wish, backbone, extent, tried, chosen.left_out, curve, learner if curve else None, held_out,
        time.monotonic() - started, folder,
    )  # fmt: skip


def _said(extent: Extent, wish: Wish) -> Iterator[str]:
    if extent.cut:
        yield f"the budget of {_time(wish.budget or 0)} leaves {'; '.join(extent.cut)}"
    yield (
        f"{len(extent.methods)} methods, {extent.trials} trials each on validation rows, then seeds "
        f"{', '.join(map(str, extent.seeds))}: about {_time(extent.seconds)}"
    )


def _search(
    wish: Wish,
    requests: dict[Suggestion, RunRequest],
    first: FirstTrials,
    extent: Extent,
    cap: float,
    reporter: Reporter,
) -> dict[Suggestion, TuneReport]:
    """All trials of the methods that are kept."""
    kept = {one: found for one, found in first.candidates.items() if found.name in extent.methods}
    searches = {}
    waiting = [one for one in kept.values() if one.tunes]
    for one, candidate in kept.items():
        searches[one] = first.searches[one]
        if not candidate.tunes or extent.trials < 2:
            continue
        left = sum((extent.trials - 1) * other.seconds for other in waiting)
        reporter.line(f"tuning {one.method}; about {_time(left)} of tuning left")
        searches[one] = tune(requests[one], extent.trials, cap, reporter)
        waiting.remove(candidate)
    return searches


def _after_search(
    wish: Wish,
    first: FirstTrials,
    searches: dict[Suggestion, TuneReport],
    extent: Extent,
    before: float,
    reporter: Reporter,
) -> Extent:
    """What fits when the trials are known: what they chose may take longer than where they began."""
    if wish.budget is None:
        return extent
    chosen = [
        replace(first.candidates[one], seconds=report.best.seconds, score=report.best.score, tunes=False)
        for one, report in searches.items()
    ]
    later = sum(trial.seconds for report in searches.values() for trial in report.trials[1:])
    again = fit(chosen, 1, extent.seeds, extent.shares, wish.budget - before - later)
    if again.cut:
        reporter.line(f"after tuning the budget leaves {'; '.join(again.cut)}")
    return replace(again, trials=extent.trials, cut=(*extent.cut, *again.cut))


def _run(
    wish: Wish,
    requests: dict[Suggestion, RunRequest],
    first: FirstTrials,
    searches: dict[Suggestion, TuneReport],
    extent: Extent,
    reporter: Reporter,
) -> tuple[Tried, ...]:
    """Train and judge; from here on test labels are read."""
    plan = {one: extent.seeds[:1] if candidate.once else extent.seeds for one, candidate in first.candidates.items()
            if candidate.name in extent.methods}  # fmt: skip
    once = [one.method for one in plan if first.candidates[one].once]
    if once and len(extent.seeds) > 1:
        reporter.line(f"{', '.join(once)}: deterministic, so one run in place of {len(extent.seeds)}")
    total, number = sum(map(len, plan.values())), 0
    runs: dict[Suggestion, tuple[Finished, ...]] = {}
    for one, seeds in plan.items():
        finished = []
        for seed in seeds:
            number += 1
            left = _left(plan, first, one, seed)
            reporter.line(f"[{number}/{total}] {one.method} seed {seed}; about {_time(left)} of runs left")
            finished.append(run_one(_tuned(wish, requests[one], searches[one], seed), reporter))
        runs[one] = tuple(finished)
    tried = []
    out = {one.suggestion: one for one in first.out}
    for one in requests:
        if one in out:
            tried.append(out[one])
            continue
        report = searches.get(one, first.searches[one])
        why = "" if one in runs else "left out for time"
        tried.append(Tried(one, len(report.trials), report.best.score, why, runs.get(one, ())))
    return tuple(tried)


def _left(plan: dict[Suggestion, tuple[int, ...]], first: FirstTrials, now: Suggestion, seed: int) -> float:
    """Seconds of the runs from this one on."""
    order = [(one, each) for one, seeds in plan.items() for each in seeds]
    coming = order[order.index((now, seed)) :]
    return RUN_IN_TRIALS * sum(first.candidates[one].seconds for one, _ in coming)


def _tuned(wish: Wish, request: RunRequest, search: TuneReport, seed: int) -> RunRequest:
    """A run of what a search chose, on the task as it is."""
    final = replace(request, task=wish.task, seed=seed)
    if len(search.trials) < 2:
        return final
    # The file holds the options already; typed again they would hide where they come from.
    return replace(final, preset=str(search.preset), overrides={})


def _learner(tried: Sequence[Tried]) -> Tried | None:
    """The best method by its mean that has something to learn."""

    def mean(one: Tried) -> float:
        scores = [run.record.scores[run.record.task.headline]["total"] for run in one.completed]
        return sum(score or 0.0 for score in scores) / len(scores)

    learning = [one for one in tried if one.completed and one.completed[0].record.cost.trainable_parameters]
    return max(learning, key=mean, default=None)


def _curve(
    wish: Wish,
    requests: dict[Suggestion, RunRequest],
    learner: Tried,
    searches: dict[Suggestion, TuneReport],
    extent: Extent,
    reporter: Reporter,
) -> dict[float, tuple[Finished, ...]]:
    """Runs on shares of the training rows."""
    one = learner.suggestion
    seeds = [run.record.seed for run in learner.completed]
    found = {}
    for share in extent.shares:
        finished = []
        for seed in seeds:
            reporter.line(f"{one.method} on {share:.0%} of the training images, seed {seed}")
            request = _tuned(wish, requests[one], searches[one], seed)
            finished.append(run_one(replace(request, share=share), reporter))
        if all(run.record.status == "completed" for run in finished):
            found[share] = tuple(finished)
    return found


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
