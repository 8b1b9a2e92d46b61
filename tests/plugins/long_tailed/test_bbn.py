"""BBN: which rows take which branch, how they are mixed, what moves over epochs, that a resumed run goes on alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ltbench.method import Batch, GradientStage
from ltbench.nn import ClassDrawSampler, ShuffleSampler, StreamSampler
from ltbench.plugin import UserError
from ltbench_baselines.long_tailed.bbn import BBN, BilateralBranches
from tests.plugins.two_stream_toys import (
    DIM,
    NAMES,
    ROWS,
    batch_of,
    context_of,
    encoder,
    interrupted_and_not,
    long_tail,
    make_trainable,
    train_a_little,
)


def build(labels: np.ndarray, variant: str = "paper", **options: Any) -> tuple[GradientStage, BilateralBranches]:
    (stage,) = BBN(BBN.Config(**options)).stages(context_of(labels, variant=variant))
    assert isinstance(stage, GradientStage)
    assert isinstance(stage.module, BilateralBranches)
    return stage, stage.module


def told_apart(module: BilateralBranches) -> None:
    """Make the branches differ, and the head react to both."""
    with torch.no_grad():
        for parameter in module.branches.parameters():
            parameter.add_(0.3)
        nn.init.normal_(module.head.linear.weight, generator=torch.Generator().manual_seed(0))
        nn.init.normal_(module.head.linear.bias, generator=torch.Generator().manual_seed(1))


def ends(module: BilateralBranches, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of all rows from either branch, by hand."""
    tower: Any = module.tower
    shared = tower.layer4[0](tower.conv1(batch.features).relu())
    twin = module.branches.copies[0][0]
    return tower.layer4[1](shared).mean((2, 3)), twin(shared).mean((2, 3))


@pytest.mark.parametrize(("variant", "factor"), [("paper", 1.0), ("code", 2.0)])
def test_loss_and_logits_are_those_of_the_paper(variant: str, factor: float) -> None:
    labels = long_tail()
    _, module = build(labels, variant, epochs=4)
    told_apart(module)
    module.eval()
    batch = batch_of(labels)
    module.on_epoch_start(3, lambda: iter(()))
    alpha = 1 - (3 / 4) ** 2
    assert float(module.alpha) == pytest.approx(alpha)
    conventional, rebalanced = ends(module, batch)
    weight, bias = module.head.linear.weight, module.head.linear.bias
    first, second = weight[:, :DIM], weight[:, DIM:]
    mixed = factor * (alpha * conventional[::2] @ first.T + (1 - alpha) * rebalanced[1::2] @ second.T) + bias
    expected = []
    for target in (batch.observed[::2], batch.observed[1::2]):
        known = target != 0
        expected.append(binary_cross_entropy_with_logits(mixed[known], (target[known] > 0).float()))
    terms = module.loss(batch)
    torch.testing.assert_close(terms["loss_conventional"], alpha * expected[0])
    torch.testing.assert_close(terms["loss_rebalancing"], (1 - alpha) * expected[1])
    predicted = factor * 0.5 * (conventional @ first.T + rebalanced @ second.T) + bias
    torch.testing.assert_close(module.logits(batch), predicted)


def test_the_weight_falls_by_a_parabola_and_the_code_stretches_two_lengths() -> None:
    def weights(variant: str, epochs: int, at: tuple[int, ...]) -> list[float]:
        _, module = build(long_tail(), variant, epochs=epochs)
        found = []
        for epoch in at:
            module.on_epoch_start(epoch, lambda: iter(()))
            found.append(float(module.alpha))
        return found

    assert weights("paper", 6, (0, 3, 5)) == pytest.approx([1, 3 / 4, 11 / 36])
    assert weights("paper", 180, (0, 90)) == pytest.approx([1, 3 / 4])
    assert weights("code", 180, (0, 100)) == pytest.approx([1, 3 / 4])
    assert weights("code", 90, (50,)) == pytest.approx([3 / 4])


def test_before_the_first_epoch_the_second_branch_learns_nothing_then_it_does() -> None:
    labels = long_tail()
    stage, module = build(labels, epochs=2)
    make_trainable(stage)
    module.train()
    for epoch, learns in ((0, False), (1, True)):
        module.zero_grad()
        module.on_epoch_start(epoch, lambda: iter(()))
        sum(module.loss(batch_of(labels)).values()).backward()
        assert any(bool(p.grad.any()) for p in module.branches.parameters() if p.grad is not None) == learns
        assert module.tower.conv1.weight.grad.any()
    declared = {id(p) for group in stage.param_groups for p in group.params}
    assert declared == {id(p) for p in module.parameters()}


