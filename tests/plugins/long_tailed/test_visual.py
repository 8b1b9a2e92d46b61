"""The visual baselines: one trainer, its losses and samplers, and what it trains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ltbench.losses import BCELoss, DistributionBalancedLoss
from ltbench.method import Context, FineTuned, GradientStage, Stats
from ltbench.nn import ClassAwareSampler
from ltbench.plugin import UserError
from ltbench_baselines.common.losses_by_name import LOSSES, LossConfig, build_loss
from tests.plugins.long_tailed.visual_toys import SPECS, context_of, encoder, method_of, statistics
from tests.plugins.two_stream_toys import (
    batch_of,
    long_tail,
    make_trainable,
)

RECIPES = (
    "erm",
    "rw",
    "rs",
    "focal",
    "cb-focal",
    "r-bce-focal",
    "db",
    "db-focal",
    "ldam",
    "asl",
    "mls",
    "lsep",
    "zlpr",
    "circle",
)


def build(recipe: str, context: Context, **options: Any) -> tuple[GradientStage, FineTuned]:
    (stage,) = method_of(recipe, **options).stages(context)
    assert isinstance(stage, GradientStage)
    assert isinstance(stage.module, FineTuned)
    return stage, stage.module


def test_the_recipes_are_one_class_with_other_configurations() -> None:
    assert tuple(SPECS) == RECIPES
    configs = [tuple(sorted(spec.config.items())) for spec in SPECS.values()]
    assert len(set(configs)) == len(RECIPES)
    assert {spec.target for spec in SPECS.values()} == {"ltbench_baselines.long_tailed.fine_tuning:FineTune"}
    sampled = {name for name, spec in SPECS.items() if spec.config.get("sampler") == "class-aware"}
    assert sampled == {"rs", "r-bce-focal", "db", "db-focal"}


@pytest.mark.parametrize("recipe", RECIPES)
def test_gradients_reach_tower_and_head_and_the_loss_is_finite(recipe: str) -> None:
    labels = long_tail()
    stage, module = build(recipe, context_of(labels))
    make_trainable(stage)
    module.train()
    (loss,) = module.loss(batch_of(labels)).values()
    assert torch.isfinite(loss)
    loss.backward()
    declared = [p for group in stage.param_groups for p in group.params]
    assert {id(p) for p in declared} == {id(p) for p in module.parameters()}
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) and bool(p.grad.any()) for p in declared)
    assert module.logits(batch_of(labels)).shape == labels.shape


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_few_steps_lower_the_loss(recipe: str) -> None:
    labels = long_tail()
    stage, module = build(recipe, context_of(labels))
    make_trainable(stage)
    module.train()
    optimiser = torch.optim.Adam([p for group in stage.param_groups for p in group.params], lr=0.02)
    values = []
    for _ in range(12):
        (loss,) = module.loss(batch_of(labels)).values()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
    assert values[-1] < values[0]


@pytest.mark.parametrize("recipe", RECIPES)
def test_unknown_labels_move_nothing(recipe: str) -> None:
    labels = long_tail()
    logits = torch.randn(labels.shape, generator=torch.Generator().manual_seed(1), requires_grad=True)
    _, module = build(recipe, context_of(labels))
    module.criterion(logits, torch.from_numpy(labels)).backward()
    assert logits.grad is not None
    assert not logits.grad[torch.from_numpy(labels == 0)].any()
    assert logits.grad[torch.from_numpy(labels != 0)].any()


@pytest.mark.parametrize("loss", LOSSES)
def test_counts_at_both_ends_give_finite_losses_and_gradients(loss: Any) -> None:
    labels = np.full((6, 3), -1, dtype=np.int8)
    labels[:, 0] = 1  # in every row; class 1 in none
    labels[:2, 2] = 1
    stats = Stats.of(labels)
    assert stats.usable_positives.tolist() == [5, 1, 2]
    logits = torch.zeros(labels.shape, requires_grad=True)
    build_loss(LossConfig(loss=loss), stats, "paper")(logits, torch.from_numpy(labels)).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    # That a class is absent everywhere is learned too.
    assert logits.grad[:, 1].any()


def test_mls_is_torchs_soft_margin_loss_and_so_is_bce() -> None:
    labels = torch.from_numpy(np.where(long_tail() == 0, -1, long_tail()).astype(np.int8))
    logits = torch.randn(labels.shape, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    stats = Stats.of(labels.numpy())
    expected = nn.MultiLabelSoftMarginLoss()(logits, (labels > 0).double())
    for name in ("mls", "bce"):
        torch.testing.assert_close(build_loss(LossConfig(loss=name), stats, "paper")(logits, labels), expected)


def test_constants_reach_the_losses() -> None:
    stats = Stats.of(long_tail())
    config = LossConfig(loss="db-focal", theta=0.2, neg_scale=2.0, kappa=0.1, focal_gamma=1.0, focal_factor=3.0)
    loss = build_loss(config, stats, "code")
    assert isinstance(loss, DistributionBalancedLoss)
    assert (loss.theta, loss.gamma, loss.focal_factor, loss.variant) == (0.2, 1.0, 3.0, "code")
    assert loss.ntr is not None
    assert (loss.ntr.kappa, loss.ntr.neg_scale, loss.ntr.variant) == (0.1, 2.0, "code")
    plain = build_loss(LossConfig(loss="db"), stats, "paper")
    assert isinstance(plain, DistributionBalancedLoss)
    assert plain.gamma is None
    assert isinstance(build_loss(LossConfig(), stats, "paper"), BCELoss)


def test_every_recipe_answers_for_its_training_classes_only() -> None:
    for recipe in RECIPES:
        needs = method_of(recipe).needs()
        assert (needs.input, needs.classes, needs.unknown, needs.text) == ("image", "fixed", None, False)
        _, module = build(recipe, context_of(long_tail()))
        assert not hasattr(module, "set_classes")


def test_only_proper_losses_on_even_draws_are_calibrated() -> None:
    assert {recipe for recipe in RECIPES if method_of(recipe).needs().calibrated} == {"erm", "mls", "rw"}
    assert not method_of("erm", sampler="class-aware").needs().calibrated


@pytest.mark.parametrize(("batch_norm", "moves"), [("eval", False), ("train", True)])
def test_batch_normalisation_keeps_or_moves_its_statistics(batch_norm: str, moves: bool) -> None:
    labels = long_tail()
    _, module = build("erm", context_of(labels), batch_norm=batch_norm)
    before = statistics(module.tower)
    module.train()
    training = [part.training for part in module.tower.modules() if isinstance(part, nn.BatchNorm2d)]
    assert training == [moves, moves]
    assert module.training
    module.logits(batch_of(labels))
    changed = [not torch.equal(a, b) for a, b in zip(before, statistics(module.tower), strict=True)]
    assert changed == [moves] * len(before)
    module.eval()
    assert not any(part.training for part in module.modules())


def test_frozen_parts_get_no_gradient_and_keep_their_statistics() -> None:
    labels = long_tail()
    stage, module = build("erm", context_of(labels), freeze=["conv1", "bn1"], batch_norm="train")
    make_trainable(stage)
    before = [buffer.clone() for buffer in module.tower.bn1.buffers()]
    module.train()
    sum(module.loss(batch_of(labels)).values()).backward()
    assert module.tower.conv1.weight.grad is None
    assert all(torch.equal(a, b) for a, b in zip(before, module.tower.bn1.buffers(), strict=True))
    assert module.tower.layer1[0].weight.grad.any()
    with pytest.raises(UserError, match="no part 'stem'"):
        build("erm", context_of(labels), freeze=["stem"])


def test_a_backbone_without_an_image_tower_is_named() -> None:
    with pytest.raises(UserError, match="toy has no image tower"):
        build("erm", context_of(long_tail(), encoder(visual=False)))


def test_head_starts_even_or_at_the_observed_shares() -> None:
    labels = long_tail()
    _, even = build("erm", context_of(labels))
    assert not even.head.linear.bias.any()
    _, observed = build("erm", context_of(labels), head_prior="observed")
    stats = Stats.of(labels)
    expected = np.log((stats.positives + 0.5) / (stats.negatives + 0.5))
    np.testing.assert_allclose(observed.head.linear.bias.detach().numpy(), expected, rtol=1e-5)


def test_class_aware_rows_follow_reduce_and_draws() -> None:
    labels = long_tail()
    for reduce, draws in ((4, 3), (1, 2)):
        stage, _ = build("rs", context_of(labels), sampler_reduce=reduce, sampler_draws=draws)
        sampler = stage.sampler
        assert isinstance(sampler, ClassAwareSampler)
        assert sampler.draws_per_class == draws
        # Four classes have positives, the largest 24; the fifth is left out.
        assert sampler.length == 24 * 4 // reduce
        rows = sampler.epoch(0, np.random.default_rng(0))
        assert (labels[rows] == 1).any(axis=1).all()
        whole = rows[: len(rows) // draws * draws].reshape(-1, draws)
        assert ((labels[whole] == 1).all(axis=1).any(axis=1)).all()
        # The rarest class, 2 of 40 rows, has a fourth of the visits.
        assert (labels[rows, 3] == 1).mean() > 0.2
    assert build("erm", context_of(labels))[0].sampler is None


def test_class_aware_rows_need_a_positive() -> None:
    with pytest.raises(UserError, match="no class has an observed positive"):
        build("rs", context_of(np.full((4, 5), -1, dtype=np.int8)))
