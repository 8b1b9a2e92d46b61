"""The text tower cut at the last end-of-text token equals open_clip's full length."""

from __future__ import annotations

import pytest
import torch
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.tokenizer import SimpleTokenizer
from torch.nn.functional import normalize

from ltbench.backbones.clip_backbone import ClipBackbone
from ltbench.backbones.text import ClipTextTower, text_part

from .conftest import SIDE, TEXT, small_resnet

TEXTS = ["a cat", "a photo of a traffic light next to a very small dog.", "", "zebra " * 90]
VISION = {"layers": 1, "width": 32, "head_width": 16, "patch_size": 16, "image_size": SIDE}


def test_equals_the_full_context(resnet: ClipBackbone) -> None:
    model = small_resnet()
    text = resnet.text
    assert text is not None
    with torch.no_grad():
        full = normalize(model.encode_text(text.tokenize(TEXTS)), dim=-1)
    cut = normalize(text.encode(TEXTS), dim=-1)
    torch.testing.assert_close(cut, full, atol=5e-6, rtol=0)
    torch.testing.assert_close(normalize(text.encode(TEXTS, chunk=1), dim=-1), full, atol=5e-6, rtol=0)


def test_gradients_equal_the_full_context(resnet: ClipBackbone) -> None:
    text = resnet.text
    assert isinstance(text, ClipTextTower)
    tokens = text.tokenize(TEXTS[:2])
    ends = text.end_positions(tokens)
    target = torch.randn(2, 24)
    gradients = []
    for length in (int(ends.max()) + 1, text.context_length):
        embeddings = text.embed_tokens(tokens[:, :length]).clone().requires_grad_()
        x = embeddings + text.positional_embedding[:length]
        if length == text.context_length:
            # Written out: every position computed, features read at the ends.
            x = text.ln_final(text.transformer(x, attn_mask=text.attn_mask))[torch.arange(2), ends]
            features = x @ text.text_projection
        else:
            features = text.encode_embeddings(embeddings, ends)
        (normalize(features, dim=-1) * target).sum().backward()
        assert embeddings.grad is not None
        gradients.append(embeddings.grad)
    short, full = gradients
    assert (short - full[:, : short.shape[1]]).abs().max() <= 2e-6 * full.abs().max()
    assert full[:, short.shape[1] :].abs().max() == 0
    assert short.abs().max() > 1e-4


def test_padding_and_later_tokens_do_not_matter(resnet: ClipBackbone) -> None:
    text = resnet.text
    assert text is not None
    tokens = text.tokenize(["a cat", "a cat sat"])
    ends = text.end_positions(tokens)
    embeddings = text.embed_tokens(tokens)
    disturbed = embeddings.clone()
    disturbed[0, int(ends[0]) + 1 :] = 7.0
    torch.testing.assert_close(text.encode_embeddings(disturbed, ends), text.encode_embeddings(embeddings, ends))


def test_embeddings_that_cannot_be_encoded(resnet: ClipBackbone) -> None:
    text = resnet.text
    assert text is not None
    with pytest.raises(ValueError, match="exceed the context"):
        text.encode_embeddings(torch.zeros(1, 78, text.width), torch.tensor([3]))
    with pytest.raises(ValueError, match="lies outside"):
        text.encode_embeddings(torch.zeros(1, 5, text.width), torch.tensor([5]))


def test_custom_text_model_with_eos_pooling() -> None:
    torch.manual_seed(0)
    config = {**TEXT, "pool_type": "eos", "eos_id": 49407}
    model = CustomTextCLIP(embed_dim=24, vision_cfg=VISION, text_cfg=config).eval()
    tower = ClipTextTower(model, SimpleTokenizer())
    with torch.no_grad():
        full = model.encode_text(tower.tokenize(TEXTS), normalize=True)
    torch.testing.assert_close(normalize(tower.encode(TEXTS), dim=-1), full, atol=5e-6, rtol=0)


@pytest.mark.parametrize("change", [{"no_causal_mask": True}, {"pool_type": "last"}, {"embed_cls": True}])
def test_towers_that_cannot_be_cut_are_refused(change: dict[str, object]) -> None:
    model = CustomTextCLIP(embed_dim=24, vision_cfg=VISION, text_cfg={**TEXT, **change})
    assert text_part(model) is None
    with pytest.raises(TypeError, match="cannot be cut"):
        ClipTextTower(model, SimpleTokenizer())


def test_unknown_parts_names_what_is_cut_off(resnet: ClipBackbone) -> None:
    text = resnet.text
    assert text is not None
    found = text.unknown_parts(["cat", "zebra " * 76, ""])
    assert set(found) == {"zebra " * 76, ""}
    assert "76 tokens, the context holds 75" in found["zebra " * 76]


def test_unknown_words_of_a_word_level_tokenizer() -> None:
    from ltbench.backbones.registry import open_backbone

    text = open_backbone("tiny-clip", weights="random").text
    assert text is not None
    found = text.unknown_parts(["car", "quokka"])
    assert list(found) == ["quokka"]
    assert "quokka" in found["quokka"]


def test_logit_scale_and_shared_weights(resnet: ClipBackbone) -> None:
    model: CLIP = small_resnet()
    tower = ClipTextTower(model, SimpleTokenizer())
    assert tower.logit_scale == pytest.approx(1 / 0.07, rel=1e-5)
    assert tower.token_embedding.weight is model.token_embedding.weight
    assert (tower.context_length, tower.width) == (77, 32)
