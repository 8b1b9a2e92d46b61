"""Normalised multi-head classifier, moving vector and additive attention: values, and where they must not break."""

from __future__ import annotations

import pytest
import torch

from ltbench.nn import AdditiveAttention, MovingVector, MultiHeadCosine


def test_one_head_without_offset_is_a_scaled_cosine() -> None:
    torch.manual_seed(0)
    head = MultiHeadCosine(6, 3, scale=5.0, eta=0.0)
    features = torch.randn(4, 6)
    expected = 5 * torch.cosine_similarity(features[:, None], head.weight[None], dim=2)
    torch.testing.assert_close(head(features), expected)
    torch.testing.assert_close(head(7 * features), expected)


def test_heads_are_averaged_over_their_channels() -> None:
    torch.manual_seed(0)
    whole = MultiHeadCosine(6, 3, heads=2)
    features = torch.randn(4, 6)
    parts = []
    for channels in (slice(0, 3), slice(3, 6)):
        part = MultiHeadCosine(3, 3)
        with torch.no_grad():
            part.weight.copy_(whole.weight[:, channels])
        parts.append(part(features[:, channels]))
    torch.testing.assert_close(whole(features), (parts[0] + parts[1]) / 2)
    with pytest.raises(ValueError, match="4 heads do not divide 6 channels"):
        MultiHeadCosine(6, 3, heads=4)


def test_all_of_a_feature_along_the_direction_is_its_effect() -> None:
    torch.manual_seed(0)
    head = MultiHeadCosine(6, 3, heads=2)
    direction = torch.randn(6)
    along = torch.stack([direction, 0.1 * direction])
    torch.testing.assert_close(head.effect(along, direction), head(along))
    assert (head.effect(torch.randn(2, 6), torch.zeros(6)) == 0).all()


def test_zero_features_give_zero_logits_and_finite_gradients() -> None:
    head = MultiHeadCosine(6, 3)
    features = torch.zeros(2, 6, requires_grad=True)
    logits = head(features)
    assert (logits == 0).all()
    logits.sum().backward()
    assert torch.isfinite(features.grad).all()


def test_moving_vector_is_state_and_skips_empty_batches() -> None:
    moving = MovingVector(2, momentum=0.5)
    moving.update(torch.tensor([[1.0, 3.0], [3.0, 5.0]]))
    moving.update(torch.zeros(0, 2))
    moving.update(torch.tensor([[1.0, 1.0]]))
    torch.testing.assert_close(moving.value, torch.tensor([2.0, 3.0]))
    assert list(moving.state_dict()) == ["value"]
    assert not list(moving.parameters())


def test_attention_weighs_values_by_their_score() -> None:
    torch.manual_seed(0)
    attention = AdditiveAttention(3, hidden=5)
    query, values = torch.randn(2, 3), torch.randn(2, 4, 3)
    weights = attention.weights(query, values)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))
    torch.testing.assert_close(attention(query, values), torch.einsum("nk,nkd->nd", weights, values))
    order = [2, 0, 3, 1]
    torch.testing.assert_close(attention(query, values[:, order]), attention(query, values))
    # A single value has all the weight, whatever the query.
    torch.testing.assert_close(attention(query, values[:, :1]), values[:, 0])
