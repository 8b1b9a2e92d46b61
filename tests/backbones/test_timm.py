"""Towers of timm: random weights and other input sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ltbench.backbones.registry import open_backbone
from ltbench.plugin.errors import UserError

from .conftest import noise_image


def test_timm_with_random_weights(tmp_path: Path) -> None:
    import timm

    one = open_backbone("timm:test_resnet", weights="random", seed=0)
    two = open_backbone("timm:test_resnet", weights="random", seed=0)
    assert one.card == two.card
    assert not one.card.ranked
    assert one.card.offers == ("image", "global")
    assert one.text is None
    image = one.preprocess(noise_image(0, 200))[None]
    assert image.shape[-1] == one.card.image_size
    features = one.encode_global(image)
    assert features.shape == (1, one.card.dim)
    assert features.std() > 0
    pooled, places = one.encode_regions(image)
    torch.testing.assert_close(pooled, features)
    torch.testing.assert_close(places.mean(1), pooled)
    tokens = open_backbone("timm:test_vit", weights="random", seed=0)
    with pytest.raises(TypeError, match="offers no regions"):
        tokens.encode_regions(tokens.preprocess(noise_image(0, 200))[None])

    model = timm.create_model("test_resnet", num_classes=7)
    torch.save(model.state_dict(), tmp_path / "w.pt")
    loaded = open_backbone("timm:test_resnet", weights=str(tmp_path / "w.pt"))
    with torch.no_grad():
        model.eval()
        expected = model.forward_head(model.forward_features(image), pre_logits=True)
        torch.testing.assert_close(loaded.encode_global(image), expected)
    other = timm.create_model("test_vit", num_classes=7)
    torch.save(other.state_dict(), tmp_path / "other.pt")
    with pytest.raises(UserError, match="do not fit timm:test_resnet"):
        open_backbone("timm:test_resnet", weights=str(tmp_path / "other.pt"))
    bare = next(n for n in timm.list_models() if not timm.list_pretrained(f"{n}.*"))
    with pytest.raises(UserError, match=f"no released weights of {bare}"):
        open_backbone(f"timm:{bare}")


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_timm_with_another_input_size(name: str) -> None:
    backbone = open_backbone(f"timm:{name}", weights="random", image_size=96)
    assert backbone.card.image_size == 96
    image = backbone.preprocess(noise_image(0, 200))[None]
    assert image.shape == (1, 3, 96, 96)
    assert backbone.encode_global(image).shape == (1, backbone.card.dim)
