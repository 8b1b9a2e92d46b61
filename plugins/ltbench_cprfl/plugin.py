"""Registers CPRFL. Imports no torch."""

from __future__ import annotations

from ltbench.plugin import MethodSpec, RowNote, hookimpl

ltbench_contract = 1


@hookimpl
def ltbench_methods() -> list[MethodSpec]:
    """The recipe of this package."""
    return [
        MethodSpec(
            name="cprfl",
            target="ltbench_cprfl.method:CPRFL",
            summary="class names become prompts that meet the image's regions and classify what they become (CPRFL)",
            families={"ltml", "plt", "partial", "spml"},
            variants=("code",),
            card="cards/cprfl.md",
            presets="presets.yaml",
            notes=(
                RowNote(
                    text="the image tower was left as it is and its regions were cached; the paper learns the tower",
                    config={"tower": "frozen"},
                    mark="frozen",
                ),
            ),
        )
    ]
