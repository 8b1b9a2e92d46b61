"""One run from request to record: resolve, check, phase 1, close its files, phase 2, record."""

from __future__ import annotations

import json
import re
import resource
import shutil
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ltbench.backbones.base import Backbone
from ltbench.backbones.registry import find_backbone, open_backbone
from ltbench.data.base import DataSet, default_offline
from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.encode import Encoder
from ltbench.engine.failures import Diverged
from ltbench.engine.needs import check_fit, unknown_policy
from ltbench.engine.phase1 import Outcome, Phase1, Setup
from ltbench.engine.request import Resolved, RunRequest, resolve_method
from ltbench.plugin.errors import UserError
from ltbench.plugin.files import write_atomic
from ltbench.records.canonical import without_paths
from ltbench.records.environment import collect_environment, cpu_model
from ltbench.records.facts import BackboneFacts, Cost, LogitsFacts, MethodFacts, Selection, TaskFacts, Tuning
from ltbench.records.judge import Judgement, check_alignment, judge
from ltbench.records.logits import file_sha256, read_logits, write_logits
from ltbench.records.record import RunContent, RunRecord, run_key, seal, utc_now
from ltbench.records.store import AttemptFolder, Overwrite, RunStore
from ltbench.tasks.needs import bring_missing
from ltbench.tasks.registry import open_data_set
from ltbench.tasks.views import check_fingerprints, open_test, open_train, open_truth


@dataclass(frozen=True)
class Finished:
    """What a run left.

    Attributes:
        folder: the attempt's folder.
        reused: the key was finished before, nothing was run.
    """

    record: RunRecord
    folder: Path
    reused: bool


@dataclass
class Prepared:
    """A request with everything opened that phase 1 needs."""

    request: RunRequest
    resolved: Resolved
    backbone: Backbone
    data: DataSet
    device: torch.device
    policy: str


