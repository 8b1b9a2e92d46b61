"""The hooks that a plugin may implement. Each returns a list of frozen specs and imports no torch.

A plugin is a module (or object) named by an entry point of the group ``ltbench``:

    [project.entry-points.ltbench]
    acme = "acme.plugin"
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pluggy

from ltbench.plugin.specs import BackboneSpec, DatasetSpec, ExecutorSpec, MethodSpec, MetricSpec, ReporterSpec, TaskSpec

#: Version of the contract with plugins, and the oldest that is still spoken; docs/reference/stability.md.
CONTRACT = 1
OLDEST_CONTRACT = 1
GROUP = "ltbench"

hookspec = pluggy.HookspecMarker(GROUP)
_marker = pluggy.HookimplMarker(GROUP)

F = TypeVar("F", bound=Callable[..., object])


def hookimpl(function: F) -> F:
    """Mark a function as the implementation of the hook of the same name."""
    marked: F = _marker(function)
    return marked


class Hooks:
    """Specifications: pluggy reads the signatures, people read the docstrings."""

    @hookspec
    def ltbench_methods(self) -> list[MethodSpec]:  # type: ignore[empty-body]
        """Register recipes.

        Example:
            @hookimpl
            def ltbench_methods():
                return [MethodSpec(name="acme-probe", target="acme.method:AcmeProbe",
                                   summary="a linear probe with a margin", families={"ltml"})]
        """

    @hookspec
    def ltbench_tasks(self) -> list[TaskSpec]:  # type: ignore[empty-body]
        """Register tasks.

        Example:
            @hookimpl
            def ltbench_tasks():
                return [TaskSpec(name="acme-lt", target="acme.tasks:acme_lt", summary="…", family="ltml",
                                 version=1, data_set="acme")]
        """

    @hookspec
    def ltbench_datasets(self) -> list[DatasetSpec]:  # type: ignore[empty-body]
        """Register data sets.

        Example:
            @hookimpl
            def ltbench_datasets():
                return [DatasetSpec(name="acme", target="acme.data:open_acme", summary="…", licence="CC0")]
        """

    @hookspec
    def ltbench_backbones(self) -> list[BackboneSpec]:  # type: ignore[empty-body]
        """Register encoders.

        Example:
            @hookimpl
            def ltbench_backbones():
                return [BackboneSpec(name="acme-net", target="acme.backbone:open_acme_net", summary="…",
                                     offers=("image", "global"), pretraining="acme-10M")]
        """

    @hookspec
    def ltbench_metrics(self) -> list[MetricSpec]:  # type: ignore[empty-body]
        """Register metrics that tasks may name.

        Example:
            @hookimpl
            def ltbench_metrics():
                return [MetricSpec(name="mAP", target="ltbench.metrics.contract:MAP", summary="…")]
        """

    @hookspec
    def ltbench_executors(self) -> list[ExecutorSpec]:  # type: ignore[empty-body]
        """Register executors, which take the jobs of ``ltbench sweep``.

        Example:
            @hookimpl
            def ltbench_executors():
                return [ExecutorSpec(name="acme-grid", target="acme.grid:open_grid", summary="the grid of Acme")]
        """

    @hookspec
    def ltbench_reporters(self) -> list[ReporterSpec]:  # type: ignore[empty-body]
        """Register where curves of runs may go.

        Example:
            @hookimpl
            def ltbench_reporters():
                return [ReporterSpec(name="acme-board", target="acme.board:open_run", summary="the board of Acme")]
        """


HOOK_KINDS: dict[str, type] = {
    "ltbench_methods": MethodSpec,
    "ltbench_tasks": TaskSpec,
    "ltbench_datasets": DatasetSpec,
    "ltbench_backbones": BackboneSpec,
    "ltbench_metrics": MetricSpec,
    "ltbench_executors": ExecutorSpec,
    "ltbench_reporters": ReporterSpec,
}
