"""Full fine-tuning: which parameters it trains, and the settings that LMPT's repository states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ltbench.backbones.registry import open_backbone
from ltbench.losses import DistributionBalancedLoss
from ltbench.method import Batch, Context, FineTuned, GradientStage, Stats
from ltbench.method.config import build_config, choose_preset, load_presets
from ltbench_baselines.clip.plugin import ltbench_methods
from ltbench_baselines.common.fine_tune import FineTune

SPEC = next(spec for spec in ltbench_methods() if spec.name == "full-fine-tuning")
LABELS = np.array([[1, -1, -1], [1, 1, 0], [-1, 1, -1], [1, -1, 1]], dtype=np.int8)


def config_of(**options: Any) -> FineTune.Config:
    config = build_config(FineTune.Config, SPEC.name, SPEC.config, options)
    assert isinstance(config, FineTune.Config)
    return config


def build(**options: Any) -> tuple[GradientStage, FineTuned]:
    backbone = open_backbone("tiny-clip", weights="random")
    context = Context(("a", "b", "c"), Stats.of(LABELS), backbone, torch.device("cpu"), seed=0)
    (stage,) = FineTune(config_of(**options)).stages(context)
    assert isinstance(stage, GradientStage)
    assert isinstance(stage.module, FineTuned)
    return stage, stage.module


def test_every_weight_of_the_image_tower_is_trained_and_none_of_the_text_tower() -> None:
    torch.manual_seed(0)
    stage, module = build()
    backbone = module._backbone
    tower, head = (list(group.params) for group in stage.param_groups)
    assert backbone.visual is not None
    assert {id(p) for p in tower} == {id(p) for p in backbone.visual.parameters()}
    assert [tuple(p.shape) for p in head] == [(3, backbone.card.dim), (3,)]
    for parameter in (*tower, *head):
        parameter.requires_grad_(True)
    module.train()
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    (loss,) = module.loss(Batch(torch.arange(4), images, torch.from_numpy(LABELS))).values()
    loss.backward()
    assert torch.isfinite(loss)
    # The keys' bias of an attention moves all scores of a query alike, so that its gradient is rounding.
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in (*tower, *head))
    conv1 = backbone.visual.conv1.weight
    assert conv1.grad is not None
    assert bool(conv1.grad.any())
    assert backbone.text is not None
    assert all(p.grad is None for p in backbone.text.parameters())


def test_the_features_are_not_normalised_and_the_loss_is_db_focal() -> None:
    _, module = build()
    module.eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    batch = Batch(torch.arange(2), images, torch.zeros(2, 0, dtype=torch.int8))
    with torch.no_grad():
        features = module._backbone.encode_global(images)
        expected = features @ module.head.linear.weight.T + module.head.linear.bias
        torch.testing.assert_close(module.logits(batch), expected, rtol=1e-4, atol=1e-5)
    assert isinstance(module.criterion, DistributionBalancedLoss)
    assert module.criterion.gamma == 2.0
    assert module.criterion.variant == "paper"


@pytest.mark.parametrize(("task", "theta", "neg_scale"), [("voc-lt", 0.3, 5.0), ("coco-lt", 0.2, 2.0)])
def test_what_lmpts_repository_states(task: str, theta: float, neg_scale: float) -> None:
    preset = choose_preset(load_presets(SPEC), None, task, None, "clip-rn50", "paper")
    assert preset is not None
    config = config_of(**preset.overrides).model_dump()
    stated = {"optimizer": "adamw", "lr": 1e-4, "head_lr": 1e-4, "weight_decay": 1e-5, "epochs": 30, "batch_size": 100}
    stated |= {"batch_norm": "train", "augment": "flip", "sampler": "shuffle", "freeze": (), "loss": "db-focal"}
    stated |= {"theta": theta, "neg_scale": neg_scale, "focal_gamma": 2.0, "schedule": "constant"}
    assert {name: config[name] for name in stated} == stated


def test_no_preset_freezes_a_part() -> None:
    assert all(not config_of(**preset.overrides).freeze for preset in load_presets(SPEC))