def pick_device(name: str) -> torch.device:
    """``auto`` takes CUDA when there is one.

    Raises:
        UserError: CUDA was asked for and there is none, or the name is no device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError("device cuda was asked for, and torch finds none", "ltbench doctor")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise UserError(f"{name!r} is no device", "--device auto|cpu|cuda") from error


def prepare(request: RunRequest, reporter: Reporter = SILENT, bring: bool = True) -> Prepared:
    """Resolve the recipe, open backbone and data set, and check that they fit together.

    Args:
        bring: download data that are missing, unless offline.

    Raises:
        UserError: anything that cannot work, before anything is written.
    """
    torch.set_num_threads(request.threads)
    resolved = resolve_method(request)
    device = pick_device(request.device)
    needs = resolved.method.needs()
    # Before weights or data are downloaded; label groups are only known once the data set is open.
    check_fit(
        request.method, needs, request.task, True, request.backbone, find_backbone(request.backbone)[0].spec.offers
    )
    backbone = open_backbone(request.backbone, weights=request.weights, device=str(device), offline=default_offline())
    root = request.root(reporter)
    if bring:
        bring_missing(request.task, root)
    data = open_data_set(request.task, root)
    check_fit(request.method, needs, request.task, bool(data.label_groups), request.backbone, backbone.card.offers)
    return Prepared(request, resolved, backbone, data, device, unknown_policy(needs, request.task))


def found_fingerprints(prepared: Prepared) -> dict[str, str | None]:
    """Fingerprints of the data as found, checked against the task's.

    The truth is opened for its hashes alone and let go before any method exists.

    Raises:
        UserError: the data are not those of the task's version.
    """
    found = open_truth(prepared.request.task, prepared.data).fingerprints
    check_fingerprints(prepared.request.task, found)
    return found.model_dump()


def _method_facts(prepared: Prepared) -> MethodFacts:
    resolved = prepared.resolved
    spec = resolved.registered.spec
    altered = bool(prepared.request.overrides)
    preset = resolved.preset
    return MethodFacts(
        name=spec.name,
        distribution=resolved.registered.distribution,
        version=resolved.registered.version,
        variant=resolved.variant,
        preset=None if preset is None else preset.name + ("+overrides" if altered else ""),
        origin="default" if preset is None or altered else preset.origin,
        config=resolved.config.model_dump(mode="json"),
        deterministic=spec.deterministic,
        calibrated=resolved.method.needs().calibrated,
        unknown_policy=prepared.policy,
    )


def _extras(prepared: Prepared) -> tuple[str, ...]:
    uses_captions = prepared.resolved.method.needs().captions and prepared.request.task.captions == "given"
    return ("captions",) if uses_captions else ()


@dataclass(frozen=True)
class _Facts:
    task: TaskFacts
    method: MethodFacts
    backbone: BackboneFacts
    extras: tuple[str, ...]
    key: str


def _facts(prepared: Prepared) -> _Facts:
    request = prepared.request
    task = TaskFacts.of(request.task, found_fingerprints(prepared))
    method = _method_facts(prepared)
    backbone = BackboneFacts.of(prepared.backbone.card)
    extras = _extras(prepared)
    key = run_key(
        task=task,
        method=method,
        backbone=backbone,
        selection_rule=request.task.selection,
        threads=request.threads,
        seed=request.seed,
        limit=request.limit,
        extras=extras,
    )
    return _Facts(task, method, backbone, extras, key)


def plan(request: RunRequest, reporter: Reporter = SILENT) -> dict[str, Any]:
    """What a run would do (``--dry-run``): resolved configuration, key, rows, and whether it is finished already."""
    prepared = prepare(request, reporter, bring=False)
    facts = _facts(prepared)
    train = open_train(request.task, prepared.data).limited(request.limit)
    done = RunStore(request.out).finished(facts.key, Overwrite(request.overwrite))
    return {
        "task": request.task.address,
        "method": request.method,
        "variant": prepared.resolved.variant,
        "preset": facts.method.preset,
        "origin": prepared.resolved.origin,
        "config": facts.method.config,
        "backbone": facts.backbone.name,
        "weights": facts.backbone.weights,
        "seed": request.seed,
        "threads": request.threads,
        "device": str(prepared.device),
        "unknown_policy": prepared.policy,
        "train_rows": len(train),
        "test_rows": len(open_test(request.task, prepared.data).limited(request.limit)),
        "key": facts.key,
        "finished": done is not None,
    }


def run_one(request: RunRequest, reporter: Reporter = SILENT) -> Finished:
    """Run one request, or return the record of its key when that is finished.

    Raises:
        UserError: what the user asked for cannot be run; nothing is recorded.
    """
    prepared = prepare(request, reporter)
    facts = _facts(prepared)
    store = RunStore(request.out)
    with store.begin(request.task.address, request.method, facts.key, wait=24 * 3600.0) as attempt:
        # Checked under the lock: another process may have finished the key while this one waited.
        done = store.finished(facts.key, Overwrite(request.overwrite))
        if done is not None:
            if not attempt.finished and not attempt.resumable and not any(attempt.path.iterdir()):
                attempt.path.rmdir()
            return Finished(done, attempt.path.parent / f"attempt-{done.attempt}", True)
        record = _attempt(prepared, facts, attempt, reporter)
    return Finished(record, attempt.path, False)


def _attempt(prepared: Prepared, facts: _Facts, attempt: AttemptFolder, reporter: Reporter) -> RunRecord:
    """Phase 1 and phase 2 of one attempt; a failure is recorded, an interruption is not."""
    if attempt.resumed:
        reporter.line("an interrupted run of this key is continued from its last finished epoch")
    try:
        outcome = _phase1(prepared, attempt, reporter)
        content = _phase2(prepared, facts, attempt, outcome, reporter)
    except UserError:
        raise
    except Diverged as error:
        content = _unfinished(prepared, facts, attempt, "diverged", str(error), error.step)
    except Exception as error:
        write_atomic(attempt.path / "error.txt", traceback.format_exc())
        content = _unfinished(prepared, facts, attempt, "failed", f"{type(error).__name__}: {error}", None)
    record = seal(content)
    attempt.write(record)
    shutil.rmtree(attempt.checkpoints, ignore_errors=True)
    return record


def _phase1(prepared: Prepared, attempt: AttemptFolder, reporter: Reporter) -> Outcome:
    """Train and predict; when this returns, the files of phase 1 are written and closed."""
    request = prepared.request
    train = open_train(request.task, prepared.data).limited(request.limit)
    test = open_test(request.task, prepared.data).limited(request.limit)
    encoder = Encoder(
        backbone=prepared.backbone,
        needs=prepared.resolved.method.needs(),
        cache=request.root().cache / "features",
        device=prepared.device,
        reporter=reporter,
        max_bytes=request.max_cache_bytes,
    )
    setup = Setup(
        method=prepared.resolved.method,
        variant=prepared.resolved.variant,
        backbone=prepared.backbone,
        train=train,
        seed=request.seed,
        device=prepared.device,
        policy=prepared.policy,
        encoder=encoder,
        folder=attempt.path,
        reporter=reporter,
    )
    phase = Phase1(setup)
    started = time.perf_counter()
    inputs = phase.test_inputs(test, "encoding test images")
    encode_seconds = time.perf_counter() - started
    if request.audit_selection:

        def audit(stage: int, epoch: int) -> None:
            path = attempt.path / "audit" / f"epoch-{epoch + 1:04d}.safetensors"
            write_logits(path, phase.predict(inputs, test.class_names), test.ids, test.class_names)

        setup.after_epoch = audit
    outcome = phase.run()
    outcome.encode_seconds += encode_seconds
    logits = phase.predict(inputs, test.class_names)
    write_logits(attempt.logits, logits, test.ids, test.class_names)
    if outcome.decisions:
        rows, columns, epochs = zip(*outcome.decisions, strict=True)
        write_atomic(attempt.decisions, json.dumps({"rows": rows, "classes": columns, "epochs": epochs}))
    _write_weights(attempt.weights, phase)
    return outcome


def _write_weights(path: Path, phase: Phase1) -> None:
    from safetensors.torch import save

    state = {name: tensor.contiguous() for name, tensor in phase._capture().items()}
    content = save(state) if state else b""
    if content:
        write_atomic(path, content)


def _phase2(
    prepared: Prepared, facts: _Facts, attempt: AttemptFolder, outcome: Outcome, reporter: Reporter
) -> RunContent:
    """Open the true labels and judge what phase 1 wrote."""
    request = prepared.request
    started = time.perf_counter()
    reporter.line("judging")
    opened = read_logits(attempt.logits)
    truth = open_truth(request.task, prepared.data).limited(request.limit)
    calibrated = facts.method.calibrated
    problems = check_alignment(truth, opened)
    if problems:
        raise ValueError(f"phase 1 left logits that cannot be judged: {'; '.join(problems)}")
    judgement = judge(request.task, truth, opened.logits, calibrated=calibrated)
    oracle, oracle_epoch = _oracle(request, attempt, truth, calibrated) if request.audit_selection else (None, None)
    return RunContent(
        **_common(prepared, facts, attempt),
        status="completed",
        selection=Selection(rule=request.task.selection, oracle=oracle, oracle_epoch=oracle_epoch),
        scores=judgement.scores,
        intervals=judgement.intervals,
        per_class_ap=judgement.per_class_ap,
        excluded_classes=judgement.excluded,
        cost=_cost(prepared, outcome, time.perf_counter() - started),
        logits=LogitsFacts(sha256=opened.sha256, rows=opened.logits.shape[0], classes=opened.logits.shape[1]),
        decisions=file_sha256(attempt.decisions) if attempt.decisions.exists() else None,
    )


def _oracle(request: RunRequest, attempt: AttemptFolder, truth: Any, calibrated: bool) -> tuple[Any, int | None]:
    """Best epoch by the headline metric on the test part: shown as ``oracle``, never ranked."""
    best: tuple[float, int, Judgement] | None = None
    for path in sorted((attempt.path / "audit").glob("epoch-*.safetensors")):
        judgement = judge(request.task, truth, read_logits(path).logits, calibrated=calibrated, replicates=1)
        value = judgement.scores[request.task.headline]["total"]
        epoch = int(path.stem.removeprefix("epoch-"))
        if value is not None and (best is None or value > best[0]):
            best = (value, epoch, judgement)
    return (None, None) if best is None else (best[2].scores, best[1])


def _common(prepared: Prepared, facts: _Facts, attempt: AttemptFolder) -> dict[str, Any]:
    request = prepared.request
    tuned = re.match(r"^tuned\((\d+)", facts.method.origin)
    return {
        "key": facts.key,
        "attempt": attempt.number,
        "created": utc_now(),
        "task": facts.task,
        "method": facts.method,
        "backbone": facts.backbone,
        "seed": request.seed,
        "threads": request.threads,
        "device": prepared.device.type,
        "tuning": Tuning(trials=int(tuned[1])) if tuned else None,
        "limit": request.limit,
        "environment": collect_environment(),
        "extras": facts.extras,
    }


def _unfinished(
    prepared: Prepared, facts: _Facts, attempt: AttemptFolder, status: Any, reason: str, step: int | None
) -> RunContent:
    line = reason.strip().splitlines()[0] if reason.strip() else status
    # Records name no paths; the whole text is in error.txt.
    line = without_paths(line)
    return RunContent(
        **_common(prepared, facts, attempt),
        status=status,
        reason=line,
        step=step,
        selection=Selection(rule=prepared.request.task.selection),
        cost=_cost(prepared, None, None),
    )


def _cost(prepared: Prepared, outcome: Outcome | None, evaluate_seconds: float | None) -> Cost:
    device = prepared.device
    on_gpu = device.type == "cuda"
    # ru_maxrss is in KiB on Linux and in bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return Cost(
        trainable_parameters=outcome.trainable if outcome else 0,
        total_parameters=outcome.total if outcome else 0,
        encode_seconds=round(outcome.encode_seconds, 3) if outcome else None,
        train_seconds=round(outcome.train_seconds, 3) if outcome else None,
        evaluate_seconds=None if evaluate_seconds is None else round(evaluate_seconds, 3),
        peak_memory_bytes=int(torch.cuda.max_memory_allocated(device)) if on_gpu else int(resident),
        device=torch.cuda.get_device_name(device) if on_gpu else cpu_model(),
    )


__all__ = ["Finished", "RunRequest", "plan", "run_one"]
