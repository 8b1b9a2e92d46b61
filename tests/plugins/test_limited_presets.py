"""Every baseline has a preset on the official tasks of limited labels and unseen classes that it can run."""

from __future__ import annotations

import pytest

from ltbench.engine.choose import choose_backbone
from ltbench.engine.request import RunRequest, resolve_method
from ltbench.method.config import build_config, choose_preset, load_presets
from ltbench.method.origin import parse_origin
from ltbench.plugin.manager import registry
from ltbench.tasks.registry import load_task, resolve

TASKS = {
    "partial": ("partial-coco@p50", "partial-voc2007@p50", "partial-vg200@p50"),
    "spml": tuple(task.address for data in ("voc", "coco", "nus", "cub") for task in resolve(f"spml-{data}")),
    "zero-shot": ("zsl-coco", "zsl-nus"),
}
# How many classes of VG-200 an image shows on average is not at hand.
WITHOUT = {(f"{loss}{suffix}", "partial-vg200") for loss in ("epr", "role") for suffix in ("", "-linear", "-prompts")}
CASES = sorted(
    (item.spec.name, task)
    for item in registry().methods
    for family, tasks in TASKS.items()
    if family in item.spec.families and item.distribution == "ltbench"
    for task in tasks
)


def test_the_cases_are_found() -> None:
    assert sorted({task.partition("@")[0] for _, task in CASES}) == sorted(
        {task.partition("@")[0] for tasks in TASKS.values() for task in tasks}
    )
    assert {"coop", "dualcoop", "lesa", "erm", "splc-linear", "ssgrl", "hcp"} <= {name for name, _ in CASES}


@pytest.mark.parametrize(("recipe", "address"), CASES)
def test_there_is_a_preset_that_builds(recipe: str, address: str) -> None:
    """Found as a run finds it: by the backbone of the presets made for the task. None claims to be tuned there."""
    spec = registry().methods.get(recipe).spec
    task, _, setting = address.partition("@")
    presets = [preset for preset in load_presets(spec) if preset.tasks]
    fitting = [
        (preset, variant)
        for preset in presets
        for variant in spec.variants
        if preset.fits(task, setting or None, (*preset.backbones, "clip-rn50")[0], variant)
    ]
    if (recipe, task) in WITHOUT:
        assert fitting == []
        return
    assert fitting
    for preset, variant in fitting:
        backbone = (*preset.backbones, "clip-rn50")[0]
        found = choose_preset(load_presets(spec), preset.name, task, setting or None, backbone, variant)
        assert found is not None
        config = build_config(spec.load().Config, recipe, spec.config, preset.overrides)
        assert parse_origin(preset.origin).kind != "tuned"
        # A value of the data set's own, and not the one that images of shapes have.
        if hasattr(config, "expected_positives") and recipe.split("-")[0] in ("epr", "role"):
            means = {"voc": 1.5, "coco": 2.9, "nus": 1.9, "cub": 31.4, "voc2007": 1.5}
            assert config.expected_positives == means[task.partition("-")[2]]


AT_448 = [
    *((method, task) for method in ("ssgrl", "sst", "sarb", "ml-gcn") for task in TASKS["partial"]),
    *((method, task) for method in ("kggr", "partial-bce", "curriculum") for task in TASKS["partial"][:2]),
    *(("an", task) for task in TASKS["spml"] if task != "spml-cub@splc"),
    *((method, task) for method in ("lsan", "role", "wan", "epr", "splc") for task in TASKS["spml"]),
    *(
        (method, task)
        for method in ("ll-r", "ll-ct", "ll-cp", "em", "em-apl")
        for task in TASKS["spml"]
        if "large" in task
    ),
    *(("hill", task) for task in TASKS["spml"] if "splc" in task),
]


@pytest.mark.parametrize(("recipe", "address"), AT_448)
def test_rows_that_were_trained_at_448_are(recipe: str, address: str) -> None:
    """SST's and SARB's releases squeeze images and so does the method; for others the encoder is opened at the size."""
    task = load_task(address)
    backbone = choose_backbone(task, recipe).name
    assert backbone.startswith("timm:resnet")
    resolved = resolve_method(RunRequest(task=task, method=recipe, backbone=backbone))
    assert resolved.preset is not None
    assert resolved.preset.origin.startswith("published(")
    assert resolved.image_size == 448
