"""Registers the methods for partial labels. Imports no torch."""

from __future__ import annotations

from ltbench.plugin import MethodSpec, hookimpl
from ltbench_baselines.partial.graph_recipes import partial_graph_recipes
from ltbench_baselines.partial.loss_recipes import partial_label_recipes


@hookimpl
def ltbench_methods() -> list[MethodSpec]:
    """The recipes of this subject."""
    return [*partial_label_recipes(), *partial_graph_recipes()]