def test_a_few_steps_lower_the_loss() -> None:
    stage, module = build(long_tail(), epochs=2)
    module.on_epoch_start(1, lambda: iter(()))
    values = train_a_little(stage, batch_of(long_tail()))
    assert values[-1] < values[0]


def test_a_row_without_a_known_label_moves_nothing() -> None:
    labels = long_tail()
    labels[:2] = 0  # one of each stream
    labels[5] = 0  # of the second stream; its partner has labels
    stage, module = build(labels, epochs=2)
    told_apart(module)
    make_trainable(stage)
    module.on_epoch_start(1, lambda: iter(()))
    batch = batch_of(labels)
    batch.features.requires_grad_(True)
    sum(module.loss(batch).values()).backward()
    moved = batch.features.grad.flatten(1).any(dim=1)
    assert moved.tolist() == [row not in (0, 1, 5) for row in range(ROWS)]
    labels[:] = 0
    assert not torch.stack(list(module.loss(batch_of(labels)).values())).any()


def test_second_stream_is_reversed_and_batches_hold_both() -> None:
    labels = long_tail()
    stage, _ = build(labels, epoch_rows=600)
    sampler = stage.sampler
    assert isinstance(sampler, StreamSampler)
    reversed_ = sampler.streams[1]
    assert isinstance(reversed_, ClassDrawSampler)
    inverse = 1 / np.array([24, 12, 6, 2])
    np.testing.assert_allclose(reversed_.shares, [*(inverse / inverse.sum()), 0])
    order = sampler.epoch(0, np.random.default_rng(0))
    assert len(order) == 1200
    assert (labels[order[1::2]] == 1).any(axis=1).all()
    assert (labels[order[1::2], 3] == 1).mean() > 0.5
    assert np.bincount(order[::2], minlength=ROWS).tolist() == [15] * ROWS
    assert build(labels)[0].sampler.rows == ROWS
    balanced = build(labels, sampler="balanced")[0].sampler.streams[1]
    np.testing.assert_allclose(balanced.shares, [0.25, 0.25, 0.25, 0.25, 0])
    assert isinstance(build(labels, sampler="uniform")[0].sampler.streams[1], ShuffleSampler)


def test_what_cannot_be_is_named() -> None:
    with pytest.raises(ValidationError, match="it must be even, not 7"):
        BBN.Config(batch_size=7)
    with pytest.raises(UserError, match="no class has an observed positive"):
        build(np.full((4, 5), -1, dtype=np.int8))
    with pytest.raises(UserError, match=r"part 'layer4\.1' is frozen"):
        build(long_tail(), freeze=["layer4"])
    with pytest.raises(UserError, match="layer9"):
        build(long_tail(), branch=["layer9"])
    plain = encoder(nn.Sequential(nn.Flatten(), nn.Linear(192, DIM)))
    with pytest.raises(UserError, match="no part that could be branched"):
        BBN(BBN.Config()).stages(context_of(long_tail(), plain))


@pytest.mark.parametrize(("batch_norm", "training"), [("eval", False), ("train", True)])
def test_the_copy_normalises_as_the_tower_does(batch_norm: str, training: bool) -> None:
    _, module = build(long_tail(), batch_norm=batch_norm)
    module.train()
    assert module.tower.layer4[1][1].training == training
    assert module.branches.copies[0][0][1].training == training
    module.eval()
    assert not any(part.training for part in module.modules())


def test_an_interrupted_run_ends_in_the_same_weights(tmp_path: Path) -> None:
    options: dict[str, Any] = {"epochs": 3, "batch_size": 8, "augment": "none", "epoch_rows": 12}
    whole, resumed = interrupted_and_not(BBN(BBN.Config(**options)), tmp_path, stop_after=1)
    expected, found = whole.module.state_dict(), resumed.module.state_dict()
    assert set(expected) == set(found)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert float(found["alpha"]) == pytest.approx(1 - (2 / 3) ** 2)
    assert len(NAMES) == len(found["head.linear.bias"])
