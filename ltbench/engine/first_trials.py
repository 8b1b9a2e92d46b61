"""Before anything is chosen: all that is missing is brought, images are encoded once, each method is tried once.

What that takes here is what a budget is cut by.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ltbench.data.base import default_offline
from ltbench.data.progress import Reporter
from ltbench.engine.budget import Candidate
from ltbench.engine.prepare import Prepared, need_images_of, prepare, setup_for
from ltbench.engine.request import RunRequest, resolve_method
from ltbench.engine.suggested import Suggestion
from ltbench.engine.tune import SearchBusy, TuneReport, search_space, tune
from ltbench.engine.whole import bring, clear, look_at
from ltbench.engine.wish import Tried, Wish
from ltbench.method import Augment
from ltbench.plugin.errors import Damaged, UserError
from ltbench.plugin.manager import registry
from ltbench.plugin.names import below
from ltbench.plugin.sealed import read_sealed_json, write_sealed_json
from ltbench.records.canonical import sha256_of
from ltbench.tasks.task import Task
from ltbench.tasks.views import open_test, open_train

FOLDER = "recommend"
STATE = "state.json"


def request_of(wish: Wish, task: Task, backbone: str, suggestion: Suggestion) -> RunRequest:
    """A recipe with all that is asked for besides."""
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


def begin(wish: Wish, requests: Sequence[RunRequest], reporter: Reporter) -> None:
    """Bring what is missing, or refuse all of it at once."""
    whole = look_at(requests, validates=True)
    clear(whole, default_offline(), f"recommend on {wish.task.address}")
    bring(whole, reporter)


def folder_of(wish: Wish, backbone: str) -> Path:
    """Of the report and of what a stopped job has to know."""
    head, colon, argument = backbone.partition(":")
    shown = f"{head}:{Path(argument).name}" if colon else backbone
    identity = sha256_of([wish.task.version, wish.task.fingerprints.model_dump(), shown, wish.dtype, wish.image_size,
                          wish.weights == "random"])  # fmt: skip
    folder = below(wish.out, FOLDER, wish.task.address, identity[:16])
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def encode(folder: Path, requests: Sequence[RunRequest], reporter: Reporter) -> float:
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
    # Images alone: their labels stay closed until all choices are made.
    test = open_test(prepared.request.task, prepared.data)
    need_images_of(prepared, train, train.validation, test)
    encoder = setup_for(prepared, train, folder, reporter).encoder
    for view, label in (
        (train, "encoding training images"),
        (train.validation, "encoding validation images"),
        (test, "encoding test images"),
    ):
        if view is not None and len(view):
            encoder.inputs(view.images, view.ids, Augment("none"), label)


@dataclass
class FirstTrials:
    """After them.

    Attributes:
        candidates: methods whose trial completed, as a budget weighs them.
        searches: what each tried.
        out: methods that are out already, with the reason.
    """

    candidates: dict[Suggestion, Candidate] = field(default_factory=dict)
    searches: dict[Suggestion, TuneReport] = field(default_factory=dict)
    out: list[Tried] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """That the trials took."""
        return sum(one.seconds for one in self.candidates.values())


def first_trials(
    wish: Wish, requests: dict[Suggestion, RunRequest], cap: float, spent: float, reporter: Reporter
) -> FirstTrials:
    """The unchanged configuration of each method; no more of them once half of the time is gone."""
    found = FirstTrials()
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
