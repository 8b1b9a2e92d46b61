"""Zero-shot: logits by hand, ensembles, classes that are named late."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch.nn.functional import normalize

from ltbench.method import FitStage
from ltbench_baselines.clip.zero_shot import ZeroShot, ZeroShotHead


def head_of(context, **options) -> ZeroShotHead:
    (stage,) = ZeroShot(ZeroShot.Config(**options)).stages(context)
    assert isinstance(stage, FitStage)
    assert stage.fit is None
    return stage.module


def test_logits_are_scaled_cosines(make_context, make_batch, backbone, full):
    context, batch = make_context(full), make_batch()
    logits = head_of(context).logits(batch)
    texts = backbone.text.encode([f"a photo of a {name}." for name in context.class_names])
    expected = 20.0 * torch.cosine_similarity(batch.input[:, None], texts[None], dim=2)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)


def test_it_may_answer_with_the_softmax_over_classes(make_context, make_batch, full):
    context, batch = make_context(full), make_batch()
    raw, softmax = head_of(context), head_of(context, score="softmax")
    torch.testing.assert_close(softmax.logits(batch), torch.log_softmax(raw.logits(batch), dim=1))


def test_ensemble_averages_normalised_features(make_context, backbone, full):
    context = make_context(full)
    templates = ("a photo of a {}", "there is a {} here")
    head = head_of(context, templates=templates)
    each = [
        normalize(backbone.text.encode([t.replace("{}", n) for n in context.class_names]), dim=1) for t in templates
    ]
    torch.testing.assert_close(head.text, normalize((each[0] + each[1]) / 2, dim=1))


@pytest.mark.parametrize(("name", "size"), [("single", 1), ("ensemble", 7), ("openai-80", 80)])
def test_named_sets_of_templates(make_context, backbone, full, name, size):
    head = head_of(make_context(full), templates=(name,))
    assert len(head.templates) == size
    torch.testing.assert_close(head.text.norm(dim=1), torch.ones(5))
    if name == "single":
        assert torch.equal(head.text, head_of(make_context(full)).text)


def test_classes_named_at_test(make_context, make_batch, full):
    batch = make_batch()
    head = head_of(make_context(full))
    before = head.logits(batch)
    head.set_classes(("bus", "zebra", "cat"))
    logits = head.logits(batch)
    assert logits.shape == (len(batch.rows), 3)
    torch.testing.assert_close(logits[:, [2, 0]], before[:, [0, 4]])


def test_nothing_is_trained_and_no_tower_is_state(make_context, full):
    head = head_of(make_context(full))
    assert not any(parameter.requires_grad for parameter in head.parameters())
    assert set(head.state_dict()) == {"head.log_scale", "head.bias"}
    assert not ZeroShot(ZeroShot.Config()).needs().calibrated


@pytest.mark.parametrize("templates", [("a photo",), ("{} and {}",), ("openai-81",), ()])
def test_templates_must_have_one_place(templates):
    with pytest.raises(ValidationError):
        ZeroShot.Config(templates=templates)
