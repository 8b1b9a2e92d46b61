"""LTML: which branch answers for which rows, what agreement costs, how logits are compensated, resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ltbench.losses import BCELoss
from ltbench.method import Batch, GradientStage, Stats
from ltbench.nn import ClassAwareSampler, ShuffleSampler, StreamSampler
from ltbench.plugin import UserError
from ltbench_baselines.long_tailed.ltml import LTML, CollaborativeBranches, LogitCompensation, RatioWeightedLoss, shares
from tests.plugins.two_stream_toys import (
    ROWS,
    batch_of,
    context_of,
    interrupted_and_not,
    long_tail,
    make_trainable,
    train_a_little,
)


def build(labels: np.ndarray, **options: Any) -> tuple[GradientStage, CollaborativeBranches]:
    (stage,) = LTML(LTML.Config(**options)).stages(context_of(labels))
    assert isinstance(stage, GradientStage)
    assert isinstance(stage.module, CollaborativeBranches)
    return stage, stage.module


def told_apart(module: CollaborativeBranches) -> None:
    """Make the branches differ."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in [*module.branches.parameters(), *module.head.parameters(), *module.compensation.parameters()]:
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))


def by_hand(module: CollaborativeBranches, batch: Batch) -> tuple[Tensor, Tensor]:
    """Logits of all rows from either branch."""
    tower: Any = module.tower
    hidden = tower.conv1(batch.features).relu()
    first, second = tower.layer4(hidden).mean((2, 3)), module.branches.copies[0][0](hidden).mean((2, 3))
    return module.head[0](first), module.head[1](second)


def test_loss_and_logits_are_those_of_the_card() -> None:
    labels = long_tail()
    _, module = build(labels, agreement=0.7)
    told_apart(module)
    module.eval().requires_grad_(False)
    batch = batch_of(labels)
    uniform, rebalanced = by_hand(module, batch)
    torch.testing.assert_close(module.logits(batch), (uniform + rebalanced) / 2)

    terms = module.loss(batch)
    share = torch.tensor([(labels[:, c] == 1).sum() / (labels[:, c] != 0).sum() for c in range(5)])
    for name, rows, own, other, compensation in (
        ("uniform", slice(0, None, 2), uniform, rebalanced, module.compensation[0]),
        ("rebalanced", slice(1, None, 2), rebalanced, uniform, module.compensation[1]),
    ):
        total, apart, count = 0.0, 0.0, 0
        for row in range(*rows.indices(ROWS)):
            for column in range(5):
                label = int(labels[row, column])
                if label == 0:
                    continue
                side = 0 if label > 0 else 1
                logit = compensation.scale[side, column] * own[row, column] + compensation.shift[side, column]
                weight = torch.exp(1 - share[column] if label > 0 else share[column])
                total += float(-weight * torch.nn.functional.logsigmoid(label * logit))
                apart += float((own[row, column] - other[row, column]) ** 2)
                count += 1
        assert float(terms[f"loss_{name}"]) == pytest.approx(total / count, rel=1e-4)
        assert float(terms[f"loss_agreement_{name}"]) == pytest.approx(0.7 * apart / count, rel=1e-4)


def test_compensation_starts_as_nothing_and_can_be_left_out() -> None:
    labels = torch.from_numpy(long_tail())
    logits = torch.randn(labels.shape)
    assert torch.equal(LogitCompensation(5)(logits, labels), logits)
    stage, module = build(long_tail(), compensation=False, weighting="none")
    assert len(module.compensation) == 0
    assert isinstance(module.criterion, BCELoss)
    assert [group.name for group in stage.param_groups] == ["tower", "head"]
    stage, _ = build(long_tail(), compensation_lr=0.01)
    assert [(group.name, group.lr, group.weight_decay) for group in stage.param_groups][2:] == [
        ("compensation", 0.01, 0.0)
    ]


def test_weights_follow_the_share_of_positives_among_known_labels() -> None:
    labels = np.array([[1, 0], [1, 0], [-1, 0], [0, 0]], dtype=np.int8)
    share = shares(Stats.of(labels))
    np.testing.assert_allclose(share, [2 / 3, 0])
    signs = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    found = RatioWeightedLoss(share).weights(signs)
    torch.testing.assert_close(found, torch.tensor([[1 / 3, 1.0], [2 / 3, 0.0]]).exp())


def test_every_parameter_is_declared_and_learns() -> None:
    labels = long_tail()
    stage, module = build(labels)
    told_apart(module)
    make_trainable(stage)
    module.train()
    sum(module.loss(batch_of(labels)).values()).backward()
    declared = [p for group in stage.param_groups for p in group.params]
    assert {id(p) for p in declared} == {id(p) for p in module.parameters()}
    assert all(p.grad is not None and bool(p.grad.any()) and bool(p.grad.isfinite().all()) for p in declared)


def test_a_few_steps_lower_the_loss_and_agreement_brings_the_branches_together() -> None:
    apart = {}
    for agreement in (0.0, 10.0):
        stage, module = build(long_tail(), agreement=agreement)
        told_apart(module)
        values = train_a_little(stage, batch_of(long_tail()), steps=20)
        assert values[-1] < values[0]
        with torch.no_grad():
            first, second = by_hand(module.eval(), batch_of(long_tail()))
        apart[agreement] = float((first - second).square().mean())
    assert apart[10.0] < apart[0.0] / 2


def test_unknown_labels_and_their_rows_move_nothing() -> None:
    labels = long_tail()
    labels[:2] = 0
    stage, module = build(labels)
    told_apart(module)
    make_trainable(stage)
    batch = batch_of(labels)
    batch.features.requires_grad_(True)
    sum(module.loss(batch).values()).backward()
    moved = batch.features.grad.flatten(1).any(dim=1)
    assert moved.tolist() == [row > 1 for row in range(ROWS)]
    labels[:] = 0
    assert not torch.stack(list(module.loss(batch_of(labels)).values())).any()


def test_streams_are_even_and_class_aware() -> None:
    labels = long_tail()
    sampler = build(labels, epoch_rows=200, sampler_draws=2)[0].sampler
    assert isinstance(sampler, StreamSampler)
    assert isinstance(sampler.streams[0], ShuffleSampler)
    aware = sampler.streams[1]
    assert isinstance(aware, ClassAwareSampler)
    assert aware.draws_per_class == 2
    order = sampler.epoch(0, np.random.default_rng(0))
    assert np.bincount(order[::2], minlength=ROWS).tolist() == [5] * ROWS
    # Four classes have positives; the rarest, 2 of 40 rows, has a fourth of the visits.
    assert (labels[order[1::2], 3] == 1).mean() >= 0.25
    with pytest.raises(UserError, match="no class has an observed positive"):
        build(np.full((4, 5), -1, dtype=np.int8))


def test_the_whole_last_stage_is_branched_unless_told_otherwise() -> None:
    _, module = build(long_tail())
    assert module.branches.parts == ("layer4",)
    _, module = build(long_tail(), branch=["layer4.1"])
    assert module.branches.parts == ("layer4.1",)
    assert isinstance(module.head, nn.ModuleList)


def test_an_interrupted_run_ends_in_the_same_weights(tmp_path: Path) -> None:
    options: dict[str, Any] = {"epochs": 3, "batch_size": 8, "augment": "none", "epoch_rows": 14}
    whole, resumed = interrupted_and_not(LTML(LTML.Config(**options)), tmp_path, stop_after=1)
    expected, found = whole.module.state_dict(), resumed.module.state_dict()
    assert set(expected) == set(found)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
