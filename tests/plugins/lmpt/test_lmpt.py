"""LMPT: how its two losses are put together, what it trains, and what a resumed run computes again."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from ltbench.losses import cosine_distance
from ltbench.method import Batch, GradientStage
from ltbench.plugin.errors import UserError
from ltbench_lmpt.method import LMPT
from ltbench_lmpt.module import LMPTModule
from ltbench_lmpt.objectives import SwitchableEmbeddingLoss, classification_loss

LOSSES = ("db-focal", "db", "r-bce-focal", "cb-focal", "focal", "asl", "bce", "mls")


def build(context, **options) -> tuple[GradientStage, LMPTModule]:
    (stage,) = LMPT(LMPT.Config(**options)).stages(context)
    assert isinstance(stage, GradientStage)
    assert isinstance(stage.module, LMPTModule)
    return stage, stage.module


def test_loss_is_lambda_cls_plus_rest_cse(make_context, make_batch, backbone, full):
    context, batch = make_context(full), make_batch()
    _, module = build(context, lambda_cls=0.3)
    terms = module.loss(batch)
    assert set(terms) == {"loss_cls", "loss_cse"}
    classes = backbone.text.encode([f"a photo of a {name}." for name in context.class_names])
    logits = 20.0 * torch.cosine_similarity(batch.input[:, None], classes[None], dim=2)
    expected = classification_loss("db-focal", context.stats)(logits, batch.observed)
    torch.testing.assert_close(terms["loss_cls"], 0.3 * expected, rtol=1e-4, atol=1e-5)
    distances = cosine_distance(backbone.text.encode(batch.captions), classes)
    counts = torch.from_numpy(context.stats.positives)
    embedding = SwitchableEmbeddingLoss(counts, eta=1.0, gamma=1.0, class_aware_margin=True, reweighting=True)
    torch.testing.assert_close(terms["loss_cse"], 0.7 * embedding(distances, batch.observed), rtol=1e-4, atol=1e-5)


def test_embedding_loss_spelled_out(make_context, make_batch, backbone, full):
    context, batch = make_context(full), make_batch()
    _, module = build(context, lambda_cls=0.0)
    classes = backbone.text.encode([f"a photo of a {name}." for name in context.class_names])
    captions = backbone.text.encode(batch.captions)
    counts = [float(n) for n in context.stats.positives]
    norm = sum(1 / n for n in counts)
    total = 0.0
    for row in range(len(full)):
        for column, count in enumerate(counts):
            delta = 1 - float(torch.cosine_similarity(captions[row], classes[column], dim=0))
            weight = 1 / count / norm
            total += weight * delta if full[row, column] > 0 else max(0.0, weight * (count**-0.25 - delta))
    assert float(module.loss(batch)["loss_cse"].detach()) == pytest.approx(total / len(full), rel=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("class_specific", [False, True])
def test_gradients_reach_what_is_declared_and_nothing_else(
    make_context, make_batch, backbone, full, loss, class_specific
):
    stage, module = build(
        make_context(full), loss=loss, class_specific=class_specific, logit_bias=True, learn_scale=True
    )
    batch = make_batch()
    total = sum(module.loss(batch).values())
    assert torch.isfinite(total)
    total.backward()
    declared = {id(p) for group in stage.param_groups for p in group.params}
    assert {id(p) for p in module.parameters()} == declared
    assert all(p.grad is not None and bool(p.grad.any()) for p in module.parameters())
    assert all(p.grad is None for p in backbone.text.parameters())
    assert module.logits(batch).shape == full.shape


def test_paper_trains_the_context_alone(make_context, full):
    stage, module = build(make_context(full))
    assert [name for name, _ in module.named_parameters()] == ["classifier.prompts.ctx"]
    assert (stage.optimizer, stage.epochs, stage.param_groups[0].lr) == ("sgd", 30, 5e-4)
    assert stage.param_groups[0].schedule.kind == "cosine"


def test_embedding_loss_alone_moves_the_context(make_context, make_batch, full):
    _, module = build(make_context(full), lambda_cls=0.0)
    sum(module.loss(make_batch()).values()).backward()
    assert module.classifier.prompts.ctx.grad.any()


def test_without_captions_it_is_the_classification_loss(make_context, make_batch, full):
    context = make_context(full)
    _, module = build(context, use_cse=False, score="logits")
    batch = make_batch(captions=False)
    terms = module.loss(batch)
    assert set(terms) == {"loss_cls"}
    torch.testing.assert_close(
        terms["loss_cls"], classification_loss("db-focal", context.stats)(module.logits(batch), batch.observed)
    )
    assert not LMPT(LMPT.Config(use_cse=False)).needs().captions
    assert LMPT(LMPT.Config()).needs().captions


@pytest.mark.parametrize("variant", ["paper", "code"])
def test_the_answer_is_the_softmax_over_classes_and_training_sees_logits(make_context, make_batch, full, variant):
    context, batch = replace(make_context(full), variant=variant), make_batch()
    options = {"logit_bias": True, "loss": "bce", "reduction": "mean"}
    (_, softmax), (_, logits) = build(context, **options), build(context, **options, score="logits")
    raw = logits.logits(batch)
    torch.testing.assert_close(softmax.logits(batch), torch.log_softmax(raw, dim=1))
    order = [raw.argsort(dim=0), softmax.logits(batch).argsort(dim=0)]
    assert not torch.equal(*order), "images of a class are in another order"
    for name, value in logits.loss(batch).items():
        assert torch.equal(value, softmax.loss(batch)[name])


def test_weights_that_sum_to_the_classes_make_the_embedding_loss_as_many_times_as_large(make_context, make_batch, full):
    context, batch = make_context(full), make_batch()
    (_, one), (_, classes) = build(context), build(context, weight_sum="classes")
    counted = len(context.class_names)
    torch.testing.assert_close(classes.loss(batch)["loss_cse"], counted * one.loss(batch)["loss_cse"])
    assert torch.equal(classes.loss(batch)["loss_cls"], one.loss(batch)["loss_cls"])
    _, even = build(context, weight_sum="classes", reweighting=False)
    assert float(even.embedding.loss.weights().sum()) == pytest.approx(counted)


def test_training_without_captions_is_an_error(make_context, make_batch, full):
    _, module = build(make_context(full))
    with pytest.raises(ValueError, match="caption"):
        module.loss(make_batch(captions=False))


def test_embedding_loss_on_the_last_context_vectors(make_context, make_batch, backbone, full):
    context, batch = make_context(full), make_batch()
    _, module = build(context, lambda_cls=0.0, cse_tokens=3)
    classes = backbone.text.encode([f"photo of a {name}." for name in context.class_names])
    distances = cosine_distance(backbone.text.encode(batch.captions), classes)
    embedding = SwitchableEmbeddingLoss(torch.from_numpy(context.stats.positives))
    value = module.loss(batch)["loss_cse"]
    torch.testing.assert_close(value, embedding(distances, batch.observed), rtol=1e-4, atol=1e-5)
    value.backward()
    gradient = module.classifier.prompts.ctx.grad
    assert not gradient[0].any()
    assert all(bool(row.any()) for row in gradient[1:])


def test_all_context_vectors_are_the_default_and_cost_no_second_pass(make_context, make_batch, backbone, full):
    context, batch = make_context(full), make_batch()
    (_, plain), (_, spelled) = build(context), build(context, cse_tokens=4)
    first = {name: float(value.detach()) for name, value in plain.loss(batch).items()}
    before = backbone.text.encoded_rows
    second = {name: float(value.detach()) for name, value in spelled.loss(batch).items()}
    assert second == first
    assert backbone.text.encoded_rows - before == len(set(batch.captions)) + len(context.class_names)


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"cse_tokens": 5}, "cse_tokens is 5, and there are 4 context vectors", "-o cse_tokens=4"),
        ({"cse_skip": 2}, "the paper leaves no positions out", "-o cse_tokens=…"),
        ({"context_tokens": 3}, "has 4 tokens, but context_tokens is 3", "context_tokens=4"),
        ({"batch_norm": "drift"}, "backbone toy has no batch normalisation", "-o batch_norm=frozen"),
    ],
)
def test_options_that_do_not_go_together(make_context, full, options, message, hint):
    with pytest.raises(UserError, match=message) as caught:
        build(make_context(full), **options)
    assert hint in caught.value.hint


@pytest.mark.parametrize("position", ["front", "middle"])
def test_the_class_name_can_stand_elsewhere(make_context, make_batch, backbone, full, position):
    context = make_context(full)
    _, module = build(context, position=position)
    spelled = {"front": "{} a photo of a.", "middle": "a photo {} of a."}[position]
    expected = backbone.text.encode([spelled.format(name) for name in context.class_names])
    features = module.classifier.class_features()
    torch.testing.assert_close(features, torch.nn.functional.normalize(expected, dim=-1), atol=1e-5, rtol=0)


def test_unknown_labels_contribute_nothing(make_context, make_batch, observed):
    context = make_context(observed)
    observed = observed.copy()
    observed[:, 2] = 0
    _, module = build(context, class_specific=True)
    sum(module.loss(make_batch(observed)).values()).backward()
    gradient = module.classifier.prompts.ctx.grad
    assert not gradient[2].any()
    assert all(bool(gradient[column].any()) for column in (0, 1, 3, 4))


def test_captions_are_encoded_once_and_again_after_a_resume(make_context, make_batch, scan_of, backbone, full):
    context, batch = make_context(full), make_batch()
    _, module = build(context)
    module.on_epoch_start(0, scan_of(batch))
    count = backbone.text.encoded_rows
    assert len(module.embedding.captions) == len(set(batch.captions))
    module.on_epoch_start(1, scan_of(batch))
    assert backbone.text.encoded_rows == count
    state = module.state_dict()
    assert not any("captions" in key or "tower" in key for key in state)
    _, resumed = build(context)
    resumed.load_state_dict(state)
    resumed.on_epoch_start(7, scan_of(batch))
    again = resumed.loss(batch)
    for name, value in module.loss(batch).items():
        assert torch.equal(value, again[name])


@pytest.mark.parametrize(("weight", "term"), [(0.5, "loss_cls"), (0.0, "loss_cse")])
def test_training_lowers_the_loss(make_context, make_batch, scan_of, full, weight, term):
    stage, module = build(make_context(full), lambda_cls=weight, logit_bias=True, loss="db")
    batch = make_batch()
    module.on_epoch_start(0, scan_of(batch))
    optimiser = torch.optim.Adam([p for group in stage.param_groups for p in group.params], lr=0.02)
    history = []
    for _ in range(25):
        terms = module.loss(batch)
        optimiser.zero_grad()
        sum(terms.values()).backward()
        optimiser.step()
        history.append(float(terms[term].detach()))
    assert history[-1] < 0.97 * history[0]


def test_shared_context_answers_for_new_classes(make_context, make_batch, full):
    batch = make_batch(captions=False)
    _, module = build(make_context(full))
    module.set_classes(("bus", "zebra"))
    bare = Batch(batch.rows, batch.input, torch.zeros(len(batch.rows), 0, dtype=torch.int8))
    assert module.logits(bare).shape == (len(batch.rows), 2)
    assert LMPT(LMPT.Config()).needs().classes == "open"
    assert LMPT(LMPT.Config(class_specific=True)).needs().classes == "fixed"


def test_calibration_is_claimed_for_cross_entropy_only():
    claimed = {loss for loss in LOSSES if LMPT(LMPT.Config(loss=loss, score="logits")).needs().calibrated}
    assert claimed == {"bce", "mls"}
    assert not any(LMPT(LMPT.Config(loss=loss)).needs().calibrated for loss in LOSSES), "log p of a softmax is below 0"


def test_config_forbids_extra_keys():
    with pytest.raises(ValidationError, match="Extra inputs"):
        LMPT.Config(margin=0.2)
    with pytest.raises(ValidationError):
        LMPT.Config(lambda_cls=1.5)
