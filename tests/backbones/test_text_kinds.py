"""Text towers that are not causal: they compute what their libraries compute, and prompts go through them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from open_clip.model import CustomTextCLIP
from open_clip.tokenizer import SimpleTokenizer
from torch import nn
from torch.nn.functional import normalize

from ltbench.backbones.base import TextTower
from ltbench.backbones.masked_text import MaskedTextTower
from ltbench.backbones.tokens import LetterTokens, end_positions
from ltbench.backbones.whole_text import WholeTextTower
from ltbench.nn import ConditionalPrompts, CosineHead, MetaNet, PromptClassifier, PromptLearner, encode_in_chunks
from ltbench.plugin.errors import UserError

from .conftest import TEXT

VISION = {"layers": 1, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 64}
SIGLIP = {"no_causal_mask": True, "pool_type": "last", "proj_bias": True, "context_length": 40, "vocab_size": 300}
COCA = {"embed_cls": True, "context_length": 40}
MASKED = {"no_causal_mask": True, "pool_type": "argmax", "context_length": 40}
FIRST = {"no_causal_mask": True, "pool_type": "first", "context_length": 40}
TEXTS = ["a photo of a cat", "a dog", "ein Apfel", ""]
NAMES = ("cat", "traffic light", "bus")


def whole(change: dict[str, Any]) -> tuple[CustomTextCLIP, WholeTextTower]:
    torch.manual_seed(0)
    model = CustomTextCLIP(embed_dim=24, vision_cfg=VISION, text_cfg={**TEXT, **change}).eval()
    model.text.use_pad_mask = change is MASKED
    letters = "vocab_size" in change
    tokenizer: Any = LetterTokens(300, 40, padding=1) if letters else SimpleTokenizer(context_length=40)
    return model, WholeTextTower(model, tokenizer)


def masked() -> MaskedTextTower:
    transformers = pytest.importorskip("transformers", reason="needs transformers, of the extra photos")
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    model = transformers.BertModel(transformers.BertConfig(vocab_size=300, **size), add_pooling_layer=False).eval()
    return MaskedTextTower(model, LetterTokens(300, 40), 40, 10.0, projection=nn.Linear(32, 24, bias=False)).eval()


MAKERS: dict[str, Callable[[], TextTower]] = {
    "siglip": lambda: whole(SIGLIP)[1],
    "coca": lambda: whole(COCA)[1],
    "pad-mask": lambda: whole(MASKED)[1],
    "first": lambda: whole(FIRST)[1],
    "masked": masked,
}


@pytest.fixture(params=MAKERS)
def tower(request: pytest.FixtureRequest) -> TextTower:
    return MAKERS[request.param]()


@pytest.mark.parametrize("change", [SIGLIP, COCA, MASKED, FIRST], ids=["siglip", "coca", "pad-mask", "first"])
@torch.no_grad()
def test_features_are_those_of_open_clip(change: dict[str, Any]) -> None:
    model, tower = whole(change)
    tokens = tower.tokenize(TEXTS)
    torch.testing.assert_close(tower.encode(TEXTS), model.encode_text(tokens), atol=2e-6, rtol=1e-5)
    assert not tower.cuts


@torch.no_grad()
def test_features_are_those_of_transformers() -> None:
    tower = masked()
    tokens = tower.tokenize(TEXTS)
    ends = tower.end_positions(tokens)
    mask = (torch.arange(40) <= ends[:, None]).long()
    hidden = tower.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
    expected = tower.projection((hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True))
    torch.testing.assert_close(tower.encode(TEXTS), expected, atol=2e-6, rtol=1e-5)
    assert tower.cuts


@torch.no_grad()
def test_what_lies_behind_an_end_is_not_looked_at(tower: TextTower) -> None:
    tokens = tower.tokenize(TEXTS)
    ends = tower.end_positions(tokens)
    whole = tower.embed_tokens(tokens)
    short = whole[:, : int(ends.max()) + 1]
    expected = tower.encode_embeddings(whole, ends)
    torch.testing.assert_close(tower.encode_embeddings(short, ends), expected, atol=2e-6, rtol=1e-5)
    behind = torch.arange(short.shape[1]) > ends[:, None]
    disturbed = torch.where(behind[:, :, None], 7.0, short)
    torch.testing.assert_close(tower.encode_embeddings(disturbed, ends), expected, atol=2e-6, rtol=1e-5)
    # The last word is; a constant would be taken away by layer norms.
    other = short.clone()
    other[0, int(ends[0]) - 1] = torch.linspace(-1, 1, tower.width)
    assert not torch.allclose(tower.encode_embeddings(other, ends)[0], expected[0], atol=1e-4)


@torch.no_grad()
def test_tokens_and_text_come_from_one_pass(tower: TextTower) -> None:
    tokens = tower.tokenize(TEXTS[:3])
    ends = tower.end_positions(tokens)
    embeddings = tower.embed_tokens(tokens)
    pooled, each = tower.encode_tokens(embeddings, ends)
    assert torch.equal(pooled, tower.encode_embeddings(embeddings, ends))
    assert torch.equal(each, tower.encode_sequence(embeddings, ends))
    assert each.shape == (3, int(ends.max()) + 1, pooled.shape[1])
    if isinstance(tower, MaskedTextTower):
        # The projection has no bias, so that it commutes with the mean over tokens.
        torch.testing.assert_close(each[0, : int(ends[0]) + 1].mean(0), pooled[0], atol=2e-6, rtol=1e-5)


def test_untrained_prompts_are_the_sentences(tower: TextTower) -> None:
    init = "a photo of a"
    count = int(tower.end_positions(tower.tokenize([init]))[0]) - tower.starts
    learner = PromptLearner(tower, NAMES, context_tokens=count, init=init)
    # Letters know no blanks between words; CLIP's tokens bring theirs along.
    gap = "" if isinstance(tower.tokenizer, LetterTokens) else " "  # type: ignore[union-attr]
    sentences = [f"{init}{gap}{name}." for name in NAMES]
    found = learner.class_features()
    torch.testing.assert_close(found, normalize(tower.encode(sentences), dim=-1), atol=3e-6, rtol=1e-5)
    torch.testing.assert_close(learner.class_features(chunk=1), found, atol=3e-6, rtol=1e-5)
    assert torch.equal(learner.padded(), tower.embed_tokens(tower.tokenize(sentences)))
    learner.class_features().sum().backward()
    assert learner.ctx.grad is not None
    assert bool(learner.ctx.grad.any())


@pytest.mark.parametrize("position", ["front", "middle"])
def test_names_stand_where_they_are_asked_to(tower: TextTower, position: Any) -> None:
    learner = PromptLearner(tower, NAMES, context_tokens=4, init=None, position=position, seed=0)
    embeddings, ends = learner()
    assert torch.equal(ends, tower.end_positions(tower.tokenize([f"{n}." for n in NAMES])) + 4)
    before = tower.starts + (0 if position == "front" else 2)
    names = tower.embed_tokens(tower.tokenize(list(NAMES)))
    for row, at in enumerate(tower.end_positions(tower.tokenize(list(NAMES))) - tower.starts):
        own = slice(tower.starts, tower.starts + int(at))
        assert torch.equal(embeddings[row, before : before + int(at)], names[row, own])
    assert torch.isfinite(learner.class_features()).all()


def test_prompts_of_images_and_classifiers_go_through(tower: TextTower) -> None:
    learner = PromptLearner(tower, NAMES, context_tokens=4, init=None, seed=0)
    shifted = ConditionalPrompts(learner, MetaNet(24, tower.width, zero=True), chunk=2)
    images = torch.randn(2, 24)
    # A net that starts at zero leaves the prompts as they are.
    expected = learner.class_features().expand(2, -1, -1)
    torch.testing.assert_close(shifted.class_features(images), expected, atol=3e-6, rtol=1e-5)
    logits = PromptClassifier(learner, CosineHead(tower.logit_scale))(images)
    assert logits.shape == (2, 3)
    embeddings, ends = learner()
    once = encode_in_chunks(tower, embeddings, ends)
    torch.testing.assert_close(encode_in_chunks(tower, embeddings, ends, 2), once, atol=3e-6, rtol=1e-5)


def test_prompts_that_do_not_fit_are_refused(tower: TextTower) -> None:
    with pytest.raises(UserError, match="exceed the 40 tokens"):
        PromptLearner(tower, ["zebra " * 50], context_tokens=4, init=None)
    with pytest.raises(UserError, match="exceed the 40 tokens"):
        PromptLearner(tower, NAMES, context_tokens=38, init=None)
    with pytest.raises(ValueError, match="exceed the context of 40"):
        tower.encode_embeddings(torch.zeros(1, 41, tower.width), torch.tensor([3]))
    with pytest.raises(ValueError, match="lies outside of 5 tokens"):
        tower.encode_embeddings(torch.zeros(1, 5, tower.width), torch.tensor([5]))
    found = tower.unknown_parts(["cat", "zebra " * 50])
    assert set(found) == {"zebra " * 50}


def test_texts_end_at_the_first_end_or_padding() -> None:
    tokens = torch.tensor([[5, 1, 1, 1], [5, 6, 0, 0], [5, 6, 7, 8]])
    assert end_positions(tokens, end=1, padding=0).tolist() == [1, 2, 3]


def test_a_tower_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="does not start from token embeddings"):
        WholeTextTower(nn.Linear(2, 2), SimpleTokenizer())
