"""The checks of the conformance kit. Each takes a bench and returns one line, or raises what is wrong."""

from __future__ import annotations

import contextlib
import linecache
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ltbench.engine import checkpoint
from ltbench.engine.phase1 import Phase1
from ltbench.method import Context, GradientStage, Stage
from ltbench.method.config import build_config, load_presets
from ltbench.method.extras import UndeclaredUse, found_extras
from ltbench.plugin.blame import place_of
from ltbench.plugin.errors import UserError
from ltbench.tasks.views import has_groups, open_test, validation_labels
from ltbench.testing.bench import Bench, Trained, gradient_stages
from ltbench.testing.label_checks import labels_in_their_coding, no_judged_label, unknown_policy_honoured
from ltbench.testing.outcomes import Failed, Skipped, SkipReason
from ltbench.testing.short import BATCH, Interrupted, Watcher
from ltbench.testing.two_ranks import two_ranks_as_one


def presets_valid(bench: Bench) -> str:
    """Configuration, base configuration, presets, search space and card of the recipe."""
    spec = bench.resolved.registered.spec
    cls = type(bench.resolved.method)
    required = [name for name, field in cls.Config.model_fields.items() if field.is_required()]
    if required:
        raise Failed(f"fields of Config without a default: {', '.join(required)}")
    try:
        presets = load_presets(spec)
        for preset in presets:
            build_config(cls.Config, f"{spec.name}, preset {preset.name}", spec.config, preset.overrides)
    except UserError as error:
        raise Failed(error.message) from error
    seen: set[tuple[object, ...]] = set()
    for preset in presets:
        key = (preset.name, preset.tasks, preset.backbones, preset.offers, preset.variant)
        if key in seen:
            raise Failed(f"preset {preset.name!r} is listed twice for the same tasks, backbones and variant")
        seen.add(key)
    stray = sorted(set(cls.search_space()) - set(cls.Config.model_fields))
    if stray:
        raise Failed(f"search_space names no field of Config: {', '.join(stray)}")
    if spec.card is not None and not resources.files(spec.package).joinpath(spec.card).is_file():
        raise Failed(f"card {spec.card} is not in package {spec.package}")
    return f"{len(presets)} presets, {len(cls.Config.model_fields)} fields"


def finite_loss(bench: Bench) -> str:
    """Trains without a value that is not finite, and the logits are finite."""
    found = bench.run(folder="finite")
    if not np.isfinite(found.logits).all():
        row, column = np.argwhere(~np.isfinite(found.logits))[0]
        raise Failed(f"logit of test row {row}, class {column} is {found.logits[row, column]}")
    totals = [line["total"] for line in found.log if "total" in line]
    return f"loss {totals[0]:.4g} to {totals[-1]:.4g} in {found.steps} steps" if totals else "no gradient stage"


def logits_are_logits(bench: Bench) -> str:
    """What is said to be calibrated are logits, whose sigmoid is the probability, and no probabilities."""
    if not bench.needs.calibrated:
        return "scores that are no probabilities, as needs() says"
    logits = bench.run(folder="finite").logits
    if logits.min() >= 0 and logits.max() <= 1 and logits.min() < logits.max():
        raise Failed(
            f"all {logits.size} logits lie between 0 and 1 ({logits.min():.3g} to {logits.max():.3g}): these are "
            "probabilities; return logits, or say Needs(calibrated=False)"
        )
    return f"logits from {logits.min():.3g} to {logits.max():.3g}"


def gradients_where_declared(bench: Bench) -> str:
    """The loss reaches the parameters of its stage's groups and no others; the encoder stays as it was.

    A parameter that the method leaves open to gradients, that the loss reaches, and that no stage declares is one that
    somebody forgot: the engine would not train it.
    """
    backbone = bench.fresh_backbone()
    towers = [tower for tower in (backbone.visual, backbone.text) if tower is not None]
    before = {name: tensor.clone() for name, tensor in _named_tensors(towers).items()}
    open_ones: set[int] = set()

    def note(made: Sequence[Stage], context: Context) -> None:
        open_ones.update(id(p) for stage in made for p in stage.module.parameters() if p.requires_grad)

    found = bench.run(folder="gradients", backbone=backbone, on_stages=note)
    stages = gradient_stages(found.phase.stages)
    if not stages:
        raise Skipped(SkipReason.NO_GRADIENT, "the method has no gradient stage")
    every = {id(p) for stage in stages for group in stage.param_groups for p in group.params}
    trains_tower = {i for i, tower in enumerate(towers) if any(id(p) in every for p in tower.parameters())}
    for name, tensor in _named_tensors(towers).items():
        if int(name.split(".")[0]) not in trains_tower and not torch.equal(tensor, before[name]):
            raise Failed(f"the frozen encoder changed: {name.partition('.')[2]}")
    names = {id(p): name for stage in stages for name, p in stage.module.named_parameters()}
    names |= {id(p): f"encoder {name}" for tower in towers for name, p in tower.named_parameters()}
    inside = {id(p) for tower in towers for p in tower.parameters()}
    for stage in stages:
        _check_stage_gradients(found.phase, stage, names, open_ones - every - inside)
    return f"{sum(len(group.params) for stage in stages for group in stage.param_groups)} declared tensors"


