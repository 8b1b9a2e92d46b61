"""Features of image regions that live in the same space as the global feature and the texts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def region_kind(visual: nn.Module) -> str:
    """``attnpool`` (CLIP's ModifiedResNet), ``tokens`` (its VisionTransformer) or an empty string (no regions)."""
    pool = getattr(visual, "attnpool", None)
    if all(hasattr(pool, name) for name in ("q_proj", "k_proj", "v_proj", "c_proj", "positional_embedding")):
        return "attnpool"
    if not all(hasattr(visual, name) for name in ("_embeds", "transformer", "ln_post", "proj", "pool_type")):
        return ""
    plain = getattr(visual, "attn_pool", None) is None and not getattr(visual, "final_ln_after_pool", False)
    return "tokens" if plain and getattr(visual, "pool_type", "") in ("tok", "avg") else ""


def trunk(visual: Any, images: Tensor) -> Tensor:
    """Feature map [n, C, h, w] of a ModifiedResNet, before its attention pool."""
    x: Tensor = visual.layer4(visual.layer3(visual.layer2(visual.layer1(visual.stem(images)))))
    return x


def pool_positions(pool: Any, height: int, width: int) -> Tensor:
    """Positional embedding [1 + h * w, C] of an attention pool, its grid resized (bicubic) for other input sizes."""
    own: Tensor = pool.positional_embedding
    side = round((len(own) - 1) ** 0.5)
    if (height, width) == (side, side):
        return own
    grid = own[1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    grid = functional.interpolate(grid, size=(height, width), mode="bicubic", align_corners=False)
    return torch.cat([own[:1], grid.permute(0, 2, 3, 1).reshape(height * width, -1)])


def fitted(pool: Any, x: Tensor) -> Tensor:
    """Feature map [n, C, h, w] → [n, C, s, s], s the side of the pool's own grid, by adaptive averages."""
    side = round((len(pool.positional_embedding) - 1) ** 0.5)
    return functional.adaptive_avg_pool2d(x, side)


def attention_pool(pool: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """CLIP's attention pool, and what it would pass on from each location alone.

    With tokens t_0 = mean of the map and t_i = its i-th location (row by row), each plus its positional embedding:
    global = c_proj(multi-head attention of t_0 over all tokens), region_i = c_proj(v_proj(t_i)), as in DualCoOp
    (Sun et al. 2022, section 3.3). The mean token is left out because it is no place in the image; what it would give
    follows from the regions (:func:`mean_token_offset`).

    Args:
        pool: open_clip's ``AttentionPool2d``.
        x: feature map [n, C, h, w].

    Returns:
        Global features [n, D] and regions [n, h * w, D], not normalised.
    """
    count, channels, height, width = x.shape
    places = x.flatten(2).transpose(1, 2)
    tokens = torch.cat([places.mean(dim=1, keepdim=True), places], dim=1)
    tokens = tokens + pool_positions(pool, height, width).to(tokens.dtype)

    def heads(y: Tensor) -> Tensor:
        return y.reshape(count, -1, pool.num_heads, channels // pool.num_heads).transpose(1, 2)

    values = pool.v_proj(tokens)
    query, keys = pool.q_proj(tokens[:, :1]), pool.k_proj(tokens)
    attended = functional.scaled_dot_product_attention(heads(query), heads(keys), heads(values))
    pooled: Tensor = pool.c_proj(attended.transpose(1, 2).reshape(count, channels))
    regions: Tensor = pool.c_proj(values[:, 1:])
    return pooled, regions


def mean_token_offset(pool: Any, height: int, width: int) -> Tensor:
    """By how much the mean token's projected feature exceeds the mean of all regions, [D].

    Value and output projection are affine. With places x_i and positions p_i, region_i = P(x_i + p_i) and the mean
    token's feature is P(mean x + p_0), so that it is mean_i region_i + P'(p_0 - mean_i p_i), P' being P without biases.
    """
    positions = pool_positions(pool, height, width)
    difference = positions[0] - positions[1:].mean(dim=0)
    offset: Tensor = pool.c_proj.weight @ (pool.v_proj.weight @ difference)
    return offset


def token_regions(visual: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    """Global features [n, D] and regions [n, L, D] of open_clip's VisionTransformer, not normalised.

    Neither paper nor released code defines regions of a vision transformer; here region_i = proj(ln_post(patch token i)
    of the last block), the map that the class token itself goes through.
    """
    x = visual.transformer(visual._embeds(images))
    pooled, _ = visual._pool(x)
    regions = visual.ln_post(x)[:, 1:]
    if visual.proj is not None:
        pooled, regions = pooled @ visual.proj, regions @ visual.proj
    return pooled, regions
