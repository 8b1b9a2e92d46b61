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
    sets = [_Set(preset) for preset in presets]
    for number, preset in enumerate(presets):
        yield fold(f"{preset.name}: for {made_for(preset)}; {preset.origin}", "  ")
        yield fold(f"    {_options(sets[number], sets[:number], names)}", "    ")


def backbones_of(presets: Sequence[Preset]) -> str:
    """For which backbones there are presets, in words."""
    if not presets:
        return "none"
    named = list(dict.fromkeys(name for preset in presets for name in preset.backbones))
    free = sum(not preset.backbones for preset in presets)
    return ", ".join([*named, *([f"any backbone ({free} of {len(presets)})"] if free else [])])


def made_for(preset: Preset) -> str:
    """Tasks, backbones and variant of a preset."""
    backbones = [preset.of_backbones()] if preset.of_backbones() else []
    found = [*preset.tasks, *backbones, *([f"variant {preset.variant}"] if preset.variant else [])]
    return ", ".join(found) or "any task"


class _Set:
    """A preset with its options as sets, which are compared quickly."""

    def __init__(self, preset: Preset) -> None:
        self.preset = preset
        self.names = frozenset(preset.overrides)
        self.items = frozenset((name, _frozen(value)) for name, value in preset.overrides.items())


def _options(found: _Set, above: Sequence[_Set], names: Counter[str]) -> str:
    preset = found.preset
    nearest = min(above, key=lambda other: _distance(found, other), default=None)
    if nearest is None or _distance(found, nearest) >= len(preset.overrides):
        return " ".join(_typed(preset.overrides)) or "no options of its own"
    near = nearest.preset
    changes = _changes(preset, near)
    name = near.name if names[near.name] == 1 else f"{near.name} ({made_for(near)})"
    return f"as {name}" + (f", but {' '.join(changes)}" if changes else "")


def _changes(preset: Preset, other: Preset) -> list[str]:
    """Options that a preset sets otherwise than another, and those that it leaves at their default."""
    mine, theirs = preset.overrides, other.overrides
    set_ = {name: value for name, value in mine.items() if name not in theirs or theirs[name] != value}
    return [*_typed(set_), *(f"{name}=(default)" for name in theirs if name not in mine)]


def _distance(preset: _Set, other: _Set) -> int:
    """How many changes there are, without writing them: asked of each pair of presets."""
    return len(preset.items - other.items) + len(other.names - preset.names)


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple((name, _frozen(each)) for name, each in sorted(value.items()))
    return tuple(_frozen(each) for each in value) if isinstance(value, (list, tuple)) else value


def _typed(options: dict[str, Any]) -> list[str]:
    return [f"{name}={value}" for name, value in options.items()]
