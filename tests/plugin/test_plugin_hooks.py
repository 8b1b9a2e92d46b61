"""Every hook has a specification, a documented example that works, and an answer that reaches the registry."""

from __future__ import annotations

import inspect
import textwrap
import typing

import pytest

from ltbench.plugin import (
    BackboneSpec,
    DatasetSpec,
    ExecutorSpec,
    MethodSpec,
    MetricSpec,
    ReporterSpec,
    TaskSpec,
    hookimpl,
)
from ltbench.plugin.hooks import GROUP, HOOK_KINDS, Hooks
from ltbench.plugin.manager import load_entry_points
from tests.conftest import Distribute

SPECIFIED = sorted(name for name in vars(Hooks) if name.startswith("ltbench_"))
NAMES = {
    "hookimpl": hookimpl,
    "MethodSpec": MethodSpec,
    "TaskSpec": TaskSpec,
    "DatasetSpec": DatasetSpec,
    "BackboneSpec": BackboneSpec,
    "MetricSpec": MetricSpec,
    "ExecutorSpec": ExecutorSpec,
    "ReporterSpec": ReporterSpec,
}


def example(hook: str) -> str:
    """The example in the hook's docstring."""
    text = inspect.getdoc(getattr(Hooks, hook)) or ""
    return textwrap.dedent(text.partition("Example:\n")[2])


def test_the_list_of_hooks_is_the_list_of_specifications() -> None:
    assert sorted(HOOK_KINDS) == SPECIFIED
    for hook, kind in HOOK_KINDS.items():
        answer = typing.get_type_hints(getattr(Hooks, hook))["return"]
        assert answer == list[kind]
        assert getattr(getattr(Hooks, hook), f"{GROUP}_spec") is not None


@pytest.mark.parametrize("hook", SPECIFIED)
def test_the_documented_example_of_each_hook_registers(hook: str, distribute: Distribute) -> None:
    source = f"from ltbench.plugin import {', '.join(NAMES)}\n{example(hook)}"
    registry = load_entry_points(distribute("acme", {"acme_example": source}))

    (report,) = registry.reports
    assert (report.status, report.problem) == ("ok", "")
    kind = HOOK_KINDS[hook].kind
    (item,) = registry.catalogue(kind)
    assert isinstance(item.spec, HOOK_KINDS[hook])
    assert report.provides == (f"{kind} {item.spec.name}",)
    assert item.claimant == "acme 1.0 (plugin acme_example)"


@pytest.mark.parametrize("hook", SPECIFIED)
def test_each_hook_refuses_the_specs_of_another(hook: str, distribute: Distribute) -> None:
    other = next(kind for name, kind in HOOK_KINDS.items() if name != hook)
    build = f"object.__new__({other.__name__})"
    source = f"from ltbench.plugin import {', '.join(NAMES)}\n@hookimpl\ndef {hook}():\n    return [{build}]\n"
    (report,) = load_entry_points(distribute("acme", {"acme_wrong": source})).reports
    assert report.status == "broken"
    assert (
        report.problem
        == f"{hook} returned a list with {other.__name__}, expected a list of {HOOK_KINDS[hook].__name__}"
    )
