"""Registers DR. Imports no torch."""

from __future__ import annotations

from ltbench.plugin import MethodSpec, RowNote, hookimpl


def _recipe(name: str, summary: str) -> MethodSpec:
    """The trainer of DR with one of its objectives."""
    return MethodSpec(
        name=name,
        target="ltbench_dr.method:DR",
        summary=f"fine-tunes the image tower with {summary}",
        families={"ltml"},
        config={} if name == "dr" else {"objective": name},
        variants=("code", "paper"),
        card="cards/dr.md",
        presets="presets.yaml",
        notes=(
            RowNote(
                text="the image tower was left as it is and its features were cached; the paper learns the tower",
                config={"tower": "frozen"},
                mark="frozen",
            ),
        ),
    )


@hookimpl
def ltbench_methods() -> list[MethodSpec]:
    """The recipes of this package."""
    return [
        _recipe("dr", "the distributionally robust loss, classes compared within a batch"),
        _recipe("c-lsep", "a pairwise ranking loss along each class of a batch (C-LSEP)"),
        _recipe("c-zlpr", "a zero-bounded ranking loss along each class of a batch (C-ZLPR)"),
    ]
