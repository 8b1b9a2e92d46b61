"""Registers DualCoOp. Imports no torch."""

from __future__ import annotations

from ltbench.plugin import MethodSpec, hookimpl


@hookimpl
def ltbench_methods() -> list[MethodSpec]:
    """The recipe of this package."""
    return [
        MethodSpec(
            name="dualcoop",
            target="ltbench_dualcoop.method:DualCoOp",
            summary="learns a positive and a negative prompt, compared with image regions that each class picks",
            families={"partial", "zero-shot", "spml", "ltml", "plt"},
            variants=("code", "paper"),
            card="cards/dualcoop.md",
            presets="presets.yaml",
        )
    ]
