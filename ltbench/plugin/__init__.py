"""What a plugin's entry-point module needs. Imports no torch and nothing else of ltbench."""

from ltbench.plugin.errors import PluginError, UnknownName, UserError
from ltbench.plugin.hooks import CONTRACT, hookimpl
from ltbench.plugin.specs import (
    BackboneSpec,
    DatasetSpec,
    ExecutorSpec,
    MethodSpec,
    MetricSpec,
    ReporterSpec,
    RowNote,
    TaskSpec,
)

__all__ = [
    "CONTRACT",
    "BackboneSpec",
    "DatasetSpec",
    "ExecutorSpec",
    "MethodSpec",
    "MetricSpec",
    "PluginError",
    "ReporterSpec",
    "RowNote",
    "TaskSpec",
    "UnknownName",
    "UserError",
    "hookimpl",
]
