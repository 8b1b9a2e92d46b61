"""Which backbone a run takes where nobody names one. Imports no torch unless an option may change what is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltbench.engine.needs import wanted_of
from ltbench.method.config import Preset, build_config, load_presets, read_presets
from ltbench.method.facts import facts_of
from ltbench.method.variant import choose_variant
from ltbench.plugin.manager import registry
from ltbench.tasks.defaults import Chosen, default_backbone
from ltbench.tasks.task import Task

if TYPE_CHECKING:
    from ltbench.method.config import Needs
    from ltbench.plugin.specs import MethodSpec


def choose_backbone(
    task: Task,
    method: str,
    named: str | None = None,
    *,
    preset: str | None = None,
    variant: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Chosen:
    """The backbone of a run, and why.

    The one that is named; else the first of the preset that the run has, or would have if it were not switched off;
    else the task's default for what the method needs. The variant decides what presets there are; where nobody names
    one it is :func:`choose_variant`'s.

    Args:
        named: by a person; None where nobody did.
        preset: as ``--preset`` names it.
        overrides: options of the method.

    Raises:
        UnknownName: method, or an option of it.
        UserError: the task has no default; the method cannot be loaded, or a preset file not be read.
    """
    if named is not None:
        return Chosen(named)
    spec = registry().methods.get(method).spec
    presets = load_presets(spec)
    chosen = variant or choose_variant(spec.variants, presets, preset, task.name, task.setting, None)
    asked = _named(preset, presets, spec)
    for one in (*asked, *(each for each in presets if each.tasks)):
        if one.backbones and one.fits(task.name, task.setting, one.backbones[0], chosen):
            whose = f"of preset {one.name}" if one.tasks else f"of preset {one.name}, for any task"
            whose += "" if variant or chosen == spec.variants[0] else f", variant {chosen}"
            return Chosen(one.backbones[0], f"{whose}: {one.origin}")
    layers = [one.overrides for one in asked[:1]] + [dict(overrides or {})]
    return default_backbone(task, wanted_of(needs_under(spec, layers)))


def _named(name: str | None, presets: Sequence[Preset], spec: MethodSpec) -> list[Preset]:
    """Presets of the name that was typed, which may be that of a file; none where none was, or it is unknown."""
    if name is not None and name.endswith((".yaml", ".yml")):
        return list(read_presets(Path(name), spec.name))
    return [one for one in presets if one.name == name]


def needs_under(spec: MethodSpec, layers: Sequence[Mapping[str, Any]]) -> Needs:
    """What a method needs with options laid over its base configuration, later layers over earlier ones.

    Raises:
        UserError: the method cannot be loaded, or an option does not fit.
    """
    if not any(layers):
        return facts_of(spec).needs
    cls = spec.load()
    needs: Needs = cls(build_config(cls.Config, spec.name, spec.config, *layers)).needs()
    return needs
