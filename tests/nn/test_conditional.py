"""Prompts that depend on a condition: what they say, gradients, chunks, class sets."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from ltbench.nn import ConditionalClassifier, ConditionalPrompts, CosineHead, MetaNet, PromptLearner

NAMES = ("cat", "traffic light", "dining_table")
DIM, WIDTH = 24, 32


def conditions(count: int, seed: int = 1) -> torch.Tensor:
    return normalize(torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed)), dim=1)


@pytest.fixture
def prompts(tower) -> ConditionalPrompts:
    torch.manual_seed(5)
    return ConditionalPrompts(PromptLearner(tower, NAMES), MetaNet(DIM, WIDTH), chunk=None)


def test_meta_net_is_a_bottleneck_of_a_sixteenth():
    meta = MetaNet(64, 10)
    assert [tuple(p.shape) for p in meta.parameters()] == [(4, 64), (4,), (10, 4), (10,)]
    x = torch.randn(3, 64)
    first, _, second = meta.layers
    expected = torch.relu(x @ first.weight.T + first.bias) @ second.weight.T + second.bias
    torch.testing.assert_close(meta(x), expected)
    assert MetaNet(8, 10).layers[0].out_features == 1
    assert not MetaNet(64, 10, zero=True)(x).any()


def test_prompts_of_a_condition_are_those_of_the_shifted_context(prompts, tower):
    """One condition at a time, with a plain prompt learner whose context is moved by hand."""
    given = conditions(4)
    with torch.no_grad():
        found = prompts.class_features(given)
        assert found.shape == (4, 3, DIM)
        plain = PromptLearner(tower, NAMES)
        start = plain.ctx.clone()
        for row in range(4):
            plain.ctx.copy_(start + prompts.meta(given[row : row + 1]))
            torch.testing.assert_close(found[row], plain.class_features(), rtol=1e-5, atol=1e-6)
    # The shift matters, so that images do differ.
    assert not torch.allclose(found[0], found[1], atol=1e-4)


def test_without_a_shift_they_are_the_unconditional_ones(tower):
    plain = PromptLearner(tower, NAMES)
    prompts = ConditionalPrompts(plain, MetaNet(DIM, WIDTH, zero=True))
    with torch.no_grad():
        found = prompts.class_features(conditions(2))
        torch.testing.assert_close(found, plain.class_features().expand(2, -1, -1), rtol=1e-5, atol=1e-6)


class Fixed(nn.Module):
    """Gives back shifts of a shape."""

    def __init__(self, shifts: torch.Tensor) -> None:
        super().__init__()
        self.shifts = shifts

    def forward(self, conditions: torch.Tensor) -> torch.Tensor:
        return self.shifts[: len(conditions)]


@pytest.mark.parametrize("shape", [(2, WIDTH), (2, 4, WIDTH), (2, 1, 4, WIDTH), (2, 3, 1, WIDTH), (2, 3, 4, WIDTH)])
def test_shifts_by_vector_and_by_class(tower, shape):
    shifts = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    plain = PromptLearner(tower, NAMES)
    embeddings, ends = ConditionalPrompts(plain, Fixed(shifts))(conditions(2))
    base, expected_ends = plain()
    assert torch.equal(ends, expected_ends)
    moved = embeddings - base
    full = shifts.reshape(2, shape[1] if len(shape) == 4 else 1, shape[-2] if len(shape) > 2 else 1, WIDTH)
    torch.testing.assert_close(moved[:, :, 1:5], full.expand(2, 3, 4, WIDTH), rtol=0, atol=1e-6)
    assert not moved[:, :, 0].any()
    assert not moved[:, :, 5:].any()


@pytest.mark.parametrize("chunk", [1, 2, 4, 100])
def test_chunks_change_neither_features_nor_gradients(tower, chunk):
    def run(size: int | None) -> list[torch.Tensor]:
        torch.manual_seed(5)
        prompts = ConditionalPrompts(PromptLearner(tower, NAMES), MetaNet(DIM, WIDTH), chunk=size)
        given = conditions(5).requires_grad_(True)
        found = prompts.class_features(given)
        weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(3))
        grads = torch.autograd.grad((found * weights).sum(), [given, *prompts.parameters()])
        with torch.no_grad():
            return [found.detach(), prompts.class_features(given), *grads]

    for one, other in zip(run(None), run(chunk), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-6)


def test_gradients_by_finite_differences(tower):
    torch.manual_seed(5)
    tower.double()
    prompts = ConditionalPrompts(PromptLearner(tower, NAMES), MetaNet(DIM, WIDTH)).double()
    classifier = ConditionalClassifier(prompts, CosineHead(20.0, learn_scale=True, learn_bias=True).double())
    images = conditions(2).double()
    context, bias = prompts.prompts.ctx, prompts.meta.layers[2].bias

    def loss(context_values: torch.Tensor, bias_values: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        with torch.no_grad():
            kept = context.clone(), bias.clone()
            context.copy_(context_values)
            bias.copy_(bias_values)
        value = classifier.head(images, prompts.class_features(images)).square().mean()
        grads = torch.autograd.grad(value, [context, bias])
        with torch.no_grad():
            context.copy_(kept[0])
            bias.copy_(kept[1])
        return value.detach(), list(grads)

    _, grads = loss(context.detach().clone(), bias.detach().clone())
    step = 1e-6
    for index, start in enumerate((context.detach().clone(), bias.detach().clone())):
        moved = start.clone()
        moved.view(-1)[7] += step
        values = [context.detach().clone(), bias.detach().clone()]
        values[index] = moved
        above, _ = loss(*values)
        moved.view(-1)[7] -= 2 * step
        below, _ = loss(*values)
        assert float((above - below) / (2 * step)) == pytest.approx(float(grads[index].view(-1)[7]), rel=1e-4)


def test_gradients_reach_context_and_meta_net_and_not_the_tower(prompts, tower):
    classifier = ConditionalClassifier(prompts, CosineHead(10.0, learn_bias=True))
    classifier(conditions(4)).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in classifier.parameters())
    assert all(p.grad is None for p in tower.parameters())
    assert not any("tower" in name for name in classifier.state_dict())


def test_logits_compare_each_image_with_its_own_prompts(prompts):
    classifier = ConditionalClassifier(prompts, CosineHead(10.0, bias=-1.0))
    images = 3.0 * conditions(4)
    with torch.no_grad():
        classes = prompts.class_features(conditions(4))
        expected = 10.0 * torch.stack([classes[row] @ conditions(4)[row] for row in range(4)]) - 1.0
        torch.testing.assert_close(classifier(images), expected, rtol=1e-5, atol=1e-5)


def test_other_classes_and_centring(prompts):
    classifier = ConditionalClassifier(prompts, CosineHead(10.0, learn_bias=True))
    images = conditions(6)
    with torch.no_grad():
        before = classifier(images)
        classifier.set_classes(("zebra", "cat"))
        after = classifier(images)
    assert after.shape == (6, 2)
    torch.testing.assert_close(after[:, 1], before[:, 0], rtol=1e-4, atol=1e-5)
    classifier.centre(images.split(4), -2.5)
    assert float(classifier(images).mean().detach()) == pytest.approx(-2.5, abs=1e-4)
    with pytest.raises(ValueError, match="no images"):
        classifier.centre([], 0.0)


def test_the_name_stands_at_the_end(tower):
    with pytest.raises(ValueError, match="front"):
        ConditionalPrompts(PromptLearner(tower, NAMES, position="front"), MetaNet(DIM, WIDTH))
