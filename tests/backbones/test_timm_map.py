"""Models of timm: the last feature map, where there is one."""

from __future__ import annotations

import pytest
import torch

from ltbench.backbones.registry import open_backbone


def test_the_map_of_a_convolutional_model_pools_to_its_feature() -> None:
    backbone = open_backbone("timm:resnet10t", weights="random")
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        pooled, regions = backbone.encode_regions(images)
        torch.testing.assert_close(pooled, backbone.encode_global(images))
    assert regions.shape == (2, 4, backbone.card.dim)
    torch.testing.assert_close(regions.mean(dim=1), pooled)
    # Nothing caches it: it is for methods that train the tower.
    assert not backbone.offers("region")


def test_a_model_that_ends_in_tokens_has_no_map() -> None:
    backbone = open_backbone("timm:vit_tiny_patch16_224", weights="random")
    with torch.no_grad(), pytest.raises(TypeError, match="offers no regions"):
        backbone.encode_regions(torch.zeros(1, 3, 224, 224))


def test_a_model_that_ends_in_several_maps_has_none() -> None:
    backbone = open_backbone("timm:crossvit_tiny_240", weights="random")
    with torch.no_grad(), pytest.raises(TypeError, match="offers no regions"):
        backbone.encode_regions(torch.zeros(1, 3, 240, 240))
