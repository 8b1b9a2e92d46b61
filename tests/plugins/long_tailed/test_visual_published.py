"""The visual baselines against published rows, learning rates and draws, and their presets for shapes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltbench.method import GradientStage
from ltbench.method.config import build_config, choose_preset, load_presets
from ltbench.nn import ClassAwareSampler
from ltbench_baselines.common.fine_tune import FineTune
from tests.plugins.long_tailed.visual_toys import SPECS, context_of
from tests.plugins.two_stream_toys import (
    long_tail,
)


class PythonShuffle:
    """Stands in for the epoch's generator: shuffles as the release does, by Python's ``random`` seeded 0."""

    def __init__(self) -> None:
        self.shuffle: Callable[[Any], None] = random.Random(0).shuffle


@pytest.mark.parametrize("data", ["voc", "coco"])
def test_sampler_draws_the_rows_of_the_release(shared: Path, data: str) -> None:
    golden = np.load(shared / "golden" / "ltml" / "db_sampler.npz")
    labels = golden[f"{data}__labels_in_img_id_order"].astype(np.int8) * 2 - 1
    config = FineTune.Config(sampler="class-aware")
    sampler = ClassAwareSampler(labels, config.sampler_reduce, config.sampler_draws)
    generator: Any = PythonShuffle()
    for epoch in range(2):
        np.testing.assert_array_equal(sampler.epoch(epoch, generator), golden[f"{data}__epoch{epoch}"])


@pytest.mark.parametrize(
    ("recipe", "data", "key"), [("db-focal", "voc-lt", "db_voc"), ("db-focal", "coco-lt", "db_coco")]
)
def test_learning_rates_of_the_published_presets(shared: Path, recipe: str, data: str, key: str) -> None:
    golden = np.load(shared / "golden" / "ltml" / "lr_schedules.npz")[key]
    spec = SPECS[recipe]
    preset = choose_preset(load_presets(spec), None, data, None, "timm:resnet50.tv_in1k", "code")
    assert preset is not None
    rows = {"voc-lt": 3875, "coco-lt": 22560}[data]
    # The toys' images are arrays, of which no crops are made.
    config = build_config(FineTune.Config, recipe, spec.config, preset.overrides, {"augment": "flip"})
    assert isinstance(config, FineTune.Config)
    assert config.drop_last
    assert config.head_lr == config.lr
    found = rates(config, rows // config.batch_size)
    np.testing.assert_allclose(found, golden, rtol=1e-12)


@pytest.mark.parametrize(("key", "lr", "epochs", "steps"), [("dr_voc", 3e-4, 30, 121), ("dr_coco", 1e-4, 35, 705)])
def test_learning_rates_of_the_dr_release(shared: Path, key: str, lr: float, epochs: int, steps: int) -> None:
    golden = np.load(shared / "golden" / "ltml" / "lr_schedules.npz")[key]
    config = FineTune.Config(schedule="multistep", milestones=(5,), warmup_steps=500, lr=lr, epochs=epochs)
    np.testing.assert_allclose(rates(config, steps), golden, rtol=1e-12)


def test_presets_for_shapes_take_alike_many_rows() -> None:
    """No recipe sees more images than another, and epochs are those of rows drawn evenly but for a batch."""
    positives = np.array([5, 12, 200, 52, 450, 260, 8, 380, 70, 15, 30, 40, 90, 6, 23, 4, 10, 320, 560, 18])
    for recipe, spec in SPECS.items():
        preset = choose_preset(load_presets(spec), None, "shapes-lt", None, "tiny-clip", "paper")
        assert preset is not None
        config = build_config(FineTune.Config, recipe, spec.config, preset.overrides)
        assert isinstance(config, FineTune.Config)
        rows = 1100 if config.sampler == "shuffle" else positives.max() * len(positives) // config.sampler_reduce
        assert rows <= 1132
        assert config.epochs == 6


def rates(config: FineTune.Config, steps: int) -> Sequence[float]:
    """Learning rate of the tower at each step of a run with so many steps an epoch."""
    (stage,) = FineTune(config).stages(context_of(long_tail()))
    assert isinstance(stage, GradientStage)
    group = stage.param_groups[0]
    return [group.lr * group.schedule.factor(step, steps, stage.epochs) for step in range(steps * stage.epochs)]
