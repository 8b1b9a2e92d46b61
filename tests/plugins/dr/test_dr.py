"""DR: what it trains, how, and on which views."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ltbench.backbones.registry import open_backbone
from ltbench.method import Batch, Context, GradientStage, Stats
from ltbench.method.config import choose_preset, load_presets
from ltbench.nn import ClassAwareSampler, DistortedCrop, FixedViews
from ltbench.plugin import UserError
from ltbench_dr.method import DR, DRModule
from ltbench_dr.objectives import OBJECTIVES, ObjectiveConfig, build_objective
from tests.plugins.dr.dr_toys import RESNET, SPEC, config_of
from tests.plugins.two_stream_toys import SIDE, ToyEncoder, batch_of, context_of, encoder, long_tail, make_trainable


def build(context: Context, **options: Any) -> tuple[GradientStage, DRModule]:
    # The toys' images are arrays, not pictures; views have tests of their own.
    (stage,) = DR(config_of(**{"freeze": ("conv1",), "augment": "flip", **options})).stages(context)
    assert isinstance(stage, GradientStage)
    assert isinstance(stage.module, DRModule)
    make_trainable(stage)
    return stage, stage.module.train()


@pytest.mark.parametrize("variant", ["code", "paper"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_gradients_reach_what_is_declared_and_nothing_frozen(objective: Any, variant: str) -> None:
    labels = long_tail()
    stage, module = build(context_of(labels, variant=variant), objective=objective)
    terms = module.loss(batch_of(labels))
    assert set(terms) == {f"loss_{part}" for part in objective.split("+")}
    assert all(bool(torch.isfinite(term)) for term in terms.values())
    sum(terms.values()).backward()
    declared = [p for group in stage.param_groups for p in group.params]
    assert {id(p) for p in declared} == {id(p) for n, p in module.named_parameters() if not n.startswith("tower.conv1")}
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in declared)
    # Batch normalisation takes a constant out again, so that the neck's own bias moves by rounding only.
    moved = [p for p in declared if p is not module.head[0].linear.bias]
    assert all(bool(p.grad.any()) for p in moved)
    assert module.tower.conv1.weight.grad is None
    assert module.eval().logits(batch_of(labels)).shape == labels.shape


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_few_steps_lower_the_loss(objective: Any) -> None:
    labels = long_tail()
    stage, module = build(context_of(labels), objective=objective, dropout=0.0)
    optimiser = torch.optim.Adam([p for group in stage.param_groups for p in group.params], lr=2e-3)
    values = []
    for _ in range(15):
        loss = sum(module.loss(batch_of(labels)).values(), start=torch.zeros(()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
    assert values[-1] < values[0]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_unknown_labels_move_nothing_and_classes_without_positives_do_no_harm(objective: Any) -> None:
    labels = long_tail()
    labels[0] = 0
    logits = torch.randn(labels.shape, generator=torch.Generator().manual_seed(1)) * 30
    logits.requires_grad_()
    stats = Stats.of(labels)
    build_objective(ObjectiveConfig(objective=objective), stats, "code")(logits, torch.from_numpy(labels)).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert not logits.grad[torch.from_numpy(labels == 0)].any()
    assert logits.grad.any()


def test_normalisation_of_the_tower_stays_and_that_of_the_neck_learns() -> None:
    labels = long_tail()
    _, module = build(context_of(labels))
    tower, neck = module.tower.layer4[0][1], module.head[0].norm
    assert (tower.training, neck.training) == (False, True)
    before = tower.running_mean.clone(), neck.running_mean.clone()
    module.logits(batch_of(labels))
    assert torch.equal(before[0], tower.running_mean)
    assert not torch.equal(before[1], neck.running_mean)
    assert tower.weight.requires_grad


def test_a_batch_of_one_row_has_a_loss() -> None:
    labels = long_tail()[:1]
    _, module = build(context_of(long_tail()))
    assert all(bool(torch.isfinite(term)) for term in module.loss(batch_of(labels)).values())


def test_stage_is_that_of_the_release() -> None:
    stage, module = build(context_of(long_tail()))
    assert (stage.optimizer, stage.momentum, stage.clip_norm, stage.drop_last) == ("sgd", 0.9, 35.0, True)
    assert (stage.epochs, stage.batch_size) == (30, 32)
    assert {(group.lr, group.weight_decay) for group in stage.param_groups} == {(3e-4, 1e-4)}
    neck, head = module.head
    assert (neck.linear.out_features, neck.dropout.p) == (256, 0.5)
    assert abs(float(head.linear.weight.detach().std()) - 0.01) < 1e-3
    assert not head.linear.bias.any()
    assert isinstance(stage.sampler, ClassAwareSampler)
    assert (stage.sampler.draws_per_class, stage.sampler.length) == (3, 24 * 4 // 4)


def test_parts_to_freeze_are_those_of_the_tower() -> None:
    with pytest.raises(UserError, match="no part 'layer9'"):
        build(context_of(long_tail()), freeze=("layer9",))


def test_needs_and_search_space() -> None:
    assert DR(config_of()).needs().input == "image"
    assert not DR(config_of(objective="bce")).needs().calibrated
    assert DR(config_of(objective="bce", sampler="shuffle")).needs().calibrated
    assert not DR(config_of(sampler="shuffle")).needs().calibrated
    for name, what in DR.search_space().items():
        config_of(**{name: what.draw(np.random.default_rng(0))})


class Squashing(ToyEncoder):
    """Takes pictures to the toys' size."""

    def preprocess(self, image: Any) -> torch.Tensor:
        return torch.from_numpy(np.asarray(image.resize((SIDE, SIDE)), dtype=np.float32) / 255).permute(2, 0, 1)


