"""Registers HSPNet and the parts it is compared with. Imports no torch."""

from __future__ import annotations

from typing import Any

from ltbench.plugin import MethodSpec, RowNote, hookimpl


def _recipe(name: str, summary: str, **config: Any) -> MethodSpec:
    return MethodSpec(
        name=name,
        target="ltbench_hspnet.method:HSPNet",
        summary=summary,
        families={"spml", "partial"},
        config=config,
        variants=("code", "paper"),
        card="cards/hspnet.md",
        presets="presets.yaml",
        notes=(
            RowNote(
                text="the image tower was left as it is and its features were cached; the paper learns the tower",
                config={"train_encoder": False},
                mark="frozen",
            ),
        ),
    )


@hookimpl
def ltbench_methods() -> list[MethodSpec]:
    """The recipes of this package."""
    return [
        _recipe("hspnet", "prompts made from groups of classes, graphs over groups and classes, SPLC's loss (HSPNet)"),
        _recipe("hspnet-cluster", "HSPNet with groups from clustering the class names' features", groups="cluster"),
        _recipe("hcp", "HSPNet's prompts made from groups, without its graphs", label_graph=False, group_graph=False),
        _recipe(
            "spl-gcn",
            "one learned prompt for all classes and a graph over the classes, SPLC's loss",
            prompts="single",
            group_graph=False,
        ),
        _recipe(
            "spl",
            "one learned prompt for all classes, trained with the image tower on SPLC's loss",
            prompts="single",
            label_graph=False,
            group_graph=False,
        ),
    ]
