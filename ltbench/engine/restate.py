"""What a record states of its recipe and encoder, stated again from what is installed: nothing is taken on its word."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from pydantic import ValidationError

from ltbench.backbones.base import Backbone
from ltbench.backbones.registry import find_backbone, open_backbone, own_size
from ltbench.data.base import DataRoot
from ltbench.engine.needs import backbone_problems, behind_preprocessing, task_problems, unknown_policy
from ltbench.method import Method, MethodConfig, Needs, Preset
from ltbench.method.config import build_config, load_presets
from ltbench.method.extras import CLEAN_VALIDATION, GROUPS, OF_VALIDATION, found_extras
from ltbench.method.origin import agrees
from ltbench.plugin.code import code_sha256
from ltbench.plugin.errors import UserError
from ltbench.plugin.manager import CORE_DISTRIBUTION, Registered, registry
from ltbench.plugin.specs import MethodSpec
from ltbench.records.facts import OVERRIDDEN, BackboneFacts
from ltbench.records.record import RunRecord
from ltbench.records.restated import Restated
from ltbench.records.versions import FIRST_WITH_ORIGINS
from ltbench.tasks.registry import open_data_set
from ltbench.tasks.task import Task
from ltbench.tasks.views import has_groups, validation_labels

_DEVICE = re.compile(r"^(cpu|cuda|mps)$")
#: Facts of a card that name versions of libraries: they say how a feature was made, and are not wrong for being older.
_OF_THE_INSTALLATION = ("revision",)


def restate(record: RunRecord, task: Task, root: DataRoot | None = None) -> Restated:
    """Compare what a record says of itself with the installed recipe, its presets and the encoder's card.

    Args:
        record: of any schema version.
        task: the one that it names.
        root: where data sets are, for what only they can tell (label groups); None for the usual places.

    Returns:
        What is wrong, and what could not be checked because other versions, or none, are installed here.
    """
    found = Restated()
    found.add(_circumstances(record, task))
    method = None
    try:
        method = _recipe(record, task, root or DataRoot(), found)
    except UserError as error:
        # A recipe that does not load, or a preset that does not fit it: of this installation, not of the record.
        found.skip(f"method: {error.message}")
    _encoder(record, method, found)
    return found


def _circumstances(record: RunRecord, task: Task) -> list[str]:
    """Facts that need nothing but the record and its task."""
    problems = []
    try:
        datetime.strptime(record.created, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        problems.append(f"created: {record.created} is no date")
    if not 0 <= record.seed < 2**31:
        problems.append(f"seed: {record.seed} is not between 0 and 2147483647")
    if not _DEVICE.match(record.device):
        problems.append(f"device: {record.device!r} is no device that runs state")
    if record.device == "cpu" and record.cost.device != record.environment.machine:
        problems.append(f"cost.device: {record.cost.device!r}, the environment's machine is another")
    if record.cost.trainable_parameters > record.cost.total_parameters:
        problems.append("cost: more parameters are trained than there are")
    problems += _selection(record, task)
    tuned = re.match(r"^tuned\((\d+)", record.method.origin)
    trials = int(tuned[1]) if tuned else None
    stated = None if record.tuning is None else record.tuning.trials
    if stated != trials:
        problems.append(f"tuning.trials: stored {stated}, the origin {record.method.origin!r} says {trials}")
    return problems


def _selection(record: RunRecord, task: Task) -> list[str]:
    """The rule is the task's, or validation rows decided; then the epoch that they chose is stated."""
    stated = record.selection
    if stated.rule not in (task.selection, "validation"):
        return [f"selection.rule: stored {stated.rule!r}, the task has {task.selection!r}"]
    if stated.rule == "validation" and not task.validation.in_final_runs:
        return [f"selection.rule: stored {stated.rule!r}, and runs on {task.address} have no validation rows"]
    chosen = stated.rule == "validation" and record.status == "completed"
    if chosen != (stated.epoch is not None) or chosen != (stated.score is not None):
        return [f"selection.epoch: stored {stated.epoch} with the rule {stated.rule!r}"]
    return []


