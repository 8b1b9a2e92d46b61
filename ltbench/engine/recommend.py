"""Which method for a task: each tuned alike on validation rows, then trained with several seeds, then judged.

No test label is read before the last trial of the last method is over: the runs come after all of the choices. What is
done is in the folder of searches and that of runs, each by its key, so that a stopped job goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ltbench.backbones.options import EncodeDtype
from ltbench.data.base import default_offline
from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.budget import RUN_IN_TRIALS, Candidate, Extent, cap_of_trial, fit
from ltbench.engine.held_out import with_validation
from ltbench.engine.prepare import Prepared, prepare, setup_for
from ltbench.engine.request import RunRequest, resolve_method
from ltbench.engine.run import Finished, run_one
from ltbench.engine.select import select
from ltbench.engine.suggested import Suggestion
from ltbench.engine.tune import SearchBusy, TuneReport, search_space, tune
from ltbench.engine.whole import bring, clear, look_at
from ltbench.method import Augment
from ltbench.plugin.errors import Damaged, UserError
from ltbench.plugin.manager import registry
from ltbench.plugin.names import below
from ltbench.plugin.sealed import read_sealed_json, write_sealed_json
from ltbench.records.canonical import sha256_of
from ltbench.tasks.defaults import Chosen, default_backbone
from ltbench.tasks.task import Task
from ltbench.tasks.views import open_test, open_train

FOLDER = "recommend"
STATE = "state.json"
TRIALS = 8
SHARES = (0.25, 0.5)


@dataclass(frozen=True)
class Wish:
    """What is asked.

    Attributes:
        methods: names, ``suggested``, ``all`` or patterns.
        trials: configurations tried of each method that has something to tune.
        shares: of the training rows, for the curve of the best method.
        budget: seconds for everything; None for as long as it takes.
    """

    task: Task
    backbone: str | None = None
    methods: tuple[str, ...] = ("suggested",)
    trials: int = TRIALS
    seeds: tuple[int, ...] = (0, 1, 2)
    shares: tuple[float, ...] = SHARES
    budget: float | None = None
    weights: str | None = None
    image_size: int | None = None
    dtype: EncodeDtype = "float32"
    device: str = "auto"
    threads: int = 1
    workers: int | None = None
    data_root: Path | None = None
    out: Path = Path("ltbench-runs")


@dataclass(frozen=True)
class Tried:
    """One method.

    Attributes:
        trials: how many there were.
        score: best on validation rows, percent; None where none completed.
        why_out: why it was not run; empty where it was.
        runs: one a seed, completed or not.
    """

    suggestion: Suggestion
    trials: int = 0
    score: float | None = None
    why_out: str = ""
    runs: tuple[Finished, ...] = ()

    @property
    def completed(self) -> tuple[Finished, ...]:
        """Runs with scores."""
        return tuple(one for one in self.runs if one.record.status == "completed")


@dataclass(frozen=True)
class Outcome:
    """What was done.

    Attributes:
        tried: methods in order of worth, those that were left out on the way too.
        left_out: methods of a set that do not fit → why.
        curve: share → runs of the best method that learns, on that share of the training rows.
        learner: that method; None where none learns, or there was no time.
        held_out: validation rows are a share of the training rows, because the task has none.
        seconds: from start to end, of this process.
        folder: for the report.
    """

    wish: Wish
    backbone: Chosen
    extent: Extent
    tried: tuple[Tried, ...]
    left_out: dict[str, str]
    curve: dict[float, tuple[Finished, ...]] = field(default_factory=dict)
    learner: Tried | None = None
    held_out: bool = False
    seconds: float = 0.0
    folder: Path = Path()


def recommend(wish: Wish, reporter: Reporter = SILENT) -> Outcome:
    """Try methods on a task.

    Raises:
        UserError: nothing fits, something is missing and cannot be brought, or no method completed a trial or a run.
    """
    started = time.monotonic()
    backbone = default_backbone(wish.task) if wish.backbone is None else Chosen(wish.backbone)
    chosen = select(wish.methods, wish.task, backbone.name)
    tuning, held_out = with_validation(wish.task)
    requests = {one: _request(wish, tuning, backbone.name, one) for one in chosen.chosen}
    _begin(wish, list(requests.values()), reporter)
    folder = _folder(wish, backbone.name)
    spent = _encode(folder, list(requests.values()), reporter)
    cap = cap_of_trial(wish.budget, len(requests))
    first = _first_trials(wish, requests, cap, spent, reporter)
    spent += sum(one.seconds for one in first.seconds)
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


def _request(wish: Wish, task: Task, backbone: str, suggestion: Suggestion) -> RunRequest:
    return RunRequest(
        task=task,
        method=suggestion.method,
        backbone=backbone,
        overrides=dict(suggestion.options),
        weights=wish.weights,
        image_size=wish.image_size,
        dtype=wish.dtype,
        device=wish.device,
        threads=wish.threads,
        workers=wish.workers,
        data_root=wish.data_root,
        out=wish.out,
        seed=wish.seeds[0],
    )


def _begin(wish: Wish, requests: Sequence[RunRequest], reporter: Reporter) -> None:
    """Bring what is missing, or refuse all of it at once."""
    whole = look_at(requests, validates=True)
    clear(whole, default_offline(), f"recommend on {wish.task.address}")
    bring(whole, reporter)


def _folder(wish: Wish, backbone: str) -> Path:
    """Of the report and of what a stopped job has to know."""
    head, colon, argument = backbone.partition(":")
    shown = f"{head}:{Path(argument).name}" if colon else backbone
    identity = sha256_of([wish.task.version, wish.task.fingerprints.model_dump(), shown, wish.dtype, wish.image_size,
                          wish.weights == "random"])  # fmt: skip
    folder = below(wish.out, FOLDER, wish.task.address, identity[:16])
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _encode(folder: Path, requests: Sequence[RunRequest], reporter: Reporter) -> float:
    """Encode all images once, so that no trial is charged for it; seconds, those of a stopped job as it noted them."""
    started = time.monotonic()
    done: set[Any] = set()
    for request in requests:
        needs = resolve_method(request).method.needs()
        kind = (needs.input, needs.images, needs.image_size)
        if needs.input == "image" or kind in done:
            continue
        done.add(kind)
        _encode_one(prepare(request, reporter), folder, reporter)
    try:
        known = float(read_sealed_json(folder / STATE)["encode_seconds"])
    except (OSError, Damaged, KeyError, TypeError, ValueError, OverflowError):
        # It counts against the budget alone; what was encoded is in the cache.
        known = 0.0
    seconds = max(known, time.monotonic() - started)
    write_sealed_json(folder / STATE, {"encode_seconds": round(seconds, 3)})
    return seconds


def _encode_one(prepared: Prepared, folder: Path, reporter: Reporter) -> None:
    train = open_train(prepared.task, prepared.data, "tune")
    encoder = setup_for(prepared, train, folder, reporter).encoder
    for view, label in (
        (train, "encoding training images"),
        (train.validation, "encoding validation images"),
        # Images alone: their labels stay closed until all choices are made.
        (open_test(prepared.request.task, prepared.data), "encoding test images"),
    ):
        if view is not None and len(view):
            encoder.inputs(view.images, view.ids, Augment("none"), label)


@dataclass
class _First:
    """After the first trials."""

    candidates: dict[Suggestion, Candidate] = field(default_factory=dict)
    searches: dict[Suggestion, TuneReport] = field(default_factory=dict)
    out: list[Tried] = field(default_factory=list)

    @property
    def seconds(self) -> list[Candidate]:
        return list(self.candidates.values())


def _first_trials(
    wish: Wish, requests: dict[Suggestion, RunRequest], cap: float, spent: float, reporter: Reporter
) -> _First:
    """The unchanged configuration of each method; no more of them once half of the time is gone."""
    found = _First()
    for number, (one, request) in enumerate(requests.items(), 1):
        if wish.budget is not None and found.candidates and spent > wish.budget / 2:
            found.out.append(Tried(one, why_out="no time was left to try it"))
            continue
        reporter.line(f"first trials, {number} of {len(requests)}: {one.method}")
        try:
            report = tune(request, 1, cap, reporter)
        except SearchBusy:
            raise
        except UserError as error:
            # Whatever it is, it is this method's; a fault of the machine is raised as such.
            found.out.append(Tried(one, why_out=error.message))
            continue
        trial = report.trials[0]
        spent += trial.seconds
        spec = registry().methods.get(one.method).spec
        tunes = bool(search_space(resolve_method(request).method, request.backbone))
        found.searches[one] = report
        found.candidates[one] = Candidate(
            one.method, trial.seconds, trial.score, tunes, spec.deterministic, tunes or not spec.deterministic
        )
    return found


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
    first: _First,
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
    first: _First,
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
    first: _First,
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


def _left(plan: dict[Suggestion, tuple[int, ...]], first: _First, now: Suggestion, seed: int) -> float:
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
