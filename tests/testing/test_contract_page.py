"""The page on the contract names everything that is in the contract, with the signatures of the code."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import pytest
from engine.toy_hooks import PreparedHead, Rewriter, WatchfulHead
from engine.toy_modules import ByName

import ltbench.method as contract
from ltbench.method.stages import Trainable
from ltbench.plugin import specs
from ltbench.plugin.hooks import HOOK_KINDS, Hooks
from ltbench.testing.checks import CHECKS
from ltbench.testing.outcomes import SkipReason

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/plugin-contract.md").read_text(encoding="utf-8")
WORDS = set(re.findall(r"\w+", PAGE))


@pytest.mark.parametrize("hook", sorted(HOOK_KINDS))
def test_hooks_are_shown_with_their_signature(hook: str) -> None:
    answer = inspect.signature(getattr(Hooks, hook)).return_annotation
    assert f"def {hook}() -> {answer}\n" in PAGE


@pytest.mark.parametrize("spec", [*HOOK_KINDS.values()])
def test_every_field_of_a_spec_is_named(spec: type) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{spec.__name__}` |")]
    own = {field.name for field in dataclasses.fields(spec)} - {field.name for field in dataclasses.fields(specs.Spec)}
    assert {name for name in own if f"`{name}`" not in row} == set()


@pytest.mark.parametrize("name", sorted(contract.__all__))
def test_every_public_name_and_its_fields_are_named(name: str) -> None:
    thing = getattr(contract, name)
    assert name in WORDS
    fields = set(getattr(thing, "model_fields", {}))
    if dataclasses.is_dataclass(thing):
        fields = {field.name for field in dataclasses.fields(thing)}
    assert {field for field in fields if f"`{field}`" not in PAGE and f"`{field}()`" not in PAGE} == set()


def test_every_check_and_reason_is_named() -> None:
    assert [title for title in CHECKS if f"| {title} |" not in PAGE] == []
    assert [reason for reason in SkipReason if f"`{reason}`" not in PAGE] == []


@pytest.mark.parametrize("method", ["needs", "stages"])
def test_methods_are_shown_with_their_signature(method: str) -> None:
    signature = inspect.signature(getattr(contract.Method, method))
    shown = ", ".join(str(parameter) for parameter in signature.parameters.values()).replace("'", "")
    assert f"def {method}({shown}) -> {signature.return_annotation}" in PAGE


HOOKS = {
    "on_fit_start": PreparedHead,
    "on_epoch_start": WatchfulHead,
    "set_classes": ByName,
    "decisions": Rewriter,
}
"""Each optional method, and a module that the engine's tests run with it."""


def test_each_hook_has_a_module_that_is_run_with_it() -> None:
    hooks = {name for name, found in vars(contract.StageHooks).items() if inspect.isfunction(found) and name[0] != "_"}
    assert hooks == set(HOOKS)


@pytest.mark.parametrize("hook", ["loss", "logits", *HOOKS])
def test_hooks_of_modules_are_shown_with_their_signature(hook: str) -> None:
    protocol = contract.StageHooks if hook in HOOKS else Trainable
    exact = inspect.signature(getattr(protocol, hook))
    assert f"def {hook}{str(exact).replace(chr(39), '')}" in PAGE
    if hook in HOOKS:
        taken = inspect.signature(getattr(HOOKS[hook], hook))
        assert list(taken.parameters) == list(exact.parameters)
