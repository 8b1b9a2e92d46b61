"""Registers DR. Imports no torch."""

from __future__ import annotations

from ltbench.plugin import MethodSpec, hookimpl


@hookimpl
def ltbench_methods() -> list[MethodSpec]:
    """The recipe of this package."""
    return [
        MethodSpec(
            name="dr",
            target="ltbench_dr.method:DR",
            summary="fine-tunes the image tower with the distributionally robust loss, classes compared within a batch",
            families={"ltml"},
            variants=("code", "paper"),
            card="cards/dr.md",
            presets="presets.yaml",
        )
    ]
