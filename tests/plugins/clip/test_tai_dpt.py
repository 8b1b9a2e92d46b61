"""TaI-DPT: what a sentence names, the ranking loss, pooling over places, and that no image is looked at."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from ltbench.method import Batch, GradientStage
from ltbench_baselines.clip.nouns import NounMatcher
from ltbench_baselines.clip.tai_dpt import PairRankingLoss, TaIDPT, TaIDPTModule, pooled

NAMES = ("cat", "dog", "traffic light", "person", "bus")


def build(context, **options) -> tuple[GradientStage, TaIDPTModule]:
    (stage,) = TaIDPT(TaIDPT.Config(**{"context_tokens": 4, **options})).stages(context)
    assert isinstance(stage, GradientStage)
    assert isinstance(stage.module, TaIDPTModule)
    return stage, stage.module


def with_regions(batch: Batch, count: int = 6) -> Batch:
    regions = torch.randn(len(batch.rows), count, batch.input.shape[1], generator=torch.Generator().manual_seed(9))
    return Batch(batch.rows, (batch.input, regions), batch.observed, batch.captions)


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("A cat and two Dogs.", {"cat", "dog"}),
        ("nothing to see here", set()),
        ("a hot dog on a bus", {"hot dog", "bus"}),
        ("two buses, traffic lights and a trafficlight", {"bus", "traffic light"}),
        ("a man near a dining table", {"person", "diningtable"}),
        ("a category of concatenated busts", set()),
        ("puppies", {"dog"}),
        ("", set()),
    ],
)
def test_nouns_of_a_sentence(sentence, found):
    names = ("cat", "dog", "hot_dog", "bus", "traffic light", "person", "diningtable")
    columns = NounMatcher(names)(sentence)
    assert {names[c].replace("_", " ") for c in columns} == found


def test_own_names_go_before_synonyms_and_shared_synonyms_count_for_both():
    matcher = NounMatcher(("cup", "mug", "bowl"), {"cup": ("mug", "vessel"), "bowl": ("vessel",)})
    assert matcher("a mug") == {1}
    assert matcher("a vessel") == {0, 2}
    assert NounMatcher(("person",), {})("a man") == set()


def test_ranking_loss_by_hand():
    logits = torch.tensor([[2.0, 1.5, 0.0, 5.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    labels = torch.tensor([[1, -1, -1, 0], [1, 1, -1, -1], [-1, -1, -1, 0]], dtype=torch.int8)
    # Row 0: pairs (2, 1.5) and (2, 0): 0.5 + 0. Row 1: four pairs of gap 0. Row 2 has no present class.
    assert float(PairRankingLoss(1.0)(logits, labels)) == pytest.approx((0.5 + 4.0) / 2)
    assert float(PairRankingLoss(1.0)(logits[2:], labels[2:])) == 0.0


def test_ranking_loss_ignores_unknown_labels(observed):
    logits = torch.randn(observed.shape, generator=torch.Generator().manual_seed(2), requires_grad=True)
    PairRankingLoss()(logits, torch.from_numpy(observed)).backward()
    assert not logits.grad[torch.from_numpy(observed == 0)].any()
    assert logits.grad.any()
    assert torch.isfinite(logits.grad).all()


def test_pooling_prefers_the_place_that_fits_and_leaves_out_what_is_masked():
    cosines = torch.tensor([[[0.1, 0.9], [0.8, 0.2], [0.3, 0.3]]])
    sharp = pooled(cosines, 1e4)
    torch.testing.assert_close(sharp, torch.tensor([[0.8, 0.9]]))
    weights = torch.softmax(5.0 * cosines, dim=1)
    torch.testing.assert_close(pooled(cosines, 5.0), (weights * cosines).sum(dim=1))
    masked = cosines.clone().requires_grad_(True)
    left_out = masked.masked_fill(torch.tensor([[False, True, False]])[:, :, None], -torch.inf)
    found = pooled(left_out, 5.0)
    torch.testing.assert_close(found, pooled(cosines[:, [0, 2]], 5.0))
    found.sum().backward()
    assert torch.isfinite(masked.grad).all()
    assert not masked.grad[:, 1].any()


@pytest.mark.parametrize("local", [True, False])
def test_gradients_reach_what_is_declared_and_nothing_else(make_context, make_batch, backbone, full, local):
    stage, module = build(make_context(full), local=local)
    terms = module.loss(make_batch())
    assert set(terms) == ({"loss_global", "loss_local"} if local else {"loss_global"})
    sum(terms.values()).backward()
    declared = {id(p) for group in stage.param_groups for p in group.params}
    assert {id(p) for p in module.parameters()} == declared
    assert len(declared) == (2 if local else 1)
    assert all(p.grad is not None and bool(p.grad.any()) for p in module.parameters())
    assert all(p.grad is None for p in backbone.text.parameters())
    assert not any("tower" in name for name in module.state_dict())


def test_no_image_and_by_default_no_label_is_looked_at(make_context, make_batch, full):
    batch = make_batch()
    other = Batch(batch.rows, torch.full_like(batch.input, torch.nan), -batch.observed, batch.captions)
    values = []
    for shown in (batch, other):
        _, module = build(make_context(full))
        values.append(float(sum(module.loss(shown).values()).detach()))
    assert values[0] == values[1]
    _, module = build(make_context(full), labels="observed")
    assert float(sum(module.loss(other).values()).detach()) != float(sum(module.loss(batch).values()).detach())


def test_captions_name_what_the_rows_of_this_batch_show(make_context, make_batch, full):
    _, module = build(make_context(full), templates=0.0)
    batch = make_batch()
    found = module._labels(batch, [])
    assert torch.equal(found, torch.from_numpy(full))


def test_templates_join_by_turns_and_a_resumed_run_goes_on(make_context, make_batch, full):
    batch = make_batch()
    _, module = build(make_context(full), templates=0.2)
    assert len(module.extra) == 80 * len(NAMES)
    assert all(NounMatcher(NAMES)(text) == {column} for text, column in module.extra)
    first = module.loss(batch)
    assert int(module.turn) == 8
    state = {name: value.clone() for name, value in module.state_dict().items()}
    second = module.loss(batch)
    assert float(second["loss_global"].detach()) != float(first["loss_global"].detach())
    _, resumed = build(make_context(full), templates=0.2)
    resumed.load_state_dict(state)
    assert float(resumed.loss(batch)["loss_global"].detach()) == float(second["loss_global"].detach())
    # At the end of the list it begins again.
    module.turn.fill_(len(module.extra) - 1)
    assert torch.isfinite(module.loss(batch)["loss_local"])


def test_what_is_behind_the_end_of_a_caption_changes_nothing(make_context, full):
    """Alone, a short caption is not padded; next to a long one it is."""
    _, module = build(make_context(full), templates=0.0)
    observed = torch.zeros(1, len(NAMES), dtype=torch.int8)
    features = torch.zeros(1, 16)

    def loss(captions: tuple[str, ...]) -> float:
        rows = len(captions)
        batch = Batch(torch.arange(rows), features.expand(rows, -1), observed.expand(rows, -1), captions)
        return float(module.loss(batch)["loss_local"].detach())

    short, long = "a cat", "a dog and a bus and one person in front of a traffic light"
    assert loss((short, long)) == pytest.approx((loss((short,)) + loss((long,))) / 2, rel=1e-4)


def test_logits_by_hand(make_context, make_batch, full):
    _, module = build(make_context(full), merge=0.25)
    batch = with_regions(make_batch())
    whole, regions = (normalize(part, dim=-1) for part in batch.input)
    with torch.no_grad():
        first = 4.0 * whole @ module.whole.class_features().T
        cosines = regions @ module.local.class_features().T
        second = 4.0 * (torch.softmax(40.0 * cosines, dim=1) * cosines).sum(dim=1)
        torch.testing.assert_close(module.logits(batch), 0.25 * first + 0.75 * second, rtol=1e-4, atol=1e-5)
        _, alone = build(make_context(full), local=False)
        torch.testing.assert_close(alone.logits(batch), first, rtol=1e-4, atol=1e-5)


def test_training_lowers_the_loss(make_context, make_batch, full):
    stage, module = build(make_context(full), templates=0.0, scale=20.0)
    batch = make_batch()
    optimiser = torch.optim.Adam([p for group in stage.param_groups for p in group.params], lr=0.02)
    losses = []
    for _ in range(15):
        loss = sum(module.loss(batch).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_answers_for_new_classes(make_context, make_batch, full):
    batch = with_regions(make_batch())
    _, module = build(make_context(full))
    with torch.no_grad():
        before = module.logits(batch)
        module.set_classes(("bus", "zebra", "cat"))
        after = module.logits(batch)
        module.set_classes(NAMES)
    torch.testing.assert_close(after[:, [2, 0]], before[:, [0, 4]], rtol=1e-4, atol=1e-5)
    assert torch.isfinite(sum(module.loss(batch).values()))


def test_needs_and_a_batch_without_captions(make_context, make_batch, full):
    needs = TaIDPT(TaIDPT.Config()).needs()
    assert (needs.input, needs.text, needs.captions, needs.classes, needs.calibrated) == (
        "region",
        True,
        True,
        "open",
        False,
    )
    assert TaIDPT(TaIDPT.Config(local=False)).needs().input == "global"
    assert TaIDPT(TaIDPT.Config(class_specific=True)).needs().classes == "fixed"
    _, module = build(make_context(full))
    with pytest.raises(ValueError, match="caption"):
        module.loss(make_batch(captions=False))


def test_captions_that_name_nothing_teach_nothing(make_context, full):
    _, module = build(make_context(full), templates=0.0)
    observed = torch.from_numpy(np.ascontiguousarray(full[:2]))
    batch = Batch(torch.arange(2), torch.zeros(2, 16), observed, ("a quiet street", "grass"))
    loss = sum(module.loss(batch).values())
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert all(not p.grad.any() for p in module.parameters())