def _recipe(record: RunRecord, task: Task, root: DataRoot, found: Restated) -> Method | None:
    """The recipe as the record configures it; None where it cannot be built here."""
    stated = record.method
    catalogue = registry().methods
    if stated.name not in catalogue:
        known = {item.distribution: item.version for item in catalogue}
        if known.get(stated.distribution) == stated.version:
            found.add([f"method.name: {stated.distribution} {stated.version} has no method {stated.name!r}"])
        else:
            found.skip(f"method: {stated.name} of {stated.distribution} {stated.version} is not installed here")
        return None
    registered = catalogue.get(stated.name)
    if registered.distribution != stated.distribution:
        found.add([f"method.distribution: stored {stated.distribution}, {stated.name} is of {registered.distribution}"])
        return None
    if stated.origin.startswith("published(") and stated.distribution != CORE_DISTRIBUTION:
        found.skip(f"method.origin: {stated.origin} is the word of {stated.distribution}, no distribution of ltbench's")
    if registered.version != stated.version:
        found.skip(
            f"method: the record is of {stated.distribution} {stated.version}, {registered.version} is installed here"
        )
        return None
    return _same_version(record, task, root, registered, found)


def _same_version(
    record: RunRecord, task: Task, root: DataRoot, registered: Registered[MethodSpec], found: Restated
) -> Method | None:
    stated, spec = record.method, registered.spec
    if stated.variant not in spec.variants:
        found.add([f"method.variant: {stated.name} has {', '.join(spec.variants)}, stored {stated.variant}"])
    same_code = stated.code_sha256 is not None and stated.code_sha256 == code_sha256(registered)
    if stated.code_sha256 is not None and not same_code:
        found.skip(f"method.code_sha256: the code of {stated.name} was another")
    cls: type[Method] = spec.load()
    try:
        config = cls.Config.model_validate(stated.config)
    except ValidationError as error:
        names = [".".join(str(part) for part in problem["loc"]) for problem in error.errors()]
        found.add([f"method.config.{name}: {stated.name} takes no such value" for name in names])
        return None
    filled = config.model_dump(mode="json")
    gained = sorted(filled.keys() - stated.config.keys())
    if gained and same_code:
        # No option can have come since the very same code ran.
        found.add(f"method.config.{name}: stored None, filled in {filled[name]!r}" for name in gained)
    elif gained:
        # Options come with defaults that leave older runs as they were; what those runs had is not in the record.
        found.skip(f"method.config: {stated.name} has gained {', '.join(gained)} since, taken at the default")
    had = {name: value for name, value in filled.items() if name in stated.config}
    found.add(_differing("method.config", stated.config, had, "filled in"))
    found.checked += ["configuration", "preset and origin"]
    _check_preset(record, spec, cls, config, found)
    method = cls(config)
    needs = method.needs()
    now = {
        "deterministic": spec.deterministic,
        "calibrated": needs.calibrated,
        "unknown_policy": unknown_policy(needs, task),
    }
    found.add(_differing("method", {name: getattr(stated, name) for name in now}, now, "of the recipe"))
    extras = _extras(record, task, root, needs, config)
    if tuple(record.extras) != extras:
        found.add([f"extras: stored {list(record.extras)}, the recipe uses {list(extras)}"])
    # Label groups are known to the data set only; the run itself refused a task without them.
    lacking = task_problems(needs, task, True)
    found.add(f"method: {stated.name} cannot run on {task.address}: {why}" for why in lacking)
    found.add(f"backbone: it does not offer {what}" for what in backbone_problems(needs, record.backbone.offers))
    found.checked += ["recipe's facts", "extras"]
    return method


def _extras(record: RunRecord, task: Task, root: DataRoot, needs: Needs, config: MethodConfig) -> tuple[str, ...]:
    """What the run used, as the engine finds it; records of versions 1 and 2 do not name groups and validation."""
    asked: Literal["clean", "observed"] = "clean" if CLEAN_VALIDATION in record.extras else "observed"
    found = found_extras(
        needs,
        config,
        captions=task.captions,
        has_groups=bool(needs.groups) and has_groups(task, open_data_set(task, root)),
        validation=validation_labels(task, asked),
        selects=record.selection.rule == "validation",
    )
    if record.schema_version < FIRST_WITH_ORIGINS:
        return tuple(extra for extra in found if extra not in {GROUPS, *OF_VALIDATION})
    return found


