"""Zero-shot baselines: what each computes, straight from its formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from ltbench.backbones.base import Backbone
from ltbench.method import Batch
from ltbench.plugin import UserError
from ltbench_baselines.common.places import unit_scale
from ltbench_baselines.unseen.attentions import SharedAttentions, as_map
from ltbench_baselines.unseen.conse import convex_combination, cosines
from ltbench_baselines.unseen.directions import RankWeightedHinge
from tests.plugins.unseen.zsl_toys import NAMES, PLACES, batch_of, build


def test_conse_takes_as_many_seen_classes_as_there_are_and_bears_none_probable() -> None:
    vectors = torch.eye(3)
    torch.testing.assert_close(
        convex_combination(torch.tensor([[0.2, 0.2, 0.6]]), vectors, 10), torch.tensor([[0.2, 0.2, 0.6]])
    )
    nowhere = convex_combination(torch.zeros(1, 3), vectors, 2)
    assert torch.isfinite(cosines(nowhere, vectors)).all()


def test_weighted_ranking_of_labelem_by_hand() -> None:
    logits = torch.tensor([[0.5, 0.0, 1.0, -3.0], [1.0, 2.0, 3.0, 4.0]], dtype=torch.float64)
    labels = torch.tensor([[1, -1, -1, -1], [1, 1, 0, 0]])
    # Class 0 is passed within the margin by two: hinges 0.5 and 1.5, weight (1 + 1/2) / 2.
    found = RankWeightedHinge(reduction="none")(logits, labels)
    torch.testing.assert_close(found, torch.tensor([0.75 * 2.0, 0.0], dtype=torch.float64))
    both = torch.tensor([[1, 1, -1, -1], [1, 1, 0, 0]])
    # Of class 0: one hinge of 1.5, weight 1. Of class 1: one of 2. Their mean.
    torch.testing.assert_close(RankWeightedHinge()(logits, both), torch.tensor(1.75 / 2, dtype=torch.float64))


def test_fast0tag_and_labelem_are_one_bilinear_form_and_two_losses(
    backbone: Backbone, full: npt.NDArray[np.int8]
) -> None:
    batch = batch_of(full)
    for name in ("fast0tag", "label-em"):
        module: Any = build(backbone, name, full).module
        (linear,) = module.head.net
        expected = linear(unit_scale(batch.features)) @ module.words.T
        torch.testing.assert_close(module.logits(batch), expected)


def test_sdl_takes_the_direction_that_suits_a_label_best(backbone: Backbone, full: npt.NDArray[np.int8]) -> None:
    module: Any = build(backbone, "sdl", full, directions=3).module
    batch = batch_of(full)
    columns = module.head.net(unit_scale(batch.features)).reshape(len(full), -1, 3)
    products = torch.stack([columns[:, :, m] @ module.words.T for m in range(3)])
    torch.testing.assert_close(module.logits(batch), products.max(dim=0).values)


@pytest.mark.parametrize(
    ("pooling", "pool"),
    [
        ("max", lambda s: s.max(dim=1).values),
        ("mean", lambda s: s.mean(dim=1)),
        ("lse", lambda s: s.exp().mean(dim=1).log()),
    ],
)
def test_deep0tag_pools_the_scores_of_places(
    backbone: Backbone, full: npt.NDArray[np.int8], pooling: str, pool: Callable[[Tensor], Tensor]
) -> None:
    module: Any = build(backbone, "deep0tag", full, pooling=pooling).module
    batch = batch_of(full)
    instances = torch.stack(
        [module.head.net(unit_scale(batch.input[1][:, place])) @ module.words.T for place in range(PLACES)], dim=1
    )
    torch.testing.assert_close(module.logits(batch), pool(instances))


def test_one_attention_per_label_starts_even_and_then_looks(backbone: Backbone, full: npt.NDArray[np.int8]) -> None:
    module: Any = build(backbone, "one-attention-per-label", full).module
    batch = batch_of(full)
    places = unit_scale(batch.input[1])
    classifiers = module.head.classifier(module.words)
    torch.testing.assert_close(module.logits(batch), places.mean(dim=1) @ classifiers.T)
    with torch.no_grad():
        module.head.attention.weight.normal_()
    keys = module.head.attention(module.words)
    for label in range(len(NAMES)):
        weights = torch.softmax(places @ keys[label], dim=1)
        expected = (weights[:, :, None] * places).sum(dim=1) @ classifiers[label]
        torch.testing.assert_close(module.logits(batch)[:, label], expected)


def lesa_terms(head: SharedAttentions, batch: Batch, words: Tensor) -> Mapping[str, float]:
    """The three terms image by image, straight from their definitions."""
    by_attention, whole, looks = (part.detach().double() for part in head.parts(batch, words))
    spread = below = overlap = 0.0
    for row, labels in enumerate(batch.observed.tolist()):
        if not any(labels):
            continue
        shares = torch.softmax(by_attention[row], dim=0)
        for attention in shares:
            spread += float(sum(s for s, y in zip(attention, labels, strict=True) if y > 0)) ** 2
        for column, label in enumerate(labels):
            gap = float(by_attention[row, :, column].max() - whole[row, column])
            below += max(0.0, -gap * label)
        unit = looks[row] / looks[row].norm(dim=1, keepdim=True)
        for one in range(len(unit)):
            overlap += sum(float(unit[one] @ unit[other]) ** 2 for other in range(len(unit)) if other != one)
    attentions, rows = by_attention.shape[1], int((batch.observed != 0).any(dim=1).sum())
    return {"distribution": spread / attentions / rows, "whole": below, "span": overlap**0.5}


def test_terms_of_lesa_from_their_definitions(backbone: Backbone, observed: npt.NDArray[np.int8]) -> None:
    labels = observed.copy()
    labels[2] = 0
    module: Any = build(backbone, "lesa", labels, distribution=0.5, whole=0.25, span=2.0).module.eval()
    batch = batch_of(labels)
    terms = {name: term.detach() for name, term in module.loss(batch).items()}
    expected = lesa_terms(module.head, batch, module.words)
    assert float(terms["loss_distribution"]) == pytest.approx(0.5 * expected["distribution"], rel=1e-5)
    assert float(terms["loss_whole"]) == pytest.approx(0.25 * expected["whole"], rel=1e-5)
    assert float(terms["loss_span"]) == pytest.approx(2.0 * expected["span"], rel=1e-5)


def test_biam_averages_the_places_that_suit_a_label(backbone: Backbone, full: npt.NDArray[np.int8]) -> None:
    batch = batch_of(full)
    scores = {}
    for largest in (1, 3, PLACES, 50):
        module: Any = build(backbone, "biam", full, largest=largest).module.eval()
        scores[largest] = module.logits(batch)
    assert (scores[1] > scores[3]).all()
    assert (scores[3] > scores[PLACES]).all()
    torch.testing.assert_close(scores[50], scores[PLACES])


def test_regions_become_a_map_row_by_row() -> None:
    regions = torch.arange(2 * 9 * 4.0).reshape(2, 9, 4)
    found = as_map(regions)
    assert found.shape == (2, 4, 3, 3)
    torch.testing.assert_close(found[1, :, 2, 1], regions[1, 7])
    with pytest.raises(UserError, match="8 places are no square map"):
        as_map(regions[:, :8])
