"""Registers DualCoOp++. Imports no torch."""

from __future__ import annotations

from ltbench.plugin import MethodSpec, hookimpl

ltbench_contract = 1


@hookimpl
def ltbench_methods() -> list[MethodSpec]:
    """The recipe of this package."""
    return [
        MethodSpec(
            name="dualcoop-plus",
            target="ltbench_dualcoop_plus.method:DualCoOpPlus",
            summary="DualCoOp with a third prompt that picks the regions, for which classes compete (DualCoOp++)",
            families={"partial", "zero-shot", "spml", "ltml", "plt"},
            variants=("code",),
            card="cards/dualcoop-plus.md",
            presets="presets.yaml",
        )
    ]
