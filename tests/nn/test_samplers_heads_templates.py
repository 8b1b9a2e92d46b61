"""Samplers resume exactly; heads and templates compute what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from ltbench.backbones.base import TextTower
from ltbench.method.stages import Sampler
from ltbench.nn import (
    TEMPLATES,
    ClassAwareSampler,
    CosineHead,
    LinearHead,
    ShuffleSampler,
    ensemble_features,
    fill,
    imagenet_templates,
)


def rng(epoch: int) -> np.random.Generator:
    return np.random.default_rng([7, epoch])


def long_tailed() -> np.ndarray:
    """Classes with 40, 10 and 2 rows, one without any; the last rows belong to none."""
    observed = np.full((60, 4), -1, dtype=np.int8)
    observed[:40, 0] = 1
    observed[35:45, 1] = 1
    observed[43:45, 2] = 1
    observed[:, 3] = 0
    return observed


def test_shuffle_is_a_permutation() -> None:
    sampler: Sampler = ShuffleSampler(50)
    order = sampler.epoch(0, rng(0))
    assert sorted(order.tolist()) == list(range(50))
    assert not np.array_equal(order, sampler.epoch(1, rng(1)))
    assert np.array_equal(order, ShuffleSampler(50).epoch(0, rng(0)))


def test_classes_take_turns() -> None:
    observed = long_tailed()
    sampler: Sampler = ClassAwareSampler(observed, reduce=1, draws_per_class=2)
    order = sampler.epoch(0, rng(0))
    assert len(order) == 40 * 3
    visits = order.reshape(-1, 3, 2)
    for visit in visits:
        # Each turn of the cycle serves each class with rows of its own.
        options = [{c for c in range(3) if (observed[pair, c] == 1).all()} for pair in visit]
        assert set().union(*options) == {0, 1, 2}
    assert set(order.tolist()) <= set(range(45))
    assert {43, 44} <= set(order.tolist())
    # A class's own cycle shows all its rows before any comes again; class 0 alone owns rows 0 to 34.
    own = [row for row in order.tolist() if row < 35]
    assert len(set(own)) == len(own)


@given(st.integers(0, 1000), st.integers(1, 6), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_a_resumed_sampler_goes_on_alike(seed: int, reduce: int, draws: int) -> None:
    observed = np.where(np.random.default_rng(seed).random((30, 5)) < 0.2, 1, -1).astype(np.int8)
    observed[seed % 30, 0] = 1
    whole, first = (ClassAwareSampler(observed, reduce, draws) for _ in range(2))
    expected = [whole.epoch(e, rng(e)) for e in range(4)]
    for e in range(2):
        np.testing.assert_array_equal(first.epoch(e, rng(e)), expected[e])
    state = first.state_dict()
    resumed = ClassAwareSampler(observed, reduce, draws)
    resumed.load_state_dict(state)
    first.epoch(2, rng(99))  # the state is a copy, not a view
    for e in range(2, 4):
        np.testing.assert_array_equal(resumed.epoch(e, rng(e)), expected[e])


def test_states_of_other_labels_are_refused() -> None:
    state = ClassAwareSampler(long_tailed()).state_dict()
    with pytest.raises(ValueError, match="other labels"):
        ClassAwareSampler(long_tailed()[:44]).load_state_dict(state)
    moved = np.roll(long_tailed(), 1, axis=0)
    with pytest.raises(ValueError, match="other labels"):
        ClassAwareSampler(moved).load_state_dict(state)


def test_samplers_that_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="no class has an observed positive"):
        ClassAwareSampler(np.zeros((3, 2), dtype=np.int8))
    with pytest.raises(ValueError, match="must be at least 1"):
        ClassAwareSampler(long_tailed(), reduce=0)


def test_cosine_head() -> None:
    images, classes = torch.randn(5, 7, 8), torch.randn(3, 8)
    head = CosineHead(scale=20.0, bias=-3.0)
    expected = 20 * torch.cosine_similarity(images[:, :, None], classes, dim=-1) - 3
    torch.testing.assert_close(head(images, classes), expected, atol=1e-5, rtol=0)
    assert list(head.parameters()) == []
    learned = CosineHead(20.0, -3.0, learn_scale=True, learn_bias=True)
    assert {name for name, _ in learned.named_parameters()} == {"log_scale", "bias"}
    learned(images, classes).sum().backward()
    assert learned.bias.grad == pytest.approx(5 * 7 * 3)
    head.load_state_dict(CosineHead(5.0, 1.0, learn_scale=True).state_dict())
    assert head.log_scale.exp() == pytest.approx(5.0)
    for scale in (0.0, math.nan):
        with pytest.raises(ValueError, match="must be positive"):
            CosineHead(scale)


def test_linear_head_starts_from_the_prior() -> None:
    torch.manual_seed(0)
    head = LinearHead(64, 10, prior=0.05)
    logits = head(torch.randn(200, 64))
    assert float(torch.sigmoid(logits).detach().mean()) == pytest.approx(0.05, abs=0.005)
    assert float(head.linear.weight.detach().std()) == pytest.approx(0.01, rel=0.1)
    prior = torch.tensor([0.5, 0.01])
    torch.testing.assert_close(torch.sigmoid(LinearHead(4, 2, prior=prior).linear.bias), prior)
    scaled = LinearHead(4, 2, normalise=True)
    x = torch.randn(3, 4)
    torch.testing.assert_close(scaled(x), scaled(5 * x))
    assert LinearHead(4, 2, bias=False).linear.bias is None


def test_ensembles_average_normalised_features(tower: TextTower) -> None:
    names = ["cat", "traffic_light"]
    templates = ["a photo of a {}.", lambda name: f"the {name} again"]
    each = torch.stack(
        [
            normalize(tower.encode(["a photo of a cat.", "a photo of a traffic light."]), dim=-1),
            normalize(tower.encode(["the cat again", "the traffic light again"]), dim=-1),
        ]
    )
    expected = normalize(each.mean(dim=0), dim=-1)
    features = ensemble_features(tower, names, templates)
    torch.testing.assert_close(features, expected)
    torch.testing.assert_close(features.norm(dim=-1), torch.ones(2))
    assert not torch.allclose(features, normalize(tower.encode(names), dim=-1), atol=1e-3)
    with pytest.raises(ValueError, match="no templates"):
        ensemble_features(tower, names, [])


def test_templates() -> None:
    assert TEMPLATES["single"] == ("a photo of a {}.",)
    assert all(template.count("{}") == 1 for templates in TEMPLATES.values() for template in templates)
    assert len(imagenet_templates()) == 80
    assert fill(imagenet_templates()[0], "traffic_light") == "a bad photo of a traffic light."
    with pytest.raises(ValueError, match=r"has no \{\}"):
        fill("a photo", "cat")
