"""Recipes outside of their own family: which run on which shapes task, with what options, and what 0 means to them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from ltbench.engine.needs import task_problems, unknown_policy
from ltbench.method import MethodConfig, Needs, Preset
from ltbench.method.config import build_config, choose_preset, load_presets
from ltbench.method.origin import parse_origin
from ltbench.plugin.manager import registry
from ltbench.plugin.specs import MethodSpec
from ltbench.tasks.registry import load_task
from ltbench.tasks.task import Task

AS_ON_COMPLETE_LABELS = ("lmpt", "dr", "erm", "asl", "db", "linear-probe", "coop", "tai-dpt", "zero-shot-ensemble")
AS_ON_SINGLE_POSITIVES = ("hspnet", "hspnet-cluster", "hill", "splc-linear")
SETTINGS = tuple(f"shapes-partial@p{share}" for share in range(10, 100, 10))
TASKS = ("shapes-lt", "shapes-plt@mr40", "shapes-spml", "shapes-partial@p10")
PAIRS = list(
    itertools.product([*AS_ON_COMPLETE_LABELS, *AS_ON_SINGLE_POSITIVES, "comic", "dualcoop", "dual-templates"], TASKS)
)


def of(recipe: str, task: str) -> tuple[MethodSpec, Task, Preset]:
    """Recipe, task, and the preset that a run takes unless told otherwise."""
    spec, opened = registry().methods.get(recipe).spec, load_task(task)
    variant: Any = spec.variants[0]
    preset = choose_preset(load_presets(spec), None, opened.name, opened.setting, "tiny-clip", variant)
    assert preset is not None
    return spec, opened, preset


def needs_of(spec: MethodSpec, preset: Preset) -> Needs:
    method = spec.load()
    config = build_config(method.Config, spec.name, spec.config, preset.overrides)
    assert isinstance(config, MethodConfig)
    needs: Needs = method(config).needs()
    return needs


@pytest.mark.parametrize(("recipe", "task"), PAIRS)
def test_its_needs_are_met_and_a_preset_is_named_after_the_task(recipe: str, task: str) -> None:
    spec, opened, preset = of(recipe, task)
    assert preset.name in ("shapes", opened.name)
    assert task_problems(needs_of(spec, preset), opened, has_groups=False) == []


@pytest.mark.parametrize(("recipe", "task"), PAIRS)
def test_only_what_was_tuned_on_a_task_says_so(recipe: str, task: str) -> None:
    preset = of(recipe, task)[2]
    kind = parse_origin(preset.origin).kind
    assert kind in ("tuned", "transferred") or not preset.overrides
    assert kind != "tuned" or preset.name == "shapes"


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("recipe", [*AS_ON_COMPLETE_LABELS, *AS_ON_SINGLE_POSITIVES, "comic"])
def test_options_are_those_of_the_recipe_s_own_task(recipe: str, task: str) -> None:
    """But for the number of rows, which differs between tasks."""
    home = "shapes-lt" if recipe in AS_ON_COMPLETE_LABELS else "shapes-spml"
    home = "shapes-plt@mr40" if recipe == "comic" else home
    options = dict(of(recipe, task)[2].overrides)
    if recipe.startswith("hspnet") and task.startswith("shapes-partial"):
        assert options.pop("unknown") == "ignore"
    own = dict(of(recipe, home)[2].overrides)
    steps = ("balanced_step", "attention_step", "classifier_step", "head_step", "tail_step")
    for size in ("epochs", "sampler_reduce", *steps):
        options.pop(size, None)
        own.pop(size, None)
    assert options == own


@pytest.mark.parametrize(("recipe", "task"), PAIRS)
def test_what_becomes_of_unknown_labels(recipe: str, task: str) -> None:
    """Where no absent label is known 0 is absent, with partial labels it is left out; else the method's own way."""
    spec, opened, preset = of(recipe, task)
    own = recipe in (*AS_ON_SINGLE_POSITIVES, "comic")
    if recipe.startswith("hspnet") and opened.family == "partial":
        expected = "ignore"
    elif own:
        expected = "own"
    else:
        expected = "ignore" if opened.family in ("partial", "ltml") else "assume-negative"
    assert unknown_policy(needs_of(spec, preset), opened) == expected


@pytest.mark.parametrize("recipe", ["lmpt", "tai-dpt"])
def test_captions_are_made_from_observed_labels_where_labels_are_hidden(recipe: str) -> None:
    found = {}
    for task in TASKS:
        spec, opened, preset = of(recipe, task)
        assert needs_of(spec, preset).captions
        found[opened.name] = opened.captions
    assert found == {
        "shapes-lt": "given",
        "shapes-plt": "observed",
        "shapes-spml": "observed",
        "shapes-partial": "observed",
    }


@pytest.mark.parametrize("recipe", ["db", "dr"])
def test_each_share_of_known_labels_has_one_preset(recipe: str) -> None:
    reduced = []
    for task in SETTINGS:
        spec, opened, preset = of(recipe, task)
        fitting = [
            p for p in load_presets(spec) if p.tasks and p.fits(opened.name, opened.setting, "tiny-clip", "code")
        ]
        assert fitting == [preset]
        reduced.append(preset.overrides["sampler_reduce"])
    assert reduced == sorted(reduced)