def _check_preset(
    record: RunRecord, spec: MethodSpec, cls: type[Method], config: MethodConfig, found: Restated
) -> None:
    """A preset gives exactly its overrides and its origin; without one, or with options, the origin is ``default``."""
    stated = record.method
    name = stated.preset or ""
    if not name or name.endswith(OVERRIDDEN):
        if stated.origin != "default":
            why = "without a preset" if not name else "of a preset with options of one's own"
            found.add([f"method.origin: stored {stated.origin}, a configuration {why} is default"])
        return
    presets = [preset for preset in load_presets(spec) if preset.name == name]
    if not presets:
        if stated.origin.startswith("published("):
            found.add([f"method.origin: stored {stated.origin}, and {spec.name} comes without a preset {name!r}"])
        else:
            found.skip(f"preset {name!r} is a file of its author's: its origin {stated.origin} is the author's word")
        return
    of = (record.task.name, record.task.setting, record.backbone.name, stated.variant)
    fitting = [preset for preset in presets if preset.fits(*of)]
    if not fitting:
        found.add([f"method.preset: {name!r} is not for {record.task.address}, this backbone and {stated.variant}"])
        return
    today = sorted({preset.origin for preset in fitting})
    if (
        record.schema_version < FIRST_WITH_ORIGINS
        and stated.origin not in today
        and any(agrees(stated.origin, origin) for origin in today)
    ):
        found.skip(f"method.origin: {stated.origin} is of an older grammar, {name!r} says {today[0]} today")
        fitting = [preset.model_copy(update={"origin": stated.origin}) for preset in fitting]
    wrong = [_preset_problems(preset, record, spec, cls, config) for preset in fitting]
    if all(wrong):
        found.add(wrong[0])


def _preset_problems(
    preset: Preset, record: RunRecord, spec: MethodSpec, cls: type[Method], config: MethodConfig
) -> list[str]:
    stated, backbone = record.method, record.backbone
    built = build_config(cls.Config, spec.name, spec.config, preset.overrides).model_dump(mode="json")
    problems = _differing("method.config", config.model_dump(mode="json"), built, f"of preset {preset.name!r}")
    if stated.origin != preset.origin:
        problems.append(f"method.origin: stored {stated.origin}, preset {preset.name!r} says {preset.origin}")
    size = cls(config).needs().image_size or preset.image_size or own_size(backbone.name)
    if size is not None and backbone.image_size not in (None, size):
        problems.append(f"backbone.image_size: stored {backbone.image_size}, with preset {preset.name!r} it is {size}")
    return problems


def _encoder(record: RunRecord, method: Method | None, found: Restated) -> None:
    """The card of the encoder that the record names, behind the method's preprocessing."""
    stated = record.backbone
    try:
        if find_backbone(stated.name)[0].spec.name == "precomputed":
            raise UserError("its features are a file of the author's", "")
        weights = "random" if stated.weights == "random" else None
        backbone = _opened(stated.name, weights, stated.dtype, stated.image_size)
        if method is None:
            raise UserError("the preprocessing depends on the method", "")
        card = BackboneFacts.of(behind_preprocessing(backbone, method.needs()).card)
    except UserError as error:
        found.skip(f"backbone {stated.name}: {error.message}")
        return
    if weights is None and stated.weights != card.weights and not stated.ranked:
        found.skip(f"backbone {stated.name}: weights {stated.weights!r} are a file of the author's")
        return
    now = card.model_dump(mode="json")
    then = stated.model_dump(mode="json")
    for name in _OF_THE_INSTALLATION:
        if then[name] != now[name]:
            found.skip(f"backbone.{name}: the record has {then[name]!r}, installed is {now[name]!r}")
        del then[name], now[name]
    found.add(_differing("backbone", then, now, "of the card"))
    found.checked.append("backbone")


@lru_cache(maxsize=4)
def _opened(name: str, weights: str | None, dtype: Any, image_size: int | None) -> Backbone:
    """Opened once for all records of a verification; downloads nothing."""
    return open_backbone(name, weights=weights, dtype=dtype, offline=True, image_size=image_size)


def _differing(where: str, stored: Mapping[str, Any], now: Mapping[str, Any], what: str) -> list[str]:
    return [
        f"{where}.{name}: stored {stored.get(name)!r}, {what} {now.get(name)!r}"
        for name in sorted({*stored, *now})
        if name not in stored or name not in now or stored[name] != now[name]
    ]