def test_augmentation_is_what_the_option_says() -> None:
    backbone = Squashing(card=encoder().card)
    assert config_of(augment="none").views(backbone).kind == "none"
    assert config_of(augment="flip").views(backbone).kind == "flip"
    live = config_of().views(backbone)
    assert (live.kind, live.transform) == ("live", DistortedCrop(SIDE))
    views = config_of(augment="views", views_k=3).views(backbone)
    assert (views.kind, views.k, views.transform) == ("views", 3, FixedViews(DistortedCrop(SIDE), 3))
    assert "share=0.8" in live.name
    assert live.name in views.name


def test_a_resnet_50_takes_a_step_of_the_preset_for_voc() -> None:
    backbone = open_backbone(RESNET, weights="random")
    labels = np.full((8, 20), -1, dtype=np.int8)
    labels[np.arange(8), np.arange(8) % 4] = 1
    preset = choose_preset(load_presets(SPEC), None, "voc-lt", None, RESNET, "code")
    assert preset is not None
    names = tuple(f"class {column}" for column in range(20))
    context = replace(context_of(labels, backbone, "code"), class_names=names)
    stage, module = build(context, **preset.overrides)
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    assert stage.augment.transform is not None
    view = stage.augment.transform(Image.fromarray(noise), np.random.default_rng(1))
    # timm enlarges to 256 and cuts the middle 224 out; the view has a border for that.
    assert view.size == (256, 256)
    assert backbone.preprocess(view).shape == (3, 224, 224)
    optimiser = torch.optim.SGD([p for group in stage.param_groups for p in group.params], lr=0.1)
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    batch = Batch(torch.arange(8), images, torch.from_numpy(labels))
    tower: Any = module.tower
    before = [p.detach().clone() for p in (tower.layer1[0].conv1.weight, tower.layer4[0].downsample[0].weight)]
    mean = tower.layer4[0].bn1.running_mean.clone()
    (loss,) = module.loss(batch).values()
    loss.backward()
    optimiser.step()
    assert torch.isfinite(loss)
    assert module.logits(batch).shape == (8, 20)
    assert torch.equal(before[0], tower.layer1[0].conv1.weight)
    assert not torch.equal(before[1], tower.layer4[0].downsample[0].weight)
    assert torch.equal(mean, tower.layer4[0].bn1.running_mean)
    assert {id(p) for p in stage.param_groups[0].params} == {
        id(p) for part in (tower.layer2, tower.layer3, tower.layer4) for p in part.parameters()
    }
