"""What a record states about a run: task, method, backbone, key, cost."""

from __future__ import annotations

import re
import resource
import sys
from dataclasses import dataclass
from typing import Any

import torch

from ltbench.engine.prepare import Prepared, found_fingerprints
from ltbench.engine.setup import Outcome
from ltbench.records.environment import collect_environment, cpu_model
from ltbench.records.facts import BackboneFacts, Cost, MethodFacts, TaskFacts, Tuning
from ltbench.records.record import run_key, utc_now
from ltbench.records.store import AttemptFolder


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
    needs = prepared.resolved.method.needs()
    uses_captions = needs.captions and prepared.request.task.captions == "given"
    return tuple(sorted({*needs.extras, *(["captions"] if uses_captions else [])}))


@dataclass(frozen=True)
class RunFacts:
    """What a record states before anything has run, and the key that follows from it."""

    task: TaskFacts
    method: MethodFacts
    backbone: BackboneFacts
    extras: tuple[str, ...]
    key: str


def facts_of(prepared: Prepared) -> RunFacts:
    """State a prepared run; opens the data for their fingerprints."""
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
    return RunFacts(task, method, backbone, extras, key)


def common_content(prepared: Prepared, facts: RunFacts, attempt: AttemptFolder) -> dict[str, Any]:
    """Fields that a record has however its run ends."""
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


def cost_of(prepared: Prepared, outcome: Outcome | None, evaluate_seconds: float | None) -> Cost:
    """What the run took; nothing is known of a phase 1 that did not end."""
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
