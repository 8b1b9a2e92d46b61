"""Arithmetic and layout of towers: what bfloat16 changes, and which towers encode channels-last."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from ltbench.backbones.acceleration import unaccelerated
from ltbench.backbones.base import Backbone
from ltbench.backbones.clip_backbone import ClipBackbone
from ltbench.backbones.precision import channels_last
from ltbench.backbones.registry import open_backbone
from ltbench.backbones.text import ClipTextTower
from ltbench.nn import PromptLearner

NAMES = ("aeroplane", "cat", "dining table", "tv monitor")


@pytest.fixture(scope="module")
def exact() -> Backbone:
    return open_backbone("clip-rn50", weights="random")


@pytest.fixture(scope="module")
def quick() -> Backbone:
    return open_backbone("clip-rn50", weights="random", dtype="bfloat16")


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(3, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def test_bfloat16_features_of_rn50_point_where_those_of_float32_do(
    exact: Backbone, quick: Backbone, images: Tensor
) -> None:
    assert exact.card.weights_sha256 == quick.card.weights_sha256
    with torch.no_grad():
        pairs = list(zip(exact.encode_regions(images), quick.encode_regions(images), strict=True))
    for one, other in pairs:
        assert other.dtype == torch.float32
        assert not torch.equal(one, other)
        assert float(cosine_similarity(one, other, dim=-1).min()) >= 0.9999
    assert quick.card.dtype == "bfloat16"


def test_bfloat16_prompts_have_the_features_and_gradients_of_float32(exact: Backbone, quick: Backbone) -> None:
    found = []
    for backbone in (exact, quick):
        assert backbone.text is not None
        learner = PromptLearner(backbone.text, NAMES, 4, "a photo of a", seed=0)
        features = learner.class_features()
        assert features.dtype == torch.float32
        target = torch.randn(features.shape, generator=torch.Generator().manual_seed(0))
        (features * target).sum().backward()
        assert learner.ctx.grad is not None
        assert learner.ctx.grad.dtype == torch.float32
        encoded = backbone.text.encode(NAMES)
        assert encoded.dtype == torch.float32
        found.append((features.detach(), encoded, learner.ctx.grad.reshape(1, -1)))
    (one, plain, gradient), (other, quick_plain, quick_gradient) = found
    assert not torch.equal(one, other)
    assert float(cosine_similarity(one, other).min()) >= 0.9999
    assert float(cosine_similarity(plain, quick_plain).min()) >= 0.9999
    assert float(cosine_similarity(gradient, quick_gradient).min()) >= 0.999


def test_matrices_that_were_cast_follow_the_weights_and_are_not_counted() -> None:
    quick, exact = (open_backbone("tiny-clip", dtype=dtype) for dtype in ("bfloat16", "float32"))
    text = quick.text
    assert isinstance(text, ClipTextTower)
    assert exact.text is not None
    before = text.encode(NAMES)
    assert torch.equal(text.encode(NAMES), before)
    assert [p.dtype for p in text.parameters()] == [p.dtype for p in exact.text.parameters()]
    assert text.state_dict().keys() == exact.text.state_dict().keys()
    with torch.no_grad():
        for parameter in text.transformer.parameters():
            parameter.mul_(1.5)
    assert float((text.encode(NAMES) - before).abs().max()) > 0.01


def test_resnets_of_released_size_encode_channels_last(exact: Backbone, images: Tensor) -> None:
    assert exact.card.revision.startswith("ltbench-encoder-1 channels-last folded-norms shared-prefix open_clip-")
    assert isinstance(exact, ClipBackbone)
    layouts = []
    hook = exact.tower.conv1.register_forward_pre_hook(
        lambda _, given: layouts.append(given[0].is_contiguous(memory_format=torch.channels_last))
    )
    with torch.no_grad():
        pooled, regions = exact.encode_regions(images)
        alone = exact.encode_global(images)
        assert layouts == [True, True]
        hook.remove()
        plain = exact.tower(images)
    for found in (pooled, alone):
        torch.testing.assert_close(found, plain, atol=1e-5, rtol=1e-4)
    assert regions.shape == (3, 49, 1024)


def test_resnets_of_timm_encode_channels_last_and_others_do_not() -> None:
    resnet = open_backbone("timm:resnet18", weights="random")
    assert "channels-last" in resnet.card.revision
    pixels = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(resnet.encode_global(pixels), resnet.visual(pixels), atol=1e-5, rtol=1e-4)  # type: ignore[misc]
    assert "channels-last" not in open_backbone("timm:vit_tiny_patch16_224", weights="random").card.revision


def test_the_bundled_tower_keeps_its_layout_and_bits() -> None:
    backbone = open_backbone("tiny-clip")
    assert isinstance(backbone, ClipBackbone)
    assert backbone.card.revision.startswith("ltbench-encoder-1 open_clip-")
    pixels = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(backbone.encode_global(pixels), backbone.tower(pixels))


def test_float32_on_cuda_keeps_the_layout_that_was_measured() -> None:
    assert channels_last("float32", "cpu", True, 224)
    assert not channels_last("float32", "cuda", True, 224)
    assert not channels_last("float32", "cpu", True, 64)
    assert not channels_last("float32", "cpu", False, 224)
    assert channels_last("bfloat16", "cuda:0", False, 224)


def test_processors_without_amx_are_named(tmp_path: Path) -> None:
    with_amx, without, arm = (tmp_path / name for name in ("amx", "avx", "arm"))
    with_amx.write_text("processor : 0\nflags\t\t: fpu avx512_bf16 amx_bf16 amx_tile\n", encoding="utf-8")
    without.write_text("processor : 0\nflags\t\t: fpu avx512_bf16\n", encoding="utf-8")
    arm.write_text("processor : 0\nFeatures\t: fp asimd\n", encoding="utf-8")
    assert unaccelerated("bfloat16", "cpu", with_amx) == ""
    for file in (without, arm):
        assert "no AMX" in unaccelerated("bfloat16", "auto", file)
    assert "does not say" in unaccelerated("bfloat16", "cpu", tmp_path / "nowhere")
    assert unaccelerated("float32", "cpu", without) == ""
    assert unaccelerated("bfloat16", "cuda:1", without) == ""
