"""Registers SCPNet. Imports no torch."""

from __future__ import annotations

from ltbench.plugin import MethodSpec, RowNote, hookimpl

ltbench_contract = 1


@hookimpl
def ltbench_methods() -> list[MethodSpec]:
    """The recipe of this package."""
    return [
        MethodSpec(
            name="scpnet",
            target="ltbench_scpnet.method:SCPNet",
            summary="one learned prompt, a graph of similar classes, and a strong view taught by a weak one (SCPNet)",
            families={"spml", "partial"},
            variants=("code",),
            card="cards/scpnet.md",
            presets="presets.yaml",
            notes=(
                RowNote(
                    text="the image tower was left as it is and its features were cached; the paper learns the tower",
                    config={"tower": "frozen"},
                    mark="frozen",
                ),
            ),
        )
    ]
