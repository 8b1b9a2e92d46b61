"""Whether a method can run on a task and a backbone, told without its code where its package has that written down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ltbench.plugin.errors import UserError

if TYPE_CHECKING:
    from ltbench.method.config import Needs
    from ltbench.plugin.specs import MethodSpec
    from ltbench.tasks.task import Task

#: What a method lacks on a task that has no default encoder, where nobody names one.
NO_BACKBONE = "no backbone"


def needs_on(spec: MethodSpec, task: Task) -> tuple[Needs | None, dict[str, str]]:
    """What a method needs, and what of it a task lacks: in few words, and why. The method is not imported where its
    package has that written down.

    A method that is broken, or not whole without an option, has no needs and says what is wrong.
    """
    from ltbench.engine.needs import task_lacks
    from ltbench.method.facts import facts_of

    try:
        needs = facts_of(spec).needs
    except UserError as error:
        return None, {"cannot be loaded": error.message}
    return needs, task_lacks(needs, task, needs.groups is not True or _has_groups(task))


def lacks_on(
    spec: MethodSpec, task: Task, backbone: str | None = None, options: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """What keeps a method from running on a task with an encoder; in few words, and why. Empty where nothing does.

    Needs are those of the configuration that a run would have: base, preset made for the task, options. A method is
    only imported where options or a preset may change what it needs.

    Args:
        backbone: None takes what a run would: that of a preset, else the task's default.

    Raises:
        UnknownName: the backbone.
    """
    from ltbench.backbones.registry import find_backbone
    from ltbench.engine.choose import choose_backbone
    from ltbench.engine.needs import backbone_problems, task_lacks

    needs, lacks = needs_on(spec, task)
    if needs is None:
        return lacks
    try:
        if options:
            needs = _needs_with(spec, task, backbone, options)
            lacks = task_lacks(needs, task, needs.groups is not True or _has_groups(task))
        if lacks:
            return lacks
        chosen = choose_backbone(task, spec.name, backbone, overrides=options).name
    except UserError as error:
        return {NO_BACKBONE if "default backbone" in error.message else "cannot be loaded": error.message}
    offers = find_backbone(chosen)[0].spec.offers
    missing = backbone_problems(needs, offers)
    if missing and not options:
        try:
            needs = _needs_with(spec, task, chosen, {})
        except UserError as error:
            return {"cannot be loaded": error.message}
        missing = backbone_problems(needs, offers)
    if not missing:
        return {}
    words = " and ".join(missing)
    return {f"needs {words}": f"it needs {words}, which backbone {chosen} does not offer"}


def _needs_with(spec: MethodSpec, task: Task, backbone: str | None, options: Mapping[str, Any]) -> Needs:
    """Needs under the preset that a run would have, and options.

    Raises:
        UserError: an option does not fit, or the method cannot be loaded.
    """
    from ltbench.engine.choose import needs_under
    from ltbench.method.config import choose_preset, load_presets
    from ltbench.method.variant import choose_variant

    layers: list[Mapping[str, Any]] = [options]
    if backbone is not None:
        presets = load_presets(spec)
        place = (task.name, task.setting, backbone)
        variant = choose_variant(spec.variants, presets, None, *place)
        preset = choose_preset(presets, None, *place, variant, spec.name)
        if preset is not None:
            layers.insert(0, preset.overrides)
    return needs_under(spec, layers)


def _has_groups(task: Task) -> bool:
    from ltbench.data.base import DataRoot
    from ltbench.tasks.registry import open_data_set

    return bool(open_data_set(task, DataRoot()).label_groups)