def _check_stage_gradients(phase: Phase1, stage: GradientStage, names: Mapping[int, str], forgotten: set[int]) -> None:
    declared = {id(p) for group in stage.param_groups for p in group.params}
    for parameter in stage.module.parameters():
        parameter.requires_grad_(id(parameter) in declared or id(parameter) in forgotten)
    for group in stage.param_groups:
        for parameter in group.params:
            parameter.requires_grad_(True)
    stage.module.train()
    reached: dict[int, Tensor] = {}
    used: set[int] = set()
    for batch in phase.training_rows(further=stage.further).scan(BATCH, phase.setup.device):
        terms = stage.module.loss(batch)  # type: ignore[operator]
        for name, term in terms.items():
            reached |= {id(leaf): leaf for leaf in _leaves(term.grad_fn) if name.startswith("loss")}
    stray = [leaf for key, leaf in reached.items() if key not in declared]
    if stray:
        shown = names.get(id(stray[0]), f"a tensor {tuple(stray[0].shape)} outside the module")
        if id(stray[0]) in forgotten:
            raise Failed(
                f"stage {stage.name!r}: {shown} is in no parameter group, so that it is never trained; declare it, or "
                "requires_grad_(False)"
            )
        raise Failed(f"stage {stage.name!r}: {shown} gets a gradient and is in no parameter group")
    for group in stage.param_groups:
        if not any(id(p) in reached for p in group.params):
            raise Failed(f"stage {stage.name!r}: no parameter of group {group.name!r} gets a gradient")
    if all(key in reached for key in declared):
        return
    # A loss may turn to a parameter in a later epoch than the kit trains; what predicts with it says so.
    for batch in phase.training_rows(further=stage.further).scan(BATCH, phase.setup.device):
        used |= {id(leaf) for leaf in _leaves(stage.module.logits(batch).grad_fn)}  # type: ignore[operator]
    for key in declared - reached.keys() - used:
        raise Failed(f"stage {stage.name!r}: {names.get(key, 'a declared tensor')} gets no gradient and moves no logit")


def deterministic(bench: Bench) -> str:
    """The same seed gives the same logits, bit for bit; a recipe that says so gives them for every seed."""
    first, second = bench.run(folder="once"), bench.run(folder="twice")
    _same(first, second, "two runs with the same seed differ")
    if bench.resolved.registered.spec.deterministic:
        _same(first, bench.run(folder="other", seed=1), "the spec says deterministic=True, and seeds 0 and 1 differ")
        return "equal for every seed"
    return "equal for the same seed"


def resumes(bench: Bench) -> str:
    """Interrupted in the middle of each stage, between stages and at the end, it ends as if it had not been."""
    whole = bench.run(folder="whole")
    moments = _moments(whole)
    for moment in moments:
        folder = f"interrupted-{moment}"
        with contextlib.suppress(Interrupted):
            bench.run(folder=folder, watcher=Watcher(stop_at=moment))
        _same(whole, bench.run(folder=folder), f"interrupted at step {moment} of {whole.steps} and resumed, it differs")
    _same(whole, bench.run(folder="whole"), "loaded from its last checkpoint, it differs")
    return f"equal after {len(moments) + 1} interruptions"


def _moments(whole: Trained) -> list[int]:
    """For each stage: the first step (the stages before are done), and one step past its first epoch."""
    moments, before = [], 0
    stages = gradient_stages(whole.phase.stages)
    total = sum(stage.epochs for stage in stages)
    per_epoch = whole.steps // max(1, total)
    for stage in stages:
        epochs = sum(1 for line in whole.log if line.get("stage") == stage.name and "epoch" in line)
        moments.append(before + 1)
        if epochs > 1:
            moments.append(before + per_epoch + 1)
        before += per_epoch * epochs
    return sorted({moment for moment in moments if moment <= whole.steps})


