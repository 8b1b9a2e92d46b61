"""The mean token of CLIP's attention pool, on small towers and on the true RN50 and RN101 at 224 and 448 pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ltbench.backbones.base import Backbone
from ltbench.backbones.clip_backbone import ClipBackbone
from ltbench.backbones.regions import attention_pool, mean_token_offset
from ltbench.backbones.registry import open_backbone
from ltbench.backbones.square import SquareImages
from tests.conftest import SHARED

from .conftest import SIDE, as_backbone, small_resnet

GOLDEN = SHARED / "golden" / "limited-labels" / "dualcoop_attention_conv.npz"


def projected_tokens(visual: torch.nn.Module, images: Tensor) -> Tensor:
    """Mean token and places through the value and output projection, by open_clip's own modules."""
    pool = visual.attnpool
    x = visual.layer4(visual.layer3(visual.layer2(visual.layer1(visual.stem(images)))))
    positions = pool.positional_embedding
    side, wanted = round((len(positions) - 1) ** 0.5), x.shape[-1]
    if side != wanted:
        grid = positions[1:].T.reshape(1, -1, side, side)
        grid = interpolate(grid, size=(wanted, wanted), mode="bicubic", align_corners=False)
        positions = torch.cat([positions[:1], grid.flatten(2)[0].T])
    tokens = torch.cat([x.mean(dim=(2, 3))[:, None], x.flatten(2).transpose(1, 2)], dim=1) + positions
    return pool.c_proj(pool.v_proj(tokens))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clip-rn50", "clip-rn101"])
def test_true_towers_equal_open_clip_at_both_sizes(name: str) -> None:
    backbone = open_backbone(name, weights="random")
    visual = backbone.visual
    assert visual is not None
    for parameter_name, parameter in visual.named_parameters():
        if parameter_name.endswith("bn3.weight"):
            torch.nn.init.constant_(parameter, 0.3)
    for size, places in ((224, 49), (448, 196)):
        image = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(size))
        behind: Backbone = SquareImages(backbone, size, own_statistics=True)
        with torch.no_grad():
            _, regions = behind.encode_regions(image)
            mean = behind.mean_token(regions)
            expected = projected_tokens(visual, image)
        assert mean is not None
        assert regions.shape[1] == places
        assert expected.abs().max() > 0.01
        torch.testing.assert_close(torch.cat([mean[:, None], regions], dim=1), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("side", [SIDE, 2 * SIDE])
def test_small_towers_equal_open_clip_and_need_their_positions(side: int) -> None:
    model = small_resnet()
    torch.nn.init.normal_(model.visual.attnpool.positional_embedding, std=1.0)
    backbone = as_backbone(model, side=side)
    images = torch.randn(2, 3, side, side)
    with torch.no_grad():
        _, regions = backbone.encode_regions(images)
        mean = backbone.mean_token(regions)
        expected = projected_tokens(model.visual, images)[:, 0]
    assert mean is not None
    torch.testing.assert_close(mean, expected, atol=1e-5, rtol=1e-5)
    assert (mean - regions.mean(dim=1)).abs().max() > 0.01


def test_golden_attention_conv() -> None:
    if not GOLDEN.is_file():
        pytest.skip("golden vectors not found (../shared/golden/limited-labels)")
    from open_clip.modified_resnet import AttentionPool2d

    arrays = np.load(GOLDEN)
    cases = sorted({name.split("__")[0] for name in arrays.files})
    assert "same" in cases
    for case in cases:
        given = {name.split("__")[1]: torch.from_numpy(arrays[name]) for name in arrays.files if name.startswith(case)}
        positions, x = given["positional_embedding"], given["x"]
        width, out = positions.shape[1], given["out"]
        pool = AttentionPool2d(round((len(positions) - 1) ** 0.5), width, 32, out.shape[1]).double()
        pool.load_state_dict({
            "positional_embedding": positions,
            **{f"{p}_proj.{w}": given[f"{p}_proj_{w}"] for p in "qkvc" for w in ("weight", "bias")},
        })  # fmt: skip
        with torch.no_grad():
            _, regions = attention_pool(pool, x)
            mean = regions.mean(dim=1) + mean_token_offset(pool, *x.shape[2:])
        found = torch.cat([mean[:, None], regions], dim=1).transpose(1, 2)
        torch.testing.assert_close(found, out, atol=1e-10, rtol=1e-10)


def test_transformers_have_no_mean_token(vit: ClipBackbone, resnet: ClipBackbone) -> None:
    assert vit.mean_token(torch.zeros(1, 16, 24)) is None
    with pytest.raises(ValueError, match="regions of a square map, got 5"):
        resnet.mean_token(torch.zeros(1, 5, 24))
