"""Which variant of a recipe a run takes where nobody names one."""

from __future__ import annotations

from collections.abc import Sequence

from ltbench.method.config import Preset


def choose_variant(
    variants: Sequence[str],
    presets: Sequence[Preset],
    name: str | None,
    task: str,
    setting: str | None,
    backbone: str | None,
) -> str:
    """The variant of a run where nobody names one: the first that a preset is made for on this task, else the first.

    Args:
        variants: in the order of the recipe.
        name: of the preset, as typed; only where none is named does the task decide.
        backbone: None takes presets for any.
    """
    if name in (None, "auto"):
        for variant in variants:
            for one in presets:
                tower = backbone or (one.backbones[0] if one.backbones else "")
                if one.tasks and one.fits(task, setting, tower, variant):
                    return variant
    return variants[0]
