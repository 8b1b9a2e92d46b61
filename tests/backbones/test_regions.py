"""Region features live in the space of open_clip's own global feature."""

from __future__ import annotations

import pytest
import torch

from ltbench.backbones.clip_backbone import ClipBackbone
from ltbench.backbones.regions import attention_pool, pool_positions, region_kind
from ltbench.backbones.registry import open_backbone

from .conftest import SIDE, as_backbone, small_resnet, small_vit


def test_true_rn50_equals_open_clip() -> None:
    backbone = open_backbone("clip-rn50", weights="random")
    visual = backbone.visual
    assert visual is not None
    for name, parameter in visual.named_parameters():
        if name.endswith("bn3.weight"):
            torch.nn.init.constant_(parameter, 0.3)
    image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    caught: list[torch.Tensor] = []
    handle = visual.attnpool.register_forward_pre_hook(lambda module, args: caught.append(args[0]))
    with torch.no_grad():
        own = visual(image)
        pooled, regions = backbone.encode_regions(image)
        pool = visual.attnpool
        places = caught[0].flatten(2).transpose(1, 2) + pool.positional_embedding[1:]
        expected = pool.c_proj(pool.v_proj(places))
    handle.remove()
    assert regions.shape == (1, 49, 1024)
    assert own.abs().max() > 0.01
    torch.testing.assert_close(pooled, own, atol=1e-5, rtol=0)
    torch.testing.assert_close(regions, expected, atol=1e-5, rtol=0)


def test_small_resnet_equals_open_clip(resnet: ClipBackbone) -> None:
    images = torch.randn(3, 3, SIDE, SIDE)
    assert resnet.visual is not None
    with torch.no_grad():
        pooled, regions = resnet.encode_regions(images)
        own = resnet.visual(images)
        assert own.std(dim=0).mean() > 0.05
        torch.testing.assert_close(pooled, own, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(resnet.encode_global(images), resnet.visual(images), atol=0, rtol=0)
    assert regions.shape == (3, 4, 24)


def test_one_head_pools_the_regions_it_passes_on() -> None:
    """With one attention head the global feature is a convex combination of region features and the mean token's."""
    from open_clip.modified_resnet import AttentionPool2d

    torch.manual_seed(0)
    pool = AttentionPool2d(3, 16, 1, 8).double()
    x = torch.randn(2, 16, 3, 3, dtype=torch.float64)
    with torch.no_grad():
        pooled, regions = attention_pool(pool, x)
        tokens = torch.cat([x.flatten(2).mean(2, keepdim=True), x.flatten(2)], 2).transpose(1, 2)
        tokens = tokens + pool.positional_embedding
        weights = (pool.q_proj(tokens[:, :1]) @ pool.k_proj(tokens).transpose(1, 2) / 4.0).softmax(-1)
        first = pool.c_proj(pool.v_proj(tokens[:, :1]))
        mixed = weights @ torch.cat([first, regions], dim=1)
    torch.testing.assert_close(pooled, mixed[:, 0], atol=1e-12, rtol=0)


def test_other_input_size_resizes_positions_only() -> None:
    model = small_resnet()
    backbone = as_backbone(model, side=2 * SIDE)
    images = torch.randn(1, 3, 2 * SIDE, 2 * SIDE)
    with torch.no_grad():
        pooled, regions = backbone.encode_regions(images)
        torch.testing.assert_close(backbone.encode_global(images), pooled)
    assert regions.shape == (1, 16, 24)
    pool = model.visual.attnpool
    assert pool_positions(pool, 2, 2) is pool.positional_embedding
    wide = pool_positions(pool, 4, 4)
    assert wide.shape == (17, pool.positional_embedding.shape[1])
    torch.testing.assert_close(wide[0], pool.positional_embedding[0])
    constant = torch.nn.Parameter(torch.ones_like(pool.positional_embedding))
    pool.positional_embedding = constant
    torch.testing.assert_close(pool_positions(pool, 4, 4), torch.ones(17, constant.shape[1]))


def test_vit_regions_are_projected_patch_tokens(vit: ClipBackbone) -> None:
    images = torch.randn(2, 3, SIDE, SIDE)
    visual = vit.visual
    assert visual is not None
    visual.output_tokens = True
    try:
        with torch.no_grad():
            own, tokens = visual(images)
    finally:
        visual.output_tokens = False
    with torch.no_grad():
        pooled, regions = vit.encode_regions(images)
    assert regions.shape == (2, 16, 24)
    torch.testing.assert_close(pooled, own, atol=1e-5, rtol=0)
    torch.testing.assert_close(regions, tokens @ visual.proj, atol=1e-5, rtol=0)


@pytest.mark.parametrize("vision", [{"final_ln_after_pool": True, "pool_type": "avg"}, {"attentional_pool": True}])
def test_towers_without_a_definition_offer_no_regions(vision: dict[str, object]) -> None:
    vision = {**vision, "attn_pooler_heads": 2} if "attentional_pool" in vision else vision
    backbone = as_backbone(small_vit(**vision))
    assert region_kind(backbone.visual) == ""
    assert backbone.card.offers == ("image", "global", "text")
    assert backbone.card.region_dim is None
    with pytest.raises(TypeError, match="offers no regions"):
        backbone.encode_regions(torch.zeros(1, 3, SIDE, SIDE))


def test_bfloat16_stays_near_float32() -> None:
    images = torch.randn(4, 3, SIDE, SIDE)
    exact = as_backbone(small_resnet())
    fast = as_backbone(small_resnet(), dtype="bfloat16")
    assert fast.card.dtype == "bfloat16"
    with torch.no_grad():
        a, b = exact.encode_global(images), fast.encode_global(images)
    assert b.dtype == torch.float32
    assert not torch.equal(a, b)
    assert torch.nn.functional.cosine_similarity(a, b).min() > 0.999
