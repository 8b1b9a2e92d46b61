"""A search on validation rows only: the same number of trials and the same time cap for every recipe.

The test part is never opened. Every trial is recorded as soon as it ends, so a killed search goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from filelock import FileLock, Timeout

from ltbench.backbones.registry import find_backbone
from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.executors.local import gpus_for
from ltbench.engine.facts import facts_with
from ltbench.engine.failures import Diverged, MachineFault, OutOfTime, is_the_machines
from ltbench.engine.prepare import need_images_of, prepare
from ltbench.engine.request import Resolved, RunRequest, resolve_method
from ltbench.engine.samplers import SAMPLERS, Draws, Sampler, draws_of
from ltbench.engine.seeds import seed_for
from ltbench.engine.sizes import asked_size
from ltbench.engine.trials import Trial, in_processes
from ltbench.engine.validated import tuning_view, validation_score
from ltbench.method import Choice, Method
from ltbench.method.config import SEARCH_RECORD
from ltbench.method.local import local_files
from ltbench.method.origin import Origin
from ltbench.method.search import SearchSpace, around, parse_space
from ltbench.plugin.code import made_by
from ltbench.plugin.errors import Damaged, UserError
from ltbench.plugin.files import remove_leftovers, write_atomic
from ltbench.plugin.manager import LOCAL_PREFIX
from ltbench.plugin.names import below
from ltbench.plugin.reading import one_line
from ltbench.plugin.sealed import read_sealed_json, write_sealed_json
from ltbench.records.canonical import sha256_of, without_paths
from ltbench.tasks.views import TrainView


class SearchBusy(UserError):
    """Another process is at the same search."""


@dataclass(frozen=True)
class TuneReport:
    """All trials and the best of them.

    Attributes:
        preset: a preset file for ``ltbench run --preset``; its origin states the number of trials and the task.
    """

    trials: tuple[Trial, ...]
    best: Trial
    record: Path
    preset: Path


def search_space(method: Method, backbone: str) -> SearchSpace:
    """What a method declares, around its configuration.

    Less what decides nothing under it, and less the views that a backbone without an image tower lacks.
    """
    declared = {name: what for name, what in method.search_space().items() if name not in method.config.idle()}
    space = dict(around(declared, method.config.model_dump()))
    views = space.get("augment")
    if isinstance(views, Choice) and "image" not in find_backbone(backbone)[0].spec.offers:
        left = tuple(value for value in dict.fromkeys(views.values) if value == "none")
        del space["augment"]
        if left:
            space["augment"] = Choice(left)
    return space


def tune(
    request: RunRequest,
    trials: int,
    seconds_per_trial: float,
    reporter: Reporter = SILENT,
    space: SearchSpace | None = None,
    *,
    jobs: int = 1,
    sampler: Sampler = "random",
) -> TuneReport:
    """Search around the configuration that a request resolves to.

    Args:
        trials: configurations tried, the unchanged one included; that alone needs nothing to tune.
        seconds_per_trial: time cap of one trial's training.
        space: in place of the method's own search space.
        jobs: trials at a time; more than one run in processes of their own. The trials are the same.
        sampler: what is tried after trial 0: drawn at random, or by optuna from the results of earlier blocks.

    Raises:
        UserError: the method declares no search space, the task has no validation rows, or no trial completed; optuna
            is asked for and not installed.
    """
    resolved = resolve_method(request)
    chosen = space if space is not None else search_space(resolved.method, request.backbone)
    if not chosen and trials > 1:
        raise UserError(f"method {request.method} declares nothing to tune", "give --space 'field=[a, b]'")
    if request.task.validation.kind == "none":
        raise UserError(f"task {request.task.address} has no validation rows to tune on", "ltbench list tasks")
    base = resolved.config.model_dump(mode="json")
    size = asked_size(request.image_size, resolved.preset)
    sized = () if size is None else (f"images of {size}",)
    # What the draws follow from, apart from the identity below: searches that presets state can be made again.
    code = made_by(resolved.registered)[2]
    draws = seed_for(
        request.seed, request.task.address, request.task.version, request.method, request.backbone,
        json.dumps(base, sort_keys=True), repr(sorted(chosen.items())), request.threads, resolved.variant, *sized,
        # Searches in float32 are found again where they were before there was a choice.
        *([] if request.dtype == "float32" else [request.dtype]),
        # A search of code that somebody has edited since is another one.
        *([] if code is None else [code]),
    )  # fmt: skip
    # A trial is a run but for its rows, so that it is known by the key of the run that nothing is changed of.
    prepared = prepare(request, reporter)
    # The test part stays closed: pinned fingerprints stand for it, and the rows of the search for themselves.
    facts = facts_with(prepared, request.task.fingerprints.model_dump())
    view = tuning_view(prepared)
    need_images_of(prepared, view, view.validation)
    identity = sha256_of(
        {
            "run": facts.key,
            "code": facts.code,
            "validation": request.validation,
            "rows": _rows_sha256(view),
            "draws": f"{draws:016x}",
            "space": repr(sorted(chosen.items())),
            "seconds_per_trial": seconds_per_trial,
            # Random searches are found again where they were before there was a choice.
            **({} if sampler == "random" else {"sampler": sampler}),
        }
    )
    folder = below(request.out, "tuning", request.task.address, request.method, identity[:16])
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            remove_leftovers(folder)
            search = Search(identity, draws_of(sampler, chosen, draws), sampler, base, size, folder)
            done = _search(request, trials, seconds_per_trial, search, reporter, jobs)
    except Timeout as error:
        raise SearchBusy(
            f"another process is tuning {request.method} here", "wait for it, or give --out DIR"
        ) from error
    scored = [trial for trial in done if trial.score is not None]
    if not scored:
        last = done[-1]
        why = f"{last.status}: {last.reason}" if last.reason else last.status
        limit = f" of {seconds_per_trial:g} s" if last.status == "timeout" else ""
        raise UserError(
            f"none of {trials} trials of {request.method} completed ({why}{limit})", "read trials.json below --out"
        )
    best = max(scored, key=lambda trial: (trial.score or 0.0, -trial.number))
    return TuneReport(
        tuple(done), best, folder / SEARCH_RECORD, _write_preset(request, resolved, best, len(done), folder)
    )


@dataclass(frozen=True)
class Search:
    """One search on disk.

    Attributes:
        identity: sha256 of everything that its trials depend on.
        draws: what is drawn from the space.
        base: the configuration that nothing is changed of.
        size: of images, where it is not the backbone's own.
        folder: with the record and, while it is tried, a trial.
    """

    identity: str
    draws: Draws
    sampler: Sampler
    base: dict[str, Any]
    size: int | None
    folder: Path

    def known(self) -> list[Trial]:
        """Trials on record.

        Raises:
            UserError: the record is damaged, or of another search.
        """
        path = self.folder / SEARCH_RECORD
        hint = f"remove {self.folder}"
        try:
            document = read_sealed_json(path, hint=hint)
        except FileNotFoundError:
            return []
        try:
            if document["identity"] != self.identity:
                raise Damaged(path.name, "it is of another search", hint)
            trials = [Trial(**entry) for entry in document["trials"]]
            if [trial.number for trial in trials] != list(range(len(trials))):
                raise ValueError("trials are missing")
            # Those that ended before one with a smaller number.
            ahead = [Trial(**entry) for entry in document.get("ahead", [])]
            return [*trials, *ahead]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Damaged(path.name, one_line(error), hint) from error

    def write(self, request: RunRequest, seconds_per_trial: float, done: Mapping[int, Trial]) -> None:
        """Record all trials that have ended; the file is replaced as a whole.

        Raises:
            UserError: it cannot be written.
        """
        trials = _before_gap(done)
        ahead = [done[number] for number in sorted(done) if number >= len(trials)]
        document = {
            "identity": self.identity,
            "task": request.task.address,
            "version": request.task.version,
            "method": request.method,
            "backbone": request.backbone,
            "image_size": self.size,
            "dtype": request.dtype,
            "seed": request.seed,
            "seconds_per_trial": seconds_per_trial,
            "base": self.base,
            "trials": [asdict(each) for each in trials],
            **({} if self.sampler == "random" else {"sampler": self.sampler}),
            **({"ahead": [asdict(each) for each in ahead]} if ahead else {}),
        }
        write_sealed_json(self.folder / SEARCH_RECORD, document, sort=True)


def _before_gap(done: Mapping[int, Trial]) -> list[Trial]:
    """Trials from 0 on, up to the first that has not ended."""
    return [done[number] for number in range(next(n for n in range(len(done) + 1) if n not in done))]


def _search(
    request: RunRequest, trials: int, seconds_per_trial: float, search: Search, reporter: Reporter, jobs: int = 1
) -> list[Trial]:
    """The first trials, those on record taken from there; each new one is recorded as soon as it ends."""
    done = {trial.number: trial for trial in search.known()}
    left = [number for number in range(trials) if number not in done]

    def arguments(number: int) -> dict[str, Any]:
        overrides = {} if number == 0 else search.draws.overrides(number, done)
        return {
            "request": request,
            "number": number,
            "overrides": overrides,
            "cap": seconds_per_trial,
            "folder": search.folder / f"trial-{number}",
        }

    def ready(number: int) -> bool:
        block = search.draws.block
        return block is None or number == 0 or all(each in done for each in range(1 + (number - 1) // block * block))

    def tried() -> Iterator[tuple[int, Trial]]:
        rest = left
        if min(jobs, len(left)) > 1:
            files = tuple(local_files()) if request.method.startswith(LOCAL_PREFIX) else ()
            apart = _apart(left, done, search)
            yield from in_processes(
                apart, ready, arguments, _try, jobs=max(1, min(jobs, len(apart))), threads=request.threads,
                gpus=gpus_for(request.device), files=files,
            )  # fmt: skip
            rest = [number for number in left if number not in done]
        for number in rest:
            asked = arguments(number)
            equal = _as_before(done.values(), search.base, asked["overrides"])
            if equal is None:
                yield number, _try(**asked, reporter=reporter)
            else:
                reason = f"as trial {equal.number}"
                yield number, replace(equal, number=number, overrides=asked["overrides"], seconds=0.0, reason=reason)

    for number, trial in tried():
        score = trial.status if trial.score is None else f"{request.task.headline} {trial.score:.2f}"
        done[number] = trial
        reporter.line(f"trial {number} ({len(done)}/{trials}): {score} {trial.overrides or '(unchanged)'}")
        search.write(request, seconds_per_trial, done)
    return [done[number] for number in range(trials)]


def _apart(left: list[int], done: Mapping[int, Trial], search: Search) -> list[int]:
    """Those of the trials left that repeat none before them; all, where what is tried depends on how others went."""
    if search.draws.block is not None:
        return left
    seen = {_plain({**search.base, **trial.overrides}) for trial in done.values()}
    apart = []
    for number in left:
        config = _plain({**search.base, **({} if number == 0 else search.draws.overrides(number, done))})
        if config not in seen:
            seen.add(config)
            apart.append(number)
    return apart


def _as_before(done: Iterable[Trial], base: Mapping[str, Any], overrides: Mapping[str, Any]) -> Trial | None:
    """The completed trial of the same configuration, whose seed is the same and so its score."""
    asked = _plain({**base, **overrides})
    done = sorted(done, key=lambda one: one.number)
    same = (one for one in done if one.status == "completed" and _plain({**base, **one.overrides}) == asked)
    return next(same, None)


def _plain(config: Mapping[str, Any]) -> str:
    """As a record has it, where tuples are lists."""
    return json.dumps(config, sort_keys=True)


def _rows_sha256(view: TrainView) -> str:
    """Hash of everything that a search sees of its rows, but for their images."""
    digest = hashlib.sha256()
    for part in filter(None, (view, view.validation)):
        digest.update(json.dumps([part.ids, part.class_names, part.captions]).encode("utf-8"))
        digest.update(np.ascontiguousarray(part.observed).tobytes())
    return digest.hexdigest()


def _write_preset(request: RunRequest, resolved: Resolved, best: Trial, trials: int, folder: Path) -> Path:
    size = asked_size(request.image_size, resolved.preset)
    path = folder / "preset.yaml"
    before = dict(resolved.preset.overrides) if resolved.preset is not None else {}
    entry = {
        "name": "tuned",
        "tasks": [request.task.address],
        "backbones": [request.backbone],
        "variant": resolved.variant,
        "origin": str(Origin("tuned", task=request.task.address, trials=trials)),
        **({} if size is None else {"image_size": size}),
        # Sorted, as a record of trials has them: a search that went on writes the same file.
        "overrides": {**before, **dict(request.overrides), **dict(sorted(best.overrides.items()))},
    }
    # Through JSON, because YAML has no tuples.
    write_atomic(path, yaml.safe_dump({request.method: [json.loads(json.dumps(entry))]}, sort_keys=False))
    return path


def _try(
    request: RunRequest,
    number: int,
    overrides: dict[str, Any],
    cap: float,
    folder: Path,
    reporter: Reporter = SILENT,
) -> Trial:
    # Seconds to import, which a process of its own takes for its first trial, are no part of a trial's time.
    importlib.import_module("ltbench.engine._mmengine")
    started = time.monotonic()
    # A killed process may have left a part of this trial: its time cap is for the whole.
    shutil.rmtree(folder, ignore_errors=True)

    def ended(status: str, score: float | None, reason: str = "") -> Trial:
        return Trial(number, overrides, status, score, round(time.monotonic() - started, 2), reason)

    merged = replace(request, overrides={**request.overrides, **overrides})
    try:
        return ended("completed", validation_score(merged, folder, reporter, time.monotonic() + cap))
    except OutOfTime as error:
        return ended("timeout", None, str(error))
    except Diverged as error:
        return ended("diverged", None, str(error))
    except UserError:
        raise
    except Exception as error:
        if is_the_machines(error):
            raise MachineFault.of(error) from error
        return ended("failed", None, without_paths(f"{type(error).__name__}: {error}"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


__all__ = [
    "SAMPLERS", "SearchBusy", "Trial", "TuneReport", "parse_space", "search_space", "tune",
]  # fmt: skip
