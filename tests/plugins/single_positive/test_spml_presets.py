"""Single positive labels: presets of every recipe, and what the releases state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ltbench
from ltbench.method import GradientStage
from ltbench.method.config import build_config, choose_preset, load_presets
from ltbench.plugin import UserError
from tests.plugins.single_positive.spml_toys import (
    SPECS,
    context_of,
    method_of,
    single_labels,
)

RELEASE = "timm:resnet50.tv_in1k"


@pytest.mark.parametrize("recipe", SPECS)
def test_every_recipe_has_a_preset_for_shapes(recipe: str) -> None:
    spec = SPECS[recipe]
    preset = choose_preset(load_presets(spec), None, "shapes-spml", None, "tiny-clip", "paper")
    assert preset is not None
    config: Any = build_config(spec.load().Config, recipe, spec.config, preset.overrides)
    if spec.config["loss"] in ("epr", "role"):
        # The training part of shapes has 500 images each of 2, 3 and 4 classes.
        assert config.expected_positives == 3.0
    if spec.config["loss"] == "em-apl":
        # Tuning varies the epochs, and soft labels must come before the last of them.
        space = spec.load().search_space()
        assert config.apl_warmup < min([config.epochs, *(space["epochs"].values if "epochs" in space else ())])


def published(recipe: str, task: str, setting: str) -> Any:
    spec = SPECS[recipe]
    preset = choose_preset(load_presets(spec), None, task, setting, RELEASE, "paper")
    assert preset is not None, (recipe, task, setting)
    assert preset.origin.startswith("published(")
    return build_config(spec.load().Config, recipe, spec.config, preset.overrides)


@pytest.mark.parametrize("data", ["voc", "coco", "nus", "cub"])
def test_published_settings(data: str) -> None:
    task = f"spml-{data}"
    expected = {"voc": 1.5, "coco": 2.9, "nus": 1.9, "cub": 31.4}[data]
    for recipe in ("epr", "role"):
        for setting in ("largeloss", "splc"):
            config = published(recipe, task, setting)
            assert (config.expected_positives, config.epochs, config.optimizer) == (expected, 10, "adam")
    for setting in ("largeloss", "splc"):
        assert published("lsan", task, setting).smoothing == 0.1
    alpha, beta, warmup, batch = {
        "voc": (0.2, 0.02, 5, 8),
        "coco": (0.1, 0.9, 5, 16),
        "nus": (0.1, 0.2, 4, 16),
        "cub": (0.01, 0.4, 3, 8),
    }[data]
    lr = 1e-4 if data == "cub" else 1e-5
    for recipe in ("em", "em-apl"):
        config = published(recipe, task, "largeloss")
        assert (config.em_alpha, config.batch_size, config.epochs, config.lr) == (alpha, batch, 10, lr)
    assert (config.apl_beta, config.apl_warmup, config.apl_share) == (beta, warmup, 0.9)
    for recipe in ("an", "ll-r", "ll-ct", "ll-cp"):
        config = published(recipe, task, "largeloss")
        assert (config.lr, config.head_lr, config.batch_size, config.epochs) == (1e-5, 1e-4, 16, 10)
        assert 0.001 <= config.ll_delta <= 0.005
    # SPLC's release has no CUB; Hill and SPLC on it are rows of HSPNet's table.
    for recipe in ("hill", "splc") if data == "cub" else ("an", "hill", "splc"):
        config = published(recipe, task, "splc")
        assert (config.lr, config.weight_decay, config.batch_size, config.ema) == (1e-4, 1e-4, 128, 0.9997)
        assert (config.reduction, config.schedule, config.splc_tau) == ("sum", "onecycle", 0.6)
    (stage,) = type(method_of("splc"))(config).stages(context_of(single_labels()))
    assert isinstance(stage, GradientStage)
    assert stage.ema == 0.9997
    # Laid out for 80 epochs of which 31 are trained, so that training ends near the highest rate.
    assert stage.epochs == 31
    rates = [stage.param_groups[0].schedule.factor(step, 10, stage.epochs) for step in range(310)]
    assert int(np.argmax(rates)) == pytest.approx(159, abs=1)  # a fifth of the 800 steps
    assert rates[0] == pytest.approx(1 / 25)
    assert rates[-1] == pytest.approx(0.87, abs=0.005)


def test_splc_in_the_setup_of_largeloss() -> None:
    """A row of HSPNet's Table 1, of which only SPLC's release states options."""
    for data in ("voc", "coco", "nus", "cub"):
        assert published("splc", f"spml-{data}", "largeloss") == published("splc", f"spml-{data}", "splc")


@pytest.mark.parametrize(
    ("options", "said"), [({"epochs": 5}, "shorter than"), ({"schedule": "constant"}, "not laid out")]
)
def test_a_horizon_that_nothing_has_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        method_of("splc", schedule_epochs=4, **{"schedule": "onecycle", **options})


@pytest.mark.parametrize(("recipe", "task"), [("an", "shapes-spml"), ("partial-bce", "shapes-partial@p50")])
def test_the_option_of_images_is_in_the_key_of_those_that_use_it_alone(recipe: str, task: str, tmp_path: Path) -> None:
    """A run that leaves it alone has the key of those made before there was a choice."""
    keys = {}
    for images in (None, "backbone", "square"):
        options: dict[str, Any] = {"epochs": 1} | ({} if images is None else {"images": images})
        (done,) = ltbench.run(task, recipe, "tiny-clip", options=options, threads=1, limit=8, out=tmp_path)
        record, squared = done.record, images == "square"
        assert record.status == "completed", record.reason
        assert record.method.config.get("images") == ("square" if squared else None)
        assert ("both sides to" in record.backbone.transform) == squared, record.backbone.transform
        keys[images] = record.key
    assert keys[None] == keys["backbone"] != keys["square"]
