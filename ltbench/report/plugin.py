"""Registers where curves of runs may go, lazily."""

from __future__ import annotations

from ltbench.plugin import ReporterSpec, hookimpl


@hookimpl
def ltbench_reporters() -> list[ReporterSpec]:
    """TensorBoard."""
    return [
        ReporterSpec(
            name="tensorboard",
            target="ltbench.report.run_curves:open_tensorboard",
            summary="event files of TensorBoard (extra `tensorboard`)",
        )
    ]
