"""DualCoOp on a toy encoder: what is learned, what each option changes, and what happens at the edges."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from ltbench.backbones.base import Backbone
from ltbench.method import Batch, Context, Stats
from ltbench.plugin.errors import UserError
from ltbench_dualcoop.method import DualCoOp
from tests.plugins.conftest import DIM, NAMES, WIDTH
from tests.plugins.dualcoop.dualcoop_toys import Labels, batch_of, fit, module_of, scene, stage_of


@pytest.fixture
def seen(observed: Labels) -> Tensor:
    return torch.from_numpy(observed)


KINDS: list[dict[str, Any]] = [
    {},
    {"aggregation": "max"},
    {"aggregation": "average"},
    {"prompts": "positive"},
    {"prompts": "negative"},
    {"labels": "discrete"},
]


@pytest.mark.parametrize("options", KINDS)
def test_training_separates_present_from_absent(toy: Backbone, full: Labels, options: dict[str, Any]) -> None:
    module = module_of(toy, full, class_specific=True, **options)
    batch = batch_of(full)
    losses = fit(module, batch)
    assert losses[-1] < 0.8 * losses[0]
    logits = module.logits(batch)
    assert logits[batch.observed == 1].mean() > logits[batch.observed == -1].mean() + 0.5


def test_attention_reads_the_global_feature(toy: Backbone, full: Labels) -> None:
    module = module_of(toy, full, aggregation="attention")
    pooled, _ = scene(full)
    batch = Batch(torch.arange(len(full)), pooled, torch.from_numpy(full))
    sides = module.sides()
    unit = torch.nn.functional.normalize(pooled, dim=1)
    torch.testing.assert_close(module.logits(batch), 20 * unit @ (sides[1] - sides[0]).T, atol=1e-5, rtol=1e-4)
    assert DualCoOp(DualCoOp.Config(aggregation="attention")).needs().input == "global"
    assert DualCoOp(DualCoOp.Config()).needs().input == "region"


def test_parameters_are_what_the_paper_counts(toy: Backbone, full: Labels) -> None:
    count = len(NAMES)
    expected = {
        "shared": ({}, 2 * 4 * WIDTH),
        "specific": ({"class_specific": True}, 2 * count * 4 * WIDTH),
        "single": ({"prompts": "positive"}, 4 * WIDTH + 1),
        "discrete": ({"labels": "discrete"}, 2 * count * DIM),
    }
    for options, size in expected.values():
        stage = stage_of(toy, full, **options)
        trained = [p for group in stage.param_groups for p in group.params]
        assert sum(p.numel() for p in trained) == size
        assert {id(p) for p in trained} == {id(p) for p in stage.module.parameters() if p.requires_grad}
        assert not any("tower" in name for name in stage.module.state_dict())


def test_unknown_labels_and_empty_rows_contribute_nothing(toy: Backbone, full: Labels, seen: Tensor) -> None:
    module = module_of(toy, full)
    known = batch_of(full, seen)
    with torch.no_grad():
        alone = float(module.loss(known)["loss_cls"])
        parts = sum(
            float(module.loss(batch_of(full, torch.where(seen == value, seen, 0)))["loss_cls"]) for value in (1, -1)
        )
    assert alone == pytest.approx(parts, rel=1e-5)
    hidden = torch.zeros_like(seen)
    loss = module.loss(batch_of(full, hidden))["loss_cls"]
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert all(torch.count_nonzero(p.grad) == 0 for p in module.parameters() if p.grad is not None)
    single = batch_of(full, seen, slice(3, 4))
    assert torch.isfinite(module.loss(single)["loss_cls"])
    assert module.logits(single).shape == (1, len(NAMES))


@torch.no_grad()
def test_the_loss_is_a_sum_times_its_factor(toy: Backbone, full: Labels) -> None:
    whole, half = (module_of(toy, full, loss_weight=weight) for weight in (0.03, 0.015))
    batch = batch_of(full)
    assert float(whole.loss(batch)["loss_cls"]) == pytest.approx(2 * float(half.loss(batch)["loss_cls"]))
    rows = [float(whole.loss(batch_of(full, None, slice(k, k + 1)))["loss_cls"]) for k in range(len(full))]
    assert float(whole.loss(batch)["loss_cls"]) == pytest.approx(sum(rows), rel=1e-4)


def test_a_step_takes_some_classes_where_there_are_many(toy: Backbone, full: Labels) -> None:
    module = module_of(toy, full, classes_per_step=2, class_specific=True)
    batch = batch_of(full)
    touched = set()
    for seed in range(12):
        torch.manual_seed(seed)
        module.zero_grad()
        module.loss(batch)["loss_cls"].backward()
        for context in module.sides.contexts():
            assert context.grad is not None
            moved = context.grad.abs().sum(dim=(1, 2)).nonzero().flatten().tolist()
            assert len(moved) == 2
            touched |= set(moved)
    assert touched == set(range(len(NAMES)))
    torch.manual_seed(0)
    chosen = torch.randperm(len(NAMES))[:2]
    every = module_of(toy, full, class_specific=True)
    masked = torch.zeros_like(batch.observed)
    masked[:, chosen] = batch.observed[:, chosen]
    expected = every.loss(batch_of(full, masked))["loss_cls"]
    torch.manual_seed(0)
    torch.testing.assert_close(module.loss(batch)["loss_cls"], expected, atol=1e-5, rtol=1e-4)
    assert module.logits(batch).shape == (len(full), len(NAMES))


def test_shared_prompts_answer_for_classes_never_trained(toy: Backbone, full: Labels) -> None:
    module = module_of(toy, full)
    batch = batch_of(full)
    with torch.no_grad():
        before = module.logits(batch)
        module.set_classes([*NAMES, "zebra", "umbrella stand"])
        more = module.logits(batch)
        module.set_classes(NAMES)
        after = module.logits(batch)
    assert more.shape == (len(full), len(NAMES) + 2)
    torch.testing.assert_close(more[:, : len(NAMES)], before, atol=1e-5, rtol=1e-4)
    assert torch.equal(after, before)
    assert DualCoOp(DualCoOp.Config()).needs().classes == "open"


@pytest.mark.parametrize(
    ("options", "message"),
    [({"class_specific": True}, "class-specific contexts"), ({"labels": "discrete"}, "class vectors say nothing")],
)
def test_what_belongs_to_classes_answers_for_no_others(
    toy: Backbone, full: Labels, options: dict[str, Any], message: str
) -> None:
    assert DualCoOp(DualCoOp.Config(**options)).needs().classes == "fixed"
    with pytest.raises(UserError, match=message):
        module_of(toy, full, **options).set_classes(["zebra"])


@torch.no_grad()
def test_logits_of_a_single_prompt_start_at_the_share_of_positives(toy: Backbone, full: Labels) -> None:
    batch = batch_of(full)
    wanted = Stats.of(full).log_odds
    for prompts in ("positive", "negative"):
        module = module_of(toy, full, prompts=prompts)
        module.on_epoch_start(0, lambda: iter([batch]))
        assert float(module.logits(batch).mean()) == pytest.approx(wanted, abs=1e-4)
        kept = module.bias.clone()
        module.on_epoch_start(1, lambda: iter([batch]))
        assert torch.equal(module.bias, kept)
        # A better match with the only prompt speaks for the class, or against it.
        score, logit = module.scores(batch)[:, 0], module.logits(batch)
        torch.testing.assert_close(logit, score if prompts == "positive" else -score)


def test_both_sides_start_from_words_or_at_random(toy: Backbone, full: Labels) -> None:
    words = module_of(toy, full, positive_init="a photo of a", negative_init="a photo without a")
    assert toy.text is not None
    for context, text in zip(words.sides.contexts(), ("a photo without a", "a photo of a"), strict=True):
        expected = toy.text.embed_tokens(toy.text.tokenize([text]))[0, 1:5]
        torch.testing.assert_close(context.detach(), expected)
    negative, positive = module_of(toy, full, context_tokens=16).sides.contexts()
    assert not torch.equal(negative, positive)
    assert 0.01 < negative.std().item() < 0.03
    with pytest.raises(UserError, match="has 4 tokens, but context_tokens is 3"):
        module_of(toy, full, positive_init="a photo of a", context_tokens=3)


def test_the_release_and_the_paper_weight_places_differently(toy: Backbone, full: Labels) -> None:
    assert module_of(toy, full).pool.sharpness == 20.0
    context = Context(NAMES, Stats.of(full), toy, torch.device("cpu"), seed=0, variant="paper")
    (stage,) = DualCoOp(DualCoOp.Config()).stages(context)
    assert stage.module.pool.sharpness == 1.0  # type: ignore[union-attr]
    assert stage.module.criterion.variant == "paper"  # type: ignore[union-attr]
    assert module_of(toy, full, sharpness=7.0).pool.sharpness == 7.0


def test_a_copy_keeps_the_frozen_encoder(toy: Backbone, full: Labels) -> None:
    module = module_of(toy, full)
    twin = copy.deepcopy(module)
    batch = batch_of(full)
    assert twin.places is module.places
    with torch.no_grad():
        assert torch.equal(twin.logits(batch), module.logits(batch))


def test_what_an_image_goes_through(toy: Backbone, full: Labels) -> None:
    needs = DualCoOp(DualCoOp.Config(image_size=448)).needs()
    assert (needs.images, needs.image_size, needs.text, needs.calibrated) == ("squeezed", 448, True, True)
    with pytest.raises(ValidationError, match="image_size goes with images=squeezed"):
        DualCoOp.Config(image_size=448, images="backbone")
    for options in ({"aggregation": "softmax"}, {"aggregation": "attention", "images": "backbone"}):
        with pytest.raises(ValidationError, match="attention_map=map goes with"):
            DualCoOp.Config(attention_map="map", **options)  # type: ignore[arg-type]
    assert DualCoOp(DualCoOp.Config(aggregation="attention", attention_map="map")).needs().images == "squeezed-fitted"
    toy.card = toy.card.model_copy(update={"image_size": 32})
    for kind in ("live", "views"):
        augment = stage_of(toy, full, augment=kind, views_k=3).augment
        assert augment.kind == kind
        assert augment.transform.size == 32  # type: ignore[union-attr]
    assert augment.k == 3
    assert stage_of(toy, full, images="backbone").augment.transform.size is None  # type: ignore[union-attr]
    assert stage_of(toy, full, augment="none").augment.kind == "none"
