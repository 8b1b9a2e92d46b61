"""Checks of the conformance kit that look at labels: what is within reach, and what unknown ones do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ltbench.engine.phase1 import Phase1
from ltbench.method import Batch, Context, FitData, GradientStage, Stage
from ltbench.tasks.views import open_truth
from ltbench.tasks.views.rows import held_out
from ltbench.testing.bench import Bench, gradient_stages
from ltbench.testing.guard import find_labels
from ltbench.testing.outcomes import Failed, Skipped, SkipReason
from ltbench.testing.short import BATCH, Watcher


def no_judged_label(bench: Bench) -> str:
    """While it trains and after, nothing in the process holds test labels, or complete labels of training rows or of
    those that are held out for validation."""
    task = bench.plt_task()
    bench.check_fit(task)
    truth = open_truth(task, bench.data)
    position = [bench.data.class_names.index(name) for name in task.classes]
    everything = {name: bench.data.part(name).read_labels() for name in (task.train_part, task.test_part)}
    forbidden = {
        "the test labels": truth.labels,
        "the test labels (all columns)": everything[task.test_part],
        "the complete training labels": np.ascontiguousarray(everything[task.train_part][:, position]),
        "the complete training labels (all columns)": everything[task.train_part],
    }
    held = held_out(task, bench.data.part(task.train_part).ids)
    forbidden["the complete validation labels"] = np.ascontiguousarray(forbidden["the complete training labels"][held])
    del truth, everything
    # What was there before the method began (other tests of the same process) is not its doing.
    before = find_labels(forbidden)
    leaks = []

    def look(step: int) -> None:
        if step == 1:
            leaks.extend(find_labels(forbidden, before))

    found = bench.run(task, folder="guard", watcher=Watcher(on_step=look))
    leaks.extend(find_labels(forbidden, before))
    if leaks:
        raise Failed(f"{leaks[0].labels} are reachable in phase 1, in a {leaks[0].kind}")
    return f"{len(forbidden)} matrices looked for, after step 1 and after step {found.steps}"


class _Targets(TorchFunctionMode):
    """Looks at the targets of losses that take probabilities; the error arises in the author's line that calls one."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if getattr(func, "__name__", "") in _PROBABILITIES and (len(args) > 1 or "target" in given):
            target = given["target"] if "target" in given else args[1]
            if target.numel() and (float(target.min()) < 0 or float(target.max()) > 1):
                raise Failed(
                    f"{func.__name__} is given targets from {float(target.min()):g} to {float(target.max()):g}: labels "
                    "are +1, -1 and 0 for unknown, its targets 1 and 0"
                )
        return func(*args, **given)


_PROBABILITIES = ("binary_cross_entropy_with_logits", "binary_cross_entropy", "multilabel_soft_margin_loss")
#: Scores for which every label is clear, and clearer still.
_CLEAR = (30.0, 60.0)


def labels_in_their_coding(bench: Bench) -> str:
    """The loss takes labels as +1, -1 and 0, and not as the targets 1 and 0 of a cross entropy.

    Targets of PyTorch's losses are looked at; besides, a loss over ``logits(batch)`` must not fall without end while
    scores that are right already grow.
    """
    found = bench.run(folder="coding")
    stages = gradient_stages(found.phase.stages)
    if not stages:
        raise Skipped(SkipReason.NO_GRADIENT, "the method has no gradient stage")
    seen = 0
    for stage in stages:
        for batch in found.phase.training_rows(further=stage.further).scan(BATCH, found.phase.setup.device):
            stage.module.train()
            with _Targets():
                stage.module.loss(batch)  # type: ignore[operator]
            clear, clearer = (_loss_at(stage.module, batch, scale) for scale in _CLEAR)
            seen += 1
            if clear is not None and clearer is not None and clearer < clear - 1.0 and clearer < 0:
                raise Failed(
                    f"stage {stage.name!r}: the loss falls without end ({clear:.3g}, then {clearer:.3g}) while scores "
                    "that are right already grow; labels are +1, -1 and 0 for unknown, not 1 and 0"
                )
    return f"{seen} batches, with the method's own scores and with clear ones"


def _loss_at(module: nn.Module, batch: Batch, scale: float) -> float | None:
    """The loss where ``logits(batch)`` has every label right by ``scale``; None where it is not made of them."""
    asked: list[int] = []

    def logits(given: Batch) -> Tensor:
        asked.append(1)
        return given.observed.float() * scale

    object.__setattr__(module, "logits", logits)
    try:
        with torch.no_grad():
            terms: dict[str, Tensor] = module.loss(batch)  # type: ignore[operator]
    finally:
        del module.logits
    total = sum(float(value) for name, value in terms.items() if name.startswith("loss"))
    return total if asked and np.isfinite(total) else None


