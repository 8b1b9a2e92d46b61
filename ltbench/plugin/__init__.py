"""What a plugin's entry-point module needs. Imports no torch and nothing else of ltbench."""

from ltbench.plugin.errors import PluginError, UnknownName, UserError
from ltbench.plugin.hooks import hookimpl
from ltbench.plugin.specs import BackboneSpec, DatasetSpec, MethodSpec, MetricSpec, TaskSpec

__all__ = [
    "BackboneSpec",
    "DatasetSpec",
    "MethodSpec",
    "MetricSpec",
    "PluginError",
    "TaskSpec",
    "UnknownName",
    "UserError",
    "hookimpl",
]
