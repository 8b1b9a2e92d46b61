"""Prompts are the sentences they look like, only the context is learned, and class names can be exchanged."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.functional import normalize

from ltbench.backbones.base import TextTower
from ltbench.nn import PromptLearner, Tower, encode_in_chunks
from ltbench.nn.prompts import Position
from ltbench.plugin.errors import UserError

NAMES = ["cat", "traffic_light", "potted plant", "airplane"]
SENTENCES = ["a photo of a cat.", "a photo of a traffic light.", "a photo of a potted plant.", "a photo of a airplane."]


def test_untrained_prompts_are_the_sentences(tower: TextTower) -> None:
    learner = PromptLearner(tower, NAMES)
    tokens = tower.tokenize(SENTENCES)
    ends = tower.end_positions(tokens)
    embeddings, found = learner()
    assert torch.equal(found, ends)
    assert embeddings.shape == (4, int(ends.max()) + 1, tower.width)
    expected = tower.embed_tokens(tokens)
    for row, end in enumerate(ends.tolist()):
        torch.testing.assert_close(embeddings[row, : end + 1], expected[row, : end + 1], atol=0, rtol=0)
    torch.testing.assert_close(learner.class_features(), normalize(tower.encode(SENTENCES), dim=-1), atol=5e-6, rtol=0)


@pytest.mark.parametrize("class_specific", [False, True])
def test_the_name_can_stand_elsewhere(tower: TextTower, class_specific: bool) -> None:
    learner = {
        position: PromptLearner(tower, NAMES, position=position, class_specific=class_specific)  # type: ignore[arg-type]
        for position in ("front", "middle")
    }
    spelled = {
        "front": ["cat a photo of a.", "traffic light a photo of a."],
        "middle": ["a photo cat of a.", "a photo traffic light of a."],
    }
    for position, sentences in spelled.items():
        features = learner[position].class_features()[:2]
        expected = normalize(tower.encode(sentences), dim=-1)
        torch.testing.assert_close(features, expected, atol=5e-6, rtol=0)
        features.sum().backward()
        assert learner[position].ctx.grad is not None


def test_only_the_context_is_learned_and_kept(tower: TextTower) -> None:
    learner = PromptLearner(tower, NAMES)
    assert [name for name, _ in learner.named_parameters()] == ["ctx"]
    assert list(learner.state_dict()) == ["ctx"]
    features = learner.class_features()
    (features * torch.randn_like(features)).sum().backward()
    assert learner.ctx.grad is not None
    assert learner.ctx.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in tower.parameters())


def test_class_specific_contexts_learn_apart(tower: TextTower) -> None:
    learner = PromptLearner(tower, NAMES, class_specific=True)
    assert learner.ctx.shape == (4, 4, tower.width)
    # The sum of a normalised feature's products with itself has no gradient, a random direction has.
    (learner.class_features()[2] * torch.randn(24)).sum().backward()
    assert learner.ctx.grad is not None
    assert (learner.ctx.grad.flatten(1).abs().amax(dim=1) > 0).tolist() == [False, False, True, False]
    with pytest.raises(UserError, match="class-specific"):
        learner.set_classes(["dog"])


def test_other_classes_take_over_the_learned_context(tower: TextTower) -> None:
    learner = PromptLearner(tower, NAMES)
    with torch.no_grad():
        learner.ctx.add_(torch.randn_like(learner.ctx) * 0.1)
    state = learner.state_dict()
    learner.set_classes(["dog", "a very long name of a thing"])
    other = PromptLearner(tower, ["dog", "a very long name of a thing"])
    other.load_state_dict(state)
    assert learner.class_names == ("dog", "a very long name of a thing")
    torch.testing.assert_close(learner.class_features(), other.class_features())
    # And the first class set can come back.
    before = PromptLearner(tower, NAMES)
    before.load_state_dict(state)
    learner.set_classes(NAMES)
    torch.testing.assert_close(learner.class_features(), before.class_features())


def test_random_contexts_follow_the_seed(tower: TextTower) -> None:
    one, two, three = (PromptLearner(tower, NAMES, 16, init=None, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.ctx, two.ctx)
    assert not torch.equal(one.ctx, three.ctx)
    assert 0.015 < float(one.ctx.detach().std()) < 0.025
    specific = PromptLearner(tower, NAMES, 16, init=None, seed=0, class_specific=True)
    assert not torch.equal(specific.ctx[0], specific.ctx[1])
    torch.manual_seed(3)
    a = PromptLearner(tower, NAMES, init=None)
    torch.manual_seed(3)
    assert torch.equal(a.ctx, PromptLearner(tower, NAMES, init=None).ctx)


def test_prompts_that_cannot_be_built(tower: TextTower) -> None:
    with pytest.raises(UserError, match=r"'a photo of a', which has 4 tokens, but context_tokens is 16") as caught:
        PromptLearner(tower, NAMES, context_tokens=16)
    assert "context_tokens=4" in caught.value.hint
    long = "zebra " * 71
    with pytest.raises(UserError, match=r"'zebra .*' and 4 context tokens exceed the 77 tokens"):
        PromptLearner(tower, ["cat", long])
    with pytest.raises(UserError, match="exceed the 77 tokens"):
        PromptLearner(tower, ["cat", "zebra " * 200], 1, init="photo")
    assert PromptLearner(tower, ["zebra " * 70]).ends.tolist() == [76]
    with pytest.raises(ValueError, match="no class names"):
        PromptLearner(tower, [])


def test_copies_share_the_tower_and_moves_take_it_along(tower: TextTower) -> None:
    learner = PromptLearner(tower, NAMES)
    twin = copy.deepcopy(learner)
    assert twin.tower is learner.tower
    assert twin.ctx is not learner.ctx
    features = learner.class_features()
    twin.double()
    assert next(tower.parameters()).dtype == torch.float64
    learner.double()
    torch.testing.assert_close(learner.class_features().float(), features, atol=5e-6, rtol=0)


@pytest.mark.parametrize("chunk", [1, 3, 4, 100])
def test_chunks_change_neither_features_nor_gradients(tower: TextTower, chunk: int) -> None:
    target = torch.randn(4, 24)
    results = []
    for size in (None, chunk):
        learner = PromptLearner(tower, NAMES)
        features = learner.class_features(chunk=size)
        (features * target).sum().backward()
        results.append((features.detach(), learner.ctx.grad))
    (whole, gradient), (parts, other) = results
    assert gradient is not None
    torch.testing.assert_close(parts, whole, atol=5e-6, rtol=0)
    assert (other - gradient).abs().max() <= 5e-6 * gradient.abs().max()
    with torch.no_grad():
        torch.testing.assert_close(learner.class_features(chunk=chunk), whole, atol=5e-6, rtol=0)


def test_chunks_keep_few_activations(tower: TextTower) -> None:
    """What autograd keeps for the backward pass does not grow with the number of classes beyond the prompts."""

    def kept(count: int, chunk: int | None) -> int:
        embeddings = torch.randn(count, 12, tower.width, requires_grad=True)
        total = 0

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal total
            total += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            encode_in_chunks(tower, embeddings, torch.full((count,), 11), chunk).sum()
        return total

    assert kept(64, 8) < kept(64, None) / 10
    assert kept(64, 8) < 5 * 64 * 12 * tower.width


def test_towers_fit_the_protocol(tower: TextTower) -> None:
    typed: Tower = tower
    assert typed.context_length == 77


@pytest.mark.parametrize(("position", "spelled"), [("end", "photo of a {}."), ("middle", "photo {} of a.")])
def test_the_first_context_vectors_can_be_left_out(tower: TextTower, position: str, spelled: str) -> None:
    learner = PromptLearner(tower, NAMES, position=position)  # type: ignore[arg-type]
    sentences = [spelled.format(name.replace("_", " ")) for name in NAMES]
    expected = normalize(tower.encode(sentences), dim=-1)
    torch.testing.assert_close(learner.class_features(keep=3), expected, atol=5e-6, rtol=0)
    names = normalize(tower.encode([f"{name.replace('_', ' ')}." for name in NAMES]), dim=-1)
    torch.testing.assert_close(learner.class_features(keep=0), names, atol=5e-6, rtol=0)
    torch.testing.assert_close(learner.class_features(keep=4), learner.class_features())
    for wrong in (-1, 5):
        with pytest.raises(ValueError, match="keep: expected 0 <= keep <= 4"):
            learner.class_features(keep=wrong)


def test_padded_prompts_are_what_the_tokenizer_pads_to(tower: TextTower) -> None:
    learner = PromptLearner(tower, NAMES)
    assert torch.equal(learner.padded(), tower.embed_tokens(tower.tokenize(SENTENCES)))
    learner.padded().sum().backward()
    assert learner.ctx.grad is not None


@pytest.mark.parametrize("position", ["end", "middle"])
@pytest.mark.parametrize("class_specific", [False, True])
@pytest.mark.parametrize("chunk", [None, 2])
def test_some_classes_are_as_among_all(
    tower: TextTower, position: Position, class_specific: bool, chunk: int | None
) -> None:
    learner = PromptLearner(tower, NAMES, class_specific=class_specific, position=position)
    some = torch.tensor([3, 0, 1])
    found, gradients = [], []
    for features in (learner.class_features()[some], learner.class_features(chunk, classes=some)):
        (features * torch.arange(1.0, 1.0 + features.shape[1])).sum().backward()
        assert learner.ctx.grad is not None
        found.append(features.detach())
        gradients.append(learner.ctx.grad.clone())
        learner.ctx.grad = None
    torch.testing.assert_close(found[0], found[1], atol=5e-6, rtol=0)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-4, rtol=1e-4)
