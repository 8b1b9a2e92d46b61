"""CoOp: what it trains, what its losses ignore, and which classes it answers for."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError

from ltbench.method import Batch, GradientStage, Stats
from ltbench.plugin import UserError
from ltbench_baselines.clip.coop import CoOp
from ltbench_baselines.clip.zero_shot import ZeroShot
from ltbench_baselines.common.prompts import CoOpModule, MultiLabelSoftmaxLoss


def build(context, **options) -> tuple[GradientStage, CoOpModule]:
    (stage,) = CoOp(CoOp.Config(**options)).stages(context)
    assert isinstance(stage, GradientStage)
    assert isinstance(stage.module, CoOpModule)
    return stage, stage.module


@pytest.mark.parametrize("loss", ["bce", "asl", "softmax"])
@pytest.mark.parametrize("class_specific", [False, True])
def test_gradients_reach_what_is_declared_and_nothing_else(
    make_context, make_batch, backbone, full, loss, class_specific
):
    stage, module = build(make_context(full), loss=loss, class_specific=class_specific, learn_scale=True)
    batch = make_batch()
    total = sum(module.loss(batch).values())
    assert torch.isfinite(total)
    total.backward()
    declared = {id(p) for group in stage.param_groups for p in group.params}
    assert {id(p) for p in module.parameters()} == declared
    for group in stage.param_groups:
        # A softmax does not see a bias that all classes share.
        expected = [p for p in group.params if loss != "softmax" or p is not module.classifier.head.bias]
        assert all(p.grad is not None and bool(p.grad.any()) for p in expected)
    assert all(p.grad is None for p in backbone.text.parameters())
    assert module.logits(batch).shape == full.shape


def test_starts_as_zero_shot(make_context, make_batch, full):
    context, batch = make_context(full), make_batch()
    _, module = build(context, logit_bias=False)
    (zero_shot,) = ZeroShot(ZeroShot.Config()).stages(context)
    torch.testing.assert_close(module.logits(batch), zero_shot.module.logits(batch), rtol=1e-5, atol=1e-5)


def test_it_may_answer_with_the_softmax_over_classes_and_trains_on_logits(make_context, make_batch, full):
    context, batch = make_context(full), make_batch()
    (_, raw), (_, softmax) = build(context), build(context, score="softmax")
    torch.testing.assert_close(softmax.logits(batch), torch.log_softmax(raw.logits(batch), dim=1))
    assert torch.equal(softmax.loss(batch)["loss_cls"], raw.loss(batch)["loss_cls"])
    assert not CoOp(CoOp.Config(score="softmax")).needs().calibrated
    assert CoOp(CoOp.Config(images="square")).needs().images == "square"


def test_bias_and_answer_are_the_options_that_lmpt_has(make_context, make_batch, scan_of, full):
    """One bias, centred in the same way: the two recipes start from the same logits, and answer alike."""
    from ltbench_lmpt.method import LMPT

    context, batch = make_context(full), make_batch()
    for options in ({"logit_bias": False}, {"logit_bias": True}, {"logit_bias": True, "score": "softmax"}):
        _, coop = build(context, **options)
        (stage,) = LMPT(LMPT.Config(**{"score": "logits", **options}, use_cse=False)).stages(context)
        for module in (coop, stage.module):
            module.on_epoch_start(0, scan_of(batch))
        assert torch.equal(coop.logits(batch), stage.module.logits(batch)), options
    shared = {"logit_bias", "learn_scale", "head_lr", "score", "images"}
    assert shared <= set(CoOp.Config.model_fields)
    assert shared <= set(LMPT.Config.model_fields)


def test_training_lowers_the_loss(make_context, make_batch, scan_of, full):
    stage, module = build(make_context(full))
    batch = make_batch()
    module.on_epoch_start(0, scan_of(batch))
    optimiser = torch.optim.Adam([p for group in stage.param_groups for p in group.params], lr=0.02)
    losses = []
    for _ in range(25):
        (loss,) = module.loss(batch).values()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_logits_are_centred_before_the_first_epoch_only(make_context, make_batch, scan_of, full):
    context, batch = make_context(full), make_batch()
    _, module = build(context)
    module.on_epoch_start(0, scan_of(batch))
    positives, negatives = (full == 1).sum() + 0.5, (full == -1).sum() + 0.5
    assert Stats.of(full).log_odds == pytest.approx(math.log(positives / negatives))
    assert float(module.logits(batch).mean().detach()) == pytest.approx(math.log(positives / negatives), abs=1e-4)
    with torch.no_grad():
        module.classifier.head.bias.add_(1.0)
    kept = float(module.classifier.head.bias.detach())
    module.on_epoch_start(1, scan_of(batch))
    assert float(module.classifier.head.bias.detach()) == kept


def test_shared_context_answers_for_new_classes(make_context, make_batch, full):
    batch = make_batch()
    _, module = build(make_context(full))
    module.eval()
    with torch.no_grad():
        before = module.logits(batch)
        module.set_classes(("bus", "zebra", "cat"))
        after = module.logits(batch)
    assert after.shape == (len(batch.rows), 3)
    torch.testing.assert_close(after[:, [2, 0]], before[:, [0, 4]], rtol=1e-5, atol=1e-5)


def test_class_specific_context_refuses_new_classes(make_context, full):
    _, module = build(make_context(full), class_specific=True)
    with pytest.raises(UserError, match="class-specific"):
        module.set_classes(("zebra",))
    assert CoOp(CoOp.Config(class_specific=True)).needs().classes == "fixed"
    assert CoOp(CoOp.Config()).needs().classes == "open"


def test_class_features_are_computed_once_per_evaluation(make_context, make_batch, backbone, full):
    _, module = build(make_context(full))
    batch = make_batch()
    with torch.no_grad():
        first = module.logits(batch)
        count = backbone.text.encoded_rows
        module.logits(batch)
        assert backbone.text.encoded_rows == count
        # The way averaged weights are swapped in: it leaves no trace in the parameter's version.
        module.classifier.prompts.ctx.data.add_(0.5)
        changed = module.logits(batch)
    assert not torch.equal(first, changed)


@pytest.mark.parametrize("loss", ["bce", "asl", "softmax"])
def test_unknown_labels_contribute_nothing(make_context, make_batch, observed, loss):
    _, module = build(make_context(observed), loss=loss)
    logits = torch.randn(observed.shape, generator=torch.Generator().manual_seed(1), requires_grad=True)
    module.criterion(logits, torch.from_numpy(observed)).backward()
    unknown = torch.from_numpy(observed == 0)
    assert not logits.grad[unknown].any()
    assert logits.grad[~unknown].any()


def test_softmax_loss_by_hand():
    logits = torch.tensor([[1.0, 0.0, 5.0], [2.0, 3.0, 1.0], [4.0, 0.0, 0.0]])
    labels = torch.tensor([[1, -1, 0], [1, 1, -1], [-1, -1, -1]], dtype=torch.int8)
    first = -1.0 + math.log(math.exp(1) + 1)
    second = -(2.0 + 3.0) / 2 + math.log(math.exp(2) + math.exp(3) + math.exp(1))
    assert float(MultiLabelSoftmaxLoss()(logits, labels)) == pytest.approx((first + second) / 2, rel=1e-6)


def test_softmax_loss_without_positives_is_zero():
    logits = torch.zeros(2, 3, requires_grad=True)
    loss = MultiLabelSoftmaxLoss()(logits, torch.full((2, 3), -1, dtype=torch.int8))
    loss.backward()
    assert float(loss.detach()) == 0.0


def test_only_bce_is_calibrated():
    assert [CoOp(CoOp.Config(loss=loss)).needs().calibrated for loss in ("bce", "asl", "softmax")] == [
        True,
        False,
        False,
    ]


def test_words_and_number_of_tokens_must_agree(make_context, full):
    with pytest.raises(UserError, match="4 tokens"):
        build(make_context(full), context_tokens=5)
    _, module = build(make_context(full), context_tokens=5, init=None)
    assert module.classifier.prompts.ctx.shape[0] == 5


def test_config_forbids_extra_keys():
    with pytest.raises(ValidationError, match="Extra inputs"):
        CoOp.Config(n_ctx=4)


def test_predicting_needs_no_labels(make_context, make_batch, full):
    _, module = build(make_context(full))
    batch = make_batch()
    bare = Batch(batch.rows, batch.input, torch.zeros(len(batch.rows), 0, dtype=torch.int8))
    torch.testing.assert_close(module.logits(bare), module.logits(batch))
