"""What stands on CLIP on VOC-LT and COCO-LT: a preset for every recipe, the same images and answer for all of them."""

from __future__ import annotations

from typing import Any

import pytest

from ltbench.engine.request import RunRequest, resolve_method
from ltbench.method import Needs
from ltbench.method.config import Preset, build_config, choose_preset, load_presets
from ltbench.method.origin import parse_origin
from ltbench.tasks.registry import load_task
from ltbench_baselines.clip.plugin import ltbench_methods

SPECS = {spec.name: spec for spec in ltbench_methods()}
CLIPS = ("clip-rn50", "clip-rn101", "clip-vit-b16", "clip-vit-b32")
TASKS = ("voc-lt", "coco-lt")
LIMITED = (
    *("plt-voc@mr40", "plt-coco@mr0", "spml-voc@splc", "spml-coco@largeloss", "spml-nus@splc", "spml-cub@splc"),
    *("partial-voc2007@p10", "partial-coco@p50", "partial-vg200@p90"),
)
# Texts are not trained on images, and LMPT's zero-shot script has CLIP's own crop.
OWN_CROP = {"zero-shot", "zero-shot-ensemble", "tai-dpt"}
# Regions answer; the release ranks its merged scores.
OWN_ANSWER = {"tai-dpt"}
#: One layer of weights for each class.
OWN_LAYERS = {"linear-probe", "linear-probe-lbfgs", "full-fine-tuning"}


def preset_of(name: str, task: str, backbone: str, wanted: str | None = None) -> Preset:
    found = choose_preset(load_presets(SPECS[name]), wanted, task, None, backbone, "paper", name)
    assert found is not None, f"{name} has no preset for {task} on {backbone}"
    return found


def config_of(name: str, preset: Preset) -> Any:
    return build_config(SPECS[name].load().Config, name, SPECS[name].config, preset.overrides)


def needs_of(name: str, preset: Preset) -> Needs:
    needs: Needs = SPECS[name].load()(config_of(name, preset)).needs()
    return needs


@pytest.mark.parametrize("backbone", CLIPS)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", sorted(SPECS))
def test_every_recipe_has_a_preset_on_every_clip(name: str, task: str, backbone: str) -> None:
    preset = preset_of(name, task, backbone)
    assert needs_of(name, preset).images == ("backbone" if name in OWN_CROP else "square")
    if name not in OWN_ANSWER:
        assert config_of(name, preset).score == "softmax"
    if parse_origin(preset.origin).kind == "published":
        assert backbone in ("clip-rn50", "clip-vit-b16")


@pytest.mark.parametrize("backbone", CLIPS)
@pytest.mark.parametrize("task", LIMITED)
@pytest.mark.parametrize("name", [*sorted(set(SPECS) - OWN_ANSWER), "lmpt"])
def test_one_picture_and_one_kind_of_answer_where_labels_are_missing(name: str, task: str, backbone: str) -> None:
    """A softmax ranks the images of a class in another order: rows of one kind must not differ by that. What learns a
    layer for each class stands beside heads and towers that have no softmax."""
    found = resolve_method(RunRequest(load_task(task), name, backbone))
    assert found.preset is not None
    assert found.method.needs().images == "backbone"
    stated = found.config.model_dump()
    assert stated["score"] == ("logits" if name in OWN_LAYERS else "softmax")
    assert name in OWN_LAYERS or not found.method.needs().calibrated, "a softmax gives no probability of a label"
    assert parse_origin(found.origin).kind in ("default", "transferred")


@pytest.mark.parametrize("name", sorted(set(SPECS) - OWN_ANSWER - {"linear-probe", "linear-probe-lbfgs"}))
def test_where_classes_are_unseen_logits_rank(name: str) -> None:
    for task in ("zsl-coco", "zsl-nus"):
        if SPECS[name].load()(config_of(name, preset_of(name, "voc-lt", "clip-rn50"))).needs().classes == "open":
            assert config_of(name, preset_of(name, task, "clip-rn50")).score == "logits"


@pytest.mark.parametrize("name", ["linear-probe", "linear-probe-lbfgs"])
def test_features_of_a_file_are_asked_for_no_flips(name: str) -> None:
    for task in LIMITED:
        found = resolve_method(RunRequest(load_task(task), name, "precomputed:features.npz"))
        assert found.config.model_dump().get("augment", "none") == "none"


@pytest.mark.parametrize(("task", "theta", "zeta"), [("voc-lt", 0.3, 5.0), ("coco-lt", 0.2, 2.0)])
@pytest.mark.parametrize("backbone", [*CLIPS, "timm:resnet18", "precomputed:features.npz"])
def test_the_constants_of_the_losses_hang_on_the_data_set(task: str, theta: float, zeta: float, backbone: str) -> None:
    config = config_of("linear-probe", preset_of("linear-probe", task, backbone))
    assert (config.theta, config.neg_scale) == (theta, zeta)
    if backbone not in CLIPS:
        assert config.images == "backbone", "features of a file cannot be resized"


@pytest.mark.parametrize(("task", "theta", "zeta"), [("voc-lt", 0.3, 5.0), ("coco-lt", 0.2, 2.0)])
def test_the_linear_layer_of_lmpts_repository(task: str, theta: float, zeta: float) -> None:
    config = config_of("linear-probe", preset_of("linear-probe", task, "clip-rn50", "lmpt-fc")).model_dump()
    stated = {"features": "raw", "weight_init": "drawn", "bias_init": "drawn", "batch_size": 100, "lr": 1e-4}
    stated |= {"weight_decay": 1e-4, "loss": "db-focal", "theta": theta, "neg_scale": zeta, "epochs": 30}
    stated |= {"images": "square", "score": "softmax", "schedule": "constant", "augment": "flip"}
    assert {name: config[name] for name in stated} == stated
