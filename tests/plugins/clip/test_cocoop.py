"""CoCoOp: prompts of its own for each image, what it trains, what its losses ignore, which classes it answers for."""

from __future__ import annotations

import pytest
import torch

from ltbench.method import Batch, GradientStage, Stats
from ltbench.plugin import UserError
from ltbench_baselines.clip.cocoop import CoCoOp, CoCoOpModule
from ltbench_baselines.clip.coop import CoOp


def build(context, **options) -> tuple[GradientStage, CoCoOpModule]:
    torch.manual_seed(7)
    (stage,) = CoCoOp(CoCoOp.Config(**options)).stages(context)
    assert isinstance(stage, GradientStage)
    assert isinstance(stage.module, CoCoOpModule)
    return stage, stage.module


@pytest.mark.parametrize("loss", ["bce", "asl", "softmax"])
def test_gradients_reach_what_is_declared_and_nothing_else(make_context, make_batch, backbone, full, loss):
    stage, module = build(make_context(full), loss=loss, learn_scale=True)
    total = sum(module.loss(make_batch()).values())
    assert torch.isfinite(total)
    total.backward()
    declared = {id(p) for group in stage.param_groups for p in group.params}
    assert {id(p) for p in module.parameters()} == declared
    # A softmax does not see a bias that all classes share.
    expected = [p for p in module.parameters() if loss != "softmax" or p is not module.classifier.head.bias]
    assert all(p.grad is not None and bool(p.grad.any()) for p in expected)
    assert all(p.grad is None for p in backbone.text.parameters())


def test_with_its_last_layer_at_zero_it_starts_as_coop(make_context, make_batch, full):
    context, batch = make_context(full), make_batch()
    _, module = build(context, meta_start="zero", logit_bias=False)
    (coop,) = CoOp(CoOp.Config(logit_bias=False)).stages(context)
    torch.testing.assert_close(module.logits(batch), coop.module.logits(batch), rtol=1e-4, atol=1e-4)
    _, moved = build(context, logit_bias=False)
    assert not torch.allclose(moved.logits(batch), module.logits(batch), atol=1e-2)


def test_an_image_does_not_change_the_prompts_of_another(make_context, make_batch, full):
    _, module = build(make_context(full))
    batch = make_batch()
    alone = Batch(batch.rows[:1], batch.input[:1], batch.observed[:1])
    torch.testing.assert_close(module.logits(alone), module.logits(batch)[:1], rtol=1e-4, atol=1e-4)


def test_chunks_change_nothing(make_context, make_batch, full):
    batch = make_batch()
    found = []
    for chunk in (3, 1024):
        _, module = build(make_context(full), chunk=chunk)
        module.loss(batch)["loss_cls"].backward()
        found.append([module.logits(batch).detach(), *(p.grad for p in module.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_training_lowers_the_loss(make_context, make_batch, scan_of, full):
    stage, module = build(make_context(full))
    batch = make_batch()
    module.on_epoch_start(0, scan_of(batch))
    optimiser = torch.optim.Adam([p for group in stage.param_groups for p in group.params], lr=0.02)
    losses = []
    for _ in range(20):
        (loss,) = module.loss(batch).values()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_logits_are_centred_before_the_first_epoch_only(make_context, make_batch, scan_of, full):
    _, module = build(make_context(full))
    batch = make_batch()
    module.on_epoch_start(0, scan_of(batch))
    assert float(module.logits(batch).mean().detach()) == pytest.approx(Stats.of(full).log_odds, abs=1e-3)
    kept = float(module.classifier.head.bias.detach())
    with torch.no_grad():
        module.classifier.head.bias.add_(1.0)
    module.on_epoch_start(1, scan_of(batch))
    assert float(module.classifier.head.bias.detach()) == pytest.approx(kept + 1.0)


def test_centring_looks_at_evenly_spaced_rows(make_context, make_batch, scan_of, backbone, full):
    _, module = build(make_context(full))
    module.stride = 10
    before = backbone.text.encoded_rows
    module.on_epoch_start(0, scan_of(make_batch()))
    assert backbone.text.encoded_rows - before == 4 * full.shape[1]


def test_answers_for_new_classes(make_context, make_batch, full):
    batch = make_batch()
    _, module = build(make_context(full))
    with torch.no_grad():
        before = module.logits(batch)
        module.set_classes(("bus", "zebra", "cat"))
        after = module.logits(batch)
    assert after.shape == (len(batch.rows), 3)
    torch.testing.assert_close(after[:, [2, 0]], before[:, [0, 4]], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("loss", ["bce", "asl", "softmax"])
def test_unknown_labels_contribute_nothing(make_context, make_batch, observed, loss):
    _, module = build(make_context(observed), loss=loss)
    batch = make_batch(observed)
    logits = module.logits(batch).detach().requires_grad_(True)
    module.criterion(logits, batch.observed).backward()
    assert not logits.grad[torch.from_numpy(observed == 0)].any()
    assert logits.grad.any()
    nothing = torch.zeros_like(batch.observed)
    assert torch.isfinite(module.criterion(logits, nothing))


def test_needs(make_context, full):
    needs = [CoCoOp(CoCoOp.Config(loss=loss)).needs() for loss in ("bce", "asl", "softmax")]
    assert [need.calibrated for need in needs] == [True, False, False]
    assert all((need.input, need.text, need.classes) == ("global", True, "open") for need in needs)
    with pytest.raises(UserError, match="4 tokens"):
        build(make_context(full), context_tokens=5)
    _, module = build(make_context(full), meta_hidden=3)
    assert module.classifier.prompts.meta.layers[0].out_features == 3