def state_safe(bench: Bench) -> str:
    """State holds tensors only, is read back with ``weights_only``, survives safetensors, and is all there is."""
    from safetensors.torch import load, save

    found = bench.run(folder="state")
    for stage in found.phase.stages:
        for name, value in stage.module.state_dict().items():
            if not isinstance(value, Tensor):
                raise Failed(f"stage {stage.name!r}: state {name!r} is a {type(value).__name__}; use a buffer")
    for path in sorted((found.folder / "checkpoints").glob("*.pt")):
        checkpoint.read(path)
    state = found.phase.capture()
    try:
        content = save({name: tensor.contiguous() for name, tensor in state.items()})
    except Exception as error:
        raise Failed(f"safetensors cannot hold the state: {' '.join(str(error).split())}") from error
    _reload(bench, found, load(content))
    return f"{len(state)} tensors, {len(content)} bytes"


def _reload(bench: Bench, found: Trained, state: dict[str, Tensor]) -> None:
    """Put the state into fresh modules and predict again."""
    folder = Path(f"{found.folder}-reloaded")
    checkpoints = folder / "checkpoints"
    for number in range(len(found.phase.stages)):
        checkpoint.save(
            checkpoints / f"stage-{number}.pt", {"done": True, "module": state, "decisions": found.outcome.decisions}
        )
    again = bench.run(folder=folder.name)
    _same(found, again, "a fresh module with the saved state predicts something else")


def another_class_count(bench: Bench) -> str:
    """Works with another number of classes; an open method also answers for names it first hears at test."""
    task = bench.fewer_classes_task()
    found = bench.run(task, folder="classes")
    expected = (len(open_test(task, bench.data)), len(task.classes))
    if found.logits.shape != expected or not np.isfinite(found.logits).all():
        raise Failed(f"logits {found.logits.shape}, expected {expected}, all finite")
    return f"{len(task.seen)} classes" + (f", {len(task.unseen)} more at test" if task.unseen else "")


def extras_found(bench: Bench) -> str:
    """Reads nothing that its needs do not ask for; what a row of it will name, as the engine finds it."""
    try:
        bench.run(folder="extras")
    except UndeclaredUse:
        raise
    except Exception as error:
        word = _not_given(error, bench)
        if word:
            raise UndeclaredUse(f"{word} are only given where needs() ask for them: {error}") from error
        raise Skipped(SkipReason.NOT_REACHED, "it does not run") from error
    found = found_extras(
        bench.needs,
        bench.resolved.config,
        captions=bench.task.captions,
        has_groups=has_groups(bench.task, bench.data),
        validation=validation_labels(bench.plt_task()),
    )
    return f"rows name {', '.join(found)}" if found else "images and observed labels only"


def _not_given(error: Exception, bench: Bench) -> str:
    """Captions or validation rows that the line of an error reaches for and the method did not ask for."""
    place = place_of(error, bench.resolved.registered.spec.package.partition(".")[0])
    if place is None or "NoneType" not in str(error):
        return ""
    line = linecache.getline(str(place.file), place.line)
    asked = {"captions": bench.needs.captions, "validation": bench.needs.validation}
    names = {"captions": "captions", "validation": "validation rows"}
    return next((names[word] for word, given in asked.items() if word in line and not given), "")


CHECKS: dict[str, Callable[[Bench], str]] = {
    "presets valid": presets_valid,
    "extras found": extras_found,
    "finite loss": finite_loss,
    "logits, not probabilities": logits_are_logits,
    "labels read in their coding": labels_in_their_coding,
    "gradients only where declared": gradients_where_declared,
    "deterministic under a seed": deterministic,
    "resume equals no interruption": resumes,
    "no judged label reachable": no_judged_label,
    "unknown policy honoured": unknown_policy_honoured,
    "state safe to save": state_safe,
    "another class count works": another_class_count,
    "two processes learn as one": two_ranks_as_one,
}
"""Title → check, in the order in which they are shown."""


def _same(first: Trained, second: Trained, message: str) -> None:
    if not np.array_equal(first.logits, second.logits, equal_nan=True):
        largest = float(np.nanmax(np.abs(first.logits - second.logits)))
        raise Failed(f"{message}: logits by up to {largest:.3g}")
    if first.outcome.decisions != second.outcome.decisions:
        raise Failed(f"{message}: decisions")


def _named_tensors(modules: Sequence[nn.Module]) -> dict[str, Tensor]:
    return {
        f"{number}.{name}": tensor.detach()
        for number, module in enumerate(modules)
        for name, tensor in (*module.named_parameters(), *module.named_buffers())
    }


def _leaves(node: Any) -> Iterator[Tensor]:
    """Tensors that a backward pass from this node would give a gradient to."""
    todo, seen = [node], set()
    while todo:
        at = todo.pop()
        if at is None or at in seen:
            continue
        seen.add(at)
        if hasattr(at, "variable"):
            yield at.variable
        todo.extend(after for after, _ in at.next_functions)
