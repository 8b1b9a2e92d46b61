"""Registers COMIC and the baselines beside it. Imports no torch."""

from __future__ import annotations

from ltbench.plugin import MethodSpec, hookimpl
from ltbench_comic.plain_recipes import plain_recipes


@hookimpl
def ltbench_methods() -> list[MethodSpec]:
    """The recipes of this package."""
    return [
        MethodSpec(
            name="comic",
            target="ltbench_comic.method:Comic",
            summary="corrects missing labels and balances a head and a tail model on frozen features",
            families={"plt"},
            variants=("code", "paper"),
            card="cards/comic.md",
            presets="presets.yaml",
        ),
        *plain_recipes(),
    ]
