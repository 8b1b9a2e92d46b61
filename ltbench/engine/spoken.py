"""Class names that a text tower cuts off, does not know or cannot tell apart, said before a method learns from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ltbench.backbones.base import Backbone
from ltbench.method import Needs

#: Names that a line shows.
_SHOWN: Final = 3


def doubtful_names(backbone: Backbone, needs: Needs, names: Sequence[str]) -> list[str]:
    """What is doubtful about class names, a line for each kind; empty where the method reads no text."""
    tower = backbone.text
    if tower is None or not needs.text:
        return []
    plain = [name.replace("_", " ") for name in names]
    # As given, so that what a tower writes otherwise itself is judged as it will be.
    parts = tower.unknown_parts(names)
    lines = []
    if parts:
        told = "; ".join(f"{name!r}: {why}" for name, why in list(parts.items())[:_SHOWN])
        count = _count(len(parts), names)
        lines.append(f"warning: {count} are cut off or unknown to the text tower ({told}{_more(parts)})")
    same: dict[tuple[int, ...], list[str]] = {}
    for name, row in zip(names, tower.tokenize(plain).tolist(), strict=True):
        same.setdefault(tuple(row), []).append(name)
    groups = [group for group in same.values() if len(group) > 1]
    if groups:
        told = "; ".join(" = ".join(repr(name) for name in group) for group in groups[:_SHOWN])
        count = _count(sum(map(len, groups)), names)
        lines.append(f"warning: {count} are the same to the text tower ({told}{_more(groups)})")
    return lines


def _count(number: int, names: Sequence[str]) -> str:
    return f"{number} of {len(names)} class names"


def _more(found: Sequence[object] | dict[str, str]) -> str:
    return f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
