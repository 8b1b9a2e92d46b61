"""Prompts of many classes: the gradients of chunks are those of all at once, and little is kept for them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from ltbench.backbones.base import TextTower
from ltbench.nn import CosineHead, PromptClassifier, PromptLearner

CLASSES = 300
WORDS = ("red", "old", "small wooden", "very long haired", "left", "a")


def names(count: int) -> list[str]:
    """Class names of one to five words."""
    return [f"{WORDS[number % len(WORDS)]} thing {number}" for number in range(count)]


def learner_of(tower: TextTower, count: int, **options: object) -> PromptLearner:
    learner = PromptLearner(tower, names(count), seed=0, **options)  # type: ignore[arg-type]
    with torch.no_grad():
        learner.ctx.add_(torch.randn(learner.ctx.shape, generator=torch.Generator().manual_seed(1)) * 0.05)
    return learner


def trained(tower: TextTower, chunk: int | None, **options: object) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and gradient of one training step of a classifier."""
    random = torch.Generator().manual_seed(2)
    images = torch.randn(16, 24, generator=random)
    labels = (torch.rand(16, CLASSES, generator=random) < 0.05).float()
    learner = learner_of(tower, CLASSES, **options)
    classifier = PromptClassifier(learner, CosineHead(scale=20.0, bias=-3.0), chunk=chunk)
    loss = binary_cross_entropy_with_logits(classifier(images), labels)
    loss.backward()
    assert learner.ctx.grad is not None
    return loss.detach(), learner.ctx.grad


@pytest.mark.parametrize(
    ("chunk", "options"),
    [
        (64, {}),
        (13, {}),
        (299, {"class_specific": True}),
        (64, {"class_specific": True}),
        (64, {"position": "middle"}),
        (64, {"context_tokens": 16, "init": None}),
    ],
    ids=["shared", "small chunks", "two chunks", "class-specific", "middle", "16 tokens"],
)
def test_gradients_of_chunks_are_those_of_all_at_once(tower: TextTower, chunk: int, options: dict[str, object]) -> None:
    """To 1e-6 of the gradient's norm, in float32."""
    loss, gradient = trained(tower, None, **options)
    other_loss, other = trained(tower, chunk, **options)
    assert gradient.dtype == torch.float32
    assert float(gradient.norm()) > 0
    assert float((other - gradient).norm()) <= 1e-6 * float(gradient.norm())
    assert float((other_loss - loss).abs()) <= 1e-6 * float(loss)


def saved_numbers(learner: PromptLearner, chunk: int | None) -> int:
    """Distinct numbers that autograd keeps for the backward pass of all class features."""
    seen: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        seen[tensor.data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        mse_loss(learner.class_features(chunk), torch.zeros(()).expand(len(learner.class_names), 24)).backward()
    return sum(tensor.numel() for tensor in seen.values())


def test_what_is_kept_does_not_grow_with_the_classes(tower: TextTower) -> None:
    few, many = learner_of(tower, 50), learner_of(tower, 400)
    assert saved_numbers(many, None) > 5 * saved_numbers(few, None)
    # The features themselves [C, 24] and what the loss keeps of them; an embedded prompt would be 400 numbers a class.
    grown = saved_numbers(many, 25) - saved_numbers(few, 25)
    assert grown <= 350 * 3 * 24
    held = {name: tensor.numel() for name, tensor in many.named_buffers() if len(tensor) == 400}
    longest = int(many.ends.max()) + 1
    assert sum(held.values()) <= 400 * (longest + 1), "token ids and ends; no embeddings"


def widths_seen(learner: PromptLearner, chunk: int) -> Sequence[tuple[int, ...]]:
    """Shapes of the prompts that reach the tower."""
    shapes: list[tuple[int, ...]] = []
    whole = learner.tower.encode_embeddings

    def watched(embeddings: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(embeddings.shape[:2]))
        return whole(embeddings, ends)

    learner.tower.encode_embeddings = watched  # type: ignore[method-assign]
    try:
        with torch.no_grad():
            learner.class_features(chunk)
    finally:
        del learner.tower.encode_embeddings  # type: ignore[misc]
    return shapes


def test_a_chunk_is_as_long_as_its_own_longest_prompt(tower: TextTower) -> None:
    learner = PromptLearner(tower, ["cat", "dog", "a very long name of a thing", "sea"])
    shapes = widths_seen(learner, 2)
    assert [count for count, _ in shapes] == [2, 2]
    assert [length for _, length in shapes] == [int(learner.ends[:2].max()) + 1, int(learner.ends[2:].max()) + 1]
    assert shapes[0][1] < shapes[1][1]
