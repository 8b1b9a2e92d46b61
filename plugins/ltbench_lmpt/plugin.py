"""Registers LMPT. Imports no torch."""

from __future__ import annotations

from ltbench.plugin import MethodSpec, hookimpl


@hookimpl
def ltbench_methods() -> list[MethodSpec]:
    """The recipe of this package."""
    return [
        MethodSpec(
            name="lmpt",
            target="ltbench_lmpt.method:LMPT",
            summary="learns prompts from images, labels and captions: DB loss, class-specific embedding loss (LMPT)",
            families={"ltml"},
            variants=("paper", "code"),
            card="cards/lmpt.md",
            presets="presets.yaml",
        )
    ]