def unknown_policy_honoured(bench: Bench) -> str:
    """Unknown labels move nothing under ``ignore``; under ``assume-negative`` none reaches the method."""
    if bench.needs.unknown == "own":
        raise Skipped(SkipReason.OWN_POLICY, "the method deals with unknown labels itself (unknown='own')")
    done = []
    if bench.needs.unknown in (None, "assume-negative"):
        _check_assume_negative(bench)
        done.append("assume-negative: no unknown label arrives")
    if bench.needs.unknown in (None, "ignore"):
        done.append(f"ignore: {_check_ignore(bench)}")
    return "; ".join(done)


def _check_assume_negative(bench: Bench) -> None:
    zeros: list[str] = []

    def note(batch: Batch, where: str) -> None:
        if bool((batch.observed == 0).any()):
            zeros.append(where)

    def watch(stages: Sequence[Stage], context: Context) -> None:
        if bool((context.observed == 0).any()):
            zeros.append("in context.observed")
        for stage in stages:
            if isinstance(stage, GradientStage):
                _wrap_loss(stage.module, partial(note, where=f"in a batch of stage {stage.name!r}"))
            elif stage.fit is not None:
                object.__setattr__(stage, "fit", _watched_fit(stage.fit, stage.name, note))

    bench.run(bench.plt_task(), folder="assume-negative", on_stages=watch)
    if zeros:
        raise Failed(f"assume-negative: an unknown label (0) arrives {zeros[0]}")


def _watched_fit(
    fit: Callable[[FitData], None], name: str, note: Callable[[Batch, str], None]
) -> Callable[[FitData], None]:
    def watched(data: FitData) -> None:
        for batch in data.scan():
            note(batch, f"in the rows of stage {name!r}")
        fit(data)

    return watched


def _check_ignore(bench: Bench) -> str:
    task = bench.partial_task()
    found = bench.run(task, folder="ignore")
    stages = gradient_stages(found.phase.stages)
    if not stages:
        raise Skipped(SkipReason.NO_GRADIENT, "ignore cannot be seen from outside without a gradient stage")
    seen = 0
    for stage in stages:
        seen += _check_ignored(found.phase, stage)
    if not seen:
        raise Skipped(SkipReason.OPAQUE_LOSS, "the loss uses neither logits(batch) nor a differentiable input")
    return f"{seen} unknown labels without a gradient"


def _check_ignored(phase: Phase1, stage: GradientStage) -> int:
    """Gradients of the loss by the logits at unknown labels, or by the input of rows without a known label."""
    module = stage.module
    module.train()
    batch = next(phase.training_rows(further=stage.further).scan(BATCH, phase.setup.device))
    observed = batch.observed.clone()
    observed[0] = 0
    inputs = tuple(
        t.detach().clone().requires_grad_(t.is_floating_point())
        for t in (batch.input if isinstance(batch.input, tuple) else (batch.input,))
    )
    shown = inputs if isinstance(batch.input, tuple) else inputs[0]
    given = Batch(batch.rows, shown, observed, batch.captions, batch.further)  # type: ignore[arg-type]
    caught: list[Tensor] = []
    _catch_logits(module, caught)
    try:
        terms: dict[str, Tensor] = module.loss(given)  # type: ignore[operator]
    finally:
        del module.logits
    total = torch.stack([value for name, value in terms.items() if name.startswith("loss")]).sum()
    usable = [t for t in caught if t.requires_grad and t.shape == observed.shape]
    wanted = usable or [t for t in inputs if t.requires_grad]
    gradients = torch.autograd.grad(total, wanted, allow_unused=True)
    count = 0
    for tensor, gradient in zip(wanted, gradients, strict=True):
        if gradient is None:
            continue
        where = gradient[observed == 0] if tensor.shape == observed.shape and usable else gradient[0]
        if bool((where != 0).any()):
            what = "the logit of an unknown label" if usable else "a row without any known label"
            raise Failed(f"ignore: in stage {stage.name!r} {what} has a gradient of {float(where.abs().max()):.3g}")
        count += where.numel()
    return count


def _wrap_loss(module: nn.Module, watch: Callable[[Batch], None]) -> None:
    inner = module.loss

    def loss(batch: Batch) -> Any:
        watch(batch)
        return inner(batch)  # type: ignore[operator]

    object.__setattr__(module, "loss", loss)


def _catch_logits(module: nn.Module, caught: list[Tensor]) -> None:
    inner = module.logits

    def logits(batch: Batch) -> Any:
        found = inner(batch)  # type: ignore[operator]
        caught.append(found)
        return found

    object.__setattr__(module, "logits", logits)
