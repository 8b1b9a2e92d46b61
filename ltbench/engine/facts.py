"""What a record states about a run: task, method, backbone, key, cost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import ValidationError

from ltbench.engine.prepare import Prepared, found_fingerprints
from ltbench.engine.setup import Outcome
from ltbench.method.extras import found_extras
from ltbench.plugin.code import code_sha256, is_own
from ltbench.plugin.errors import UserError
from ltbench.plugin.reading import one_line
from ltbench.plugin.system import peak_memory
from ltbench.records.environment import collect_environment, cpu_model
from ltbench.records.facts import OVERRIDDEN, BackboneFacts, Cost, MethodFacts, Selection, TaskFacts, Tuning
from ltbench.records.read import field_problems
from ltbench.records.record import RunContent, run_key, seal, utc_now
from ltbench.records.store import AttemptFolder
from ltbench.tasks.views import has_groups, validation_labels


def _method_facts(prepared: Prepared) -> MethodFacts:
    resolved = prepared.resolved
    spec = resolved.registered.spec
    altered = resolved.altered
    preset = resolved.preset
    return MethodFacts(
        name=spec.name,
        distribution=resolved.registered.distribution,
        version=resolved.registered.version,
        variant=resolved.variant,
        preset=None if preset is None else preset.name + (OVERRIDDEN if altered else ""),
        origin="default" if preset is None or altered else preset.origin,
        config=resolved.config.model_dump(mode="json"),
        deterministic=spec.deterministic,
        calibrated=resolved.method.needs().calibrated,
        unknown_policy=prepared.policy,
        code_sha256=code_sha256(resolved.registered),
    )


def extras_of(prepared: Prepared) -> tuple[str, ...]:
    """What a run uses beyond images and observed training labels."""
    task, resolved = prepared.request.task, prepared.resolved
    return found_extras(
        resolved.method.needs(),
        resolved.config,
        captions=task.captions,
        has_groups=has_groups(task, prepared.data),
        validation=validation_labels(task, prepared.request.validation),
        selects=prepared.request.selects,
    )


@dataclass(frozen=True)
class RunFacts:
    """What a record states before anything has run, and the key that follows from it."""

    task: TaskFacts
    method: MethodFacts
    backbone: BackboneFacts
    extras: tuple[str, ...]
    key: str
    world_size: int | None = None

    @property
    def code(self) -> str | None:
        """Hash of the method's code where it decides whether a stored record is this run's; None for ltbench's own."""
        return None if is_own(self.method.distribution) else self.method.code_sha256


def facts_of(prepared: Prepared, world: int = 1) -> RunFacts:
    """State a prepared run; opens the data for their fingerprints.

    Args:
        world: processes that work on it together.

    Raises:
        UserError: the data are not those of the task's version, or a record could not say what this run is.
    """
    return facts_with(prepared, found_fingerprints(prepared), world)


def facts_with(prepared: Prepared, fingerprints: Mapping[str, str | None], world: int = 1) -> RunFacts:
    """State a prepared run on data of these fingerprints; opens nothing.

    Raises:
        UserError: a record could not say what this run is.
    """
    request = prepared.request
    try:
        task = TaskFacts.of(request.task, fingerprints)
        method = _method_facts(prepared)
        backbone = BackboneFacts.of(prepared.backbone.card)
        extras = extras_of(prepared)
        key = run_key(
            task=task,
            method=method,
            backbone=backbone,
            selection_rule=request.selection,
            threads=request.threads,
            seed=request.seed,
            limit=request.limit,
            share=request.share,
            extras=extras,
            device=prepared.device.type,
            world_size=_beyond_one(world),
            accumulation=_beyond_one(request.accumulation),
        )
    except ValueError as error:
        raise _unwritable(error) from error
    return RunFacts(task, method, backbone, extras, key, _beyond_one(world))


def _beyond_one(count: int) -> int | None:
    """As records and keys state what is usually one."""
    return count if count > 1 else None


def _unwritable(error: ValueError) -> UserError:
    why = field_problems(error)[0] if isinstance(error, ValidationError) else one_line(error)
    return UserError(f"no record could be written of this run: {why}", "give it another name or value")


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
        "share": request.share,
        "world_size": facts.world_size,
        "accumulation": _beyond_one(request.accumulation),
        "environment": collect_environment(),
        "extras": facts.extras,
    }


def check_draft(prepared: Prepared, facts: RunFacts) -> None:
    """See that a record can say what it will have to, before anything is trained.

    Raises:
        UserError: a field would be refused; it is named.
    """
    classes = prepared.request.task.classes
    try:
        draft = RunContent(
            **common_content(prepared, facts, AttemptFolder(prepared.request.out, 1)),
            status="failed",
            reason="draft",
            selection=Selection(rule=prepared.request.selection),
            per_class_ap=dict.fromkeys(classes),
            excluded_classes=classes,
            cost=cost_of(prepared, None, None),
        )
        seal(draft)
    except ValueError as error:
        raise _unwritable(error) from error


def cost_of(prepared: Prepared, outcome: Outcome | None, evaluate_seconds: float | None) -> Cost:
    """What the run took; nothing is known of a phase 1 that did not end."""
    device = prepared.device
    on_gpu = device.type == "cuda"
    return Cost(
        trainable_parameters=outcome.trainable if outcome else 0,
        total_parameters=outcome.total if outcome else 0,
        encode_seconds=round(outcome.encode_seconds, 3) if outcome else None,
        train_seconds=round(outcome.train_seconds, 3) if outcome else None,
        evaluate_seconds=None if evaluate_seconds is None else round(evaluate_seconds, 3),
        peak_memory_bytes=int(torch.cuda.max_memory_allocated(device)) if on_gpu else peak_memory()[0],
        device=torch.cuda.get_device_name(device) if on_gpu else cpu_model(),
    )
