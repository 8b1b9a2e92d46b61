"""The options that a run resolves to, told before the method's code and so without torch."""

from __future__ import annotations

from typing import Any

from ltbench.engine.needs import read_task
from ltbench.engine.request import RunRequest, resolve_preset
from ltbench.method.config import Needs
from ltbench.method.facts import facts_of
from ltbench.tasks.task import Task


def options_of(request: RunRequest) -> dict[str, Any]:
    """Every option's value: the method's own, then the preset's, then those of the request.

    Values are as they were typed, which :func:`ltbench.engine.request.resolve_method` checks and may convert.

    Raises:
        UserError: as :func:`ltbench.engine.request.resolve_preset`, or the method cannot be loaded.
    """
    preset = resolve_preset(request)[2]
    return defaults_of(request) | dict(preset.overrides if preset is not None else {}) | dict(request.overrides)


def defaults_of(request: RunRequest) -> dict[str, Any]:
    """Every option's value without presets and options of the request.

    Raises:
        UserError: the method cannot be loaded.
    """
    return {option.name: option.value for option in facts_of(resolve_preset(request)[0].spec).options}


def needs_of_base(request: RunRequest) -> Needs:
    """What the method needs in its base configuration.

    Raises:
        UserError: the method cannot be loaded.
    """
    return facts_of(resolve_preset(request)[0].spec).needs


def read_by(request: RunRequest, *, validates: bool = False) -> Task:
    """The task with only those published lists that a run has a use for.

    Args:
        validates: what is run is judged on validation rows.

    Raises:
        UserError: as :func:`options_of`.
    """
    needs = needs_of_base(request)
    if needs.captions:
        needs = needs.model_copy(update={"captions": needs.reads_captions(options_of(request))})
    return read_task(request.task, needs, validates=validates or request.selects)
