"""Registers the executors that ltbench brings, lazily."""

from __future__ import annotations

from ltbench.plugin import ExecutorSpec, hookimpl


@hookimpl
def ltbench_executors() -> list[ExecutorSpec]:
    """This machine, Slurm, and dask."""
    return [
        ExecutorSpec(
            name="local",
            target="ltbench.engine.executors.local:open_local",
            summary="processes on this machine, one run at a time each",
        ),
        ExecutorSpec(
            name="slurm",
            target="ltbench.engine.executors.slurm:open_slurm",
            summary="jobs of a Slurm cluster, in arrays (extra `slurm`)",
        ),
        ExecutorSpec(
            name="dask",
            target="ltbench.engine.executors.on_dask:open_dask",
            summary="workers of a dask scheduler, which dask-jobqueue or Kubernetes may have started (extra `dask`)",
            addressed=True,
        ),
    ]
