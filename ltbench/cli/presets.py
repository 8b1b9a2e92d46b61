"""Presets as people read them: each by its name, and by what sets it apart from one above."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ltbench.cli.output import fold

if TYPE_CHECKING:
    from ltbench.method.config import Preset


def preset_lines(presets: Sequence[Preset]) -> Iterator[str]:
    """Two lines or more a preset, folded: name, what it is for, origin; below, its options.

    Options are told in full, or as the difference from the preset above that is nearest. The order is that of the file,
    which decides what ``--preset`` takes by itself.
    """
    names = Counter(preset.name for preset in presets)
    for number, preset in enumerate(presets):
        yield fold(f"{preset.name}: for {made_for(preset)}; {preset.origin}", "  ")
        yield fold(f"    {_options(preset, presets[:number], names)}", "    ")


def backbones_of(presets: Sequence[Preset]) -> str:
    """For which backbones there are presets, in words."""
    if not presets:
        return "none"
    named = list(dict.fromkeys(name for preset in presets for name in preset.backbones))
    free = sum(not preset.backbones for preset in presets)
    return ", ".join([*named, *([f"any backbone ({free} of {len(presets)})"] if free else [])])


def made_for(preset: Preset) -> str:
    """Tasks, backbones and variant of a preset."""
    found = [*preset.tasks, *preset.backbones, *([f"variant {preset.variant}"] if preset.variant else [])]
    return ", ".join(found) or "any task"


def _options(preset: Preset, above: Sequence[Preset], names: Counter[str]) -> str:
    near = min(above, key=lambda other: _distance(preset, other), default=None)
    if near is None or _distance(preset, near) >= len(preset.overrides):
        return " ".join(_typed(preset.overrides)) or "no options of its own"
    changes = _changes(preset, near)
    name = near.name if names[near.name] == 1 else f"{near.name} ({made_for(near)})"
    return f"as {name}" + (f", but {' '.join(changes)}" if changes else "")


def _changes(preset: Preset, other: Preset) -> list[str]:
    """Options that a preset sets otherwise than another, and those that it leaves at their default."""
    mine, theirs = preset.overrides, other.overrides
    set_ = {name: value for name, value in mine.items() if name not in theirs or theirs[name] != value}
    return [*_typed(set_), *(f"{name}=(default)" for name in theirs if name not in mine)]


def _distance(preset: Preset, other: Preset) -> int:
    """How many changes there are, without writing them: asked of each pair of presets."""
    mine, theirs = preset.overrides, other.overrides
    set_ = sum(bool(name not in theirs or theirs[name] != value) for name, value in mine.items())
    return set_ + sum(name not in mine for name in theirs)


def _typed(options: dict[str, Any]) -> list[str]:
    return [f"{name}={value}" for name, value in options.items()]
