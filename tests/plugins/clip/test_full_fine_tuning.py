"""Full fine-tuning: which parameters it trains, and the settings that LMPT's repository states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ltbench.backbones.registry import open_backbone
from ltbench.losses import DistributionBalancedLoss
from ltbench.method import Batch, Context, GradientStage, Stats
from ltbench.method.config import build_config, choose_preset, load_presets
from ltbench.plugin import UserError
from ltbench.plugin.manager import registry
from ltbench_baselines.clip.fine_tuning import CLIPFineTuning, FineTunedCLIP
from ltbench_baselines.clip.plugin import ltbench_methods
from ltbench_baselines.clip.zero_shot import ZeroShot

SPEC = next(spec for spec in ltbench_methods() if spec.name == "full-fine-tuning")
LABELS = np.array([[1, -1, -1], [1, 1, 0], [-1, 1, -1], [1, -1, 1]], dtype=np.int8)


def config_of(**options: Any) -> CLIPFineTuning.Config:
    config = build_config(CLIPFineTuning.Config, SPEC.name, SPEC.config, options)
    assert isinstance(config, CLIPFineTuning.Config)
    return config


def build(**options: Any) -> tuple[GradientStage, FineTunedCLIP]:
    return build_in(context_of(), **options)


def context_of() -> Context:
    backbone = open_backbone("tiny-clip", weights="random")
    return Context(("a", "b", "c"), Stats.of(LABELS), backbone, torch.device("cpu"), seed=0)


def build_in(context: Context, **options: Any) -> tuple[GradientStage, FineTunedCLIP]:
    (stage,) = CLIPFineTuning(config_of(**options)).stages(context)
    assert isinstance(stage, GradientStage)
    assert isinstance(stage.module, FineTunedCLIP)
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


def images_of(seed: int) -> Batch:
    drawn = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
    return Batch(torch.arange(4), drawn, torch.from_numpy(LABELS))


def test_a_head_from_texts_starts_at_zero_shot_and_is_centred_once() -> None:
    context = context_of()
    stage, module = build_in(context, head_init="text", score="softmax", batch_norm="eval")
    module.eval()
    batch = images_of(3)
    (zero_shot,) = ZeroShot(ZeroShot.Config()).stages(context)
    with torch.no_grad():
        features = context.backbone.encode_global(batch.features)
        scores = zero_shot.module.logits(Batch(batch.rows, features, batch.observed))
        torch.testing.assert_close(module.head(features), scores, rtol=1e-4, atol=1e-4)
        module.on_epoch_start(0, lambda: iter([batch]))
        centred = module.head(features)
        assert float(centred.mean()) == pytest.approx(context.stats.log_odds, abs=1e-4)
        torch.testing.assert_close(centred - centred.mean(), scores - scores.mean(), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(module.logits(batch), torch.log_softmax(scores, dim=1), rtol=1e-4, atol=1e-4)
        module.on_epoch_start(1, lambda: iter([images_of(4)]))
        assert torch.equal(module.head(features), centred), "later epochs and resumed runs keep the bias"
    trained = {id(p) for group in stage.param_groups for p in group.params}
    assert {id(p) for p in module.head.parameters()} <= trained
    (loss,) = module.loss(batch).values()
    loss.backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in module.head.parameters())


def test_a_drawn_head_is_left_as_it_is_and_needs_no_texts() -> None:
    _, module = build()
    before = module.head.linear.bias.detach().clone()
    module.on_epoch_start(0, lambda: iter([images_of(5)]))
    assert torch.equal(module.head.linear.bias, before)
    needs = {start: CLIPFineTuning(config_of(head_init=start)).needs().text for start in ("random", "text")}
    assert needs == {"random": False, "text": True}
    assert CLIPFineTuning(config_of(images="square")).needs().images == "square"


def test_a_head_from_texts_has_no_bias_of_each_class() -> None:
    with pytest.raises(UserError, match="one bias for all classes"):
        build(head_init="text", head_prior="observed")


def test_fine_tuning_a_vit_starts_near_zero_shot_and_others_take_the_constants_of_the_data_set() -> None:
    for task, constants in (("voc-lt", (0.3, 5.0)), ("coco-lt", (0.2, 2.0))):
        for encoder in ("clip-rn50", "clip-rn101", "clip-vit-b16", "clip-vit-b32"):
            for variant in ("paper", "code"):
                preset = choose_preset(load_presets(SPEC), None, task, None, encoder, variant)
                assert preset is not None, (task, encoder)
                config = config_of(**preset.overrides)
                assert (config.theta, config.neg_scale) == constants
                assert (config.images, config.score) == ("square", "softmax")
                assert config.head_init == ("text" if encoder == "clip-vit-b16" else "random")
                assert preset.origin.startswith("published(") == (encoder == "clip-rn50")


@pytest.mark.parametrize(("task", "theta", "neg_scale"), [("voc-lt", 0.3, 5.0), ("coco-lt", 0.2, 2.0)])
def test_what_lmpts_repository_states(task: str, theta: float, neg_scale: float) -> None:
    preset = choose_preset(load_presets(SPEC), None, task, None, "clip-rn50", "paper")
    assert preset is not None
    config = config_of(**preset.overrides).model_dump()
    stated = {"optimizer": "adamw", "lr": 1e-4, "head_lr": 1e-4, "weight_decay": 1e-5, "epochs": 30, "batch_size": 100}
    stated |= {"batch_norm": "train", "augment": "flip", "sampler": "shuffle", "freeze": (), "loss": "db-focal"}
    stated |= {"theta": theta, "neg_scale": neg_scale, "focal_gamma": 2.0, "schedule": "constant"}
    assert {name: config[name] for name in stated} == stated


def test_no_preset_freezes_a_part_but_for_photographs_whose_board_says_so() -> None:
    """Two cores cannot bear the whole tower there; the encoder's note stands below such rows."""
    frozen = {preset.name: config_of(**preset.overrides).freeze for preset in load_presets(SPEC)}
    assert [name for name, parts in frozen.items() if parts] == ["photos"]
    notes = registry().backbones.get("lite0-minilm").spec.notes
    config = {"freeze": list(frozen["photos"])}
    assert any(note.holds("full-fine-tuning", "lite0-minilm", config) for note in notes)
