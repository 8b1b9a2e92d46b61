"""An encoder behind a square resize: another preprocessing and card, the same towers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from ltbench.backbones.base import Backbone
from ltbench.backbones.clip_backbone import ClipBackbone
from ltbench.backbones.regions import attention_pool, trunk
from ltbench.backbones.registry import open_backbone
from ltbench.backbones.square import SquareImages
from ltbench.engine.needs import behind_preprocessing
from ltbench.method import Needs
from ltbench.plugin.errors import UserError

from .conftest import as_backbone, small_vit


@pytest.fixture(scope="module")
def inner() -> Backbone:
    return open_backbone("tiny-clip", weights="random", device="cpu")


def test_whole_images_become_squares_with_imagenet_statistics(inner: Backbone) -> None:
    pixels = np.zeros((64, 256, 3), dtype=np.uint8)
    pixels[:, :4] = 255  # the border that a centre crop would cut off
    square = SquareImages(inner).preprocess(Image.fromarray(pixels))
    assert square.shape == (3, 64, 64)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    assert (square[:, 32, 0] > square[:, 32, 32] + 2).all()
    torch.testing.assert_close(square[:, 32, 32], -mean / std, atol=1e-6, rtol=0)
    cut = inner.preprocess(Image.fromarray(pixels))
    assert torch.equal(cut, cut[:, :1, :1].expand_as(cut))


def test_towers_are_shared_and_the_card_states_the_difference(inner: Backbone) -> None:
    square = SquareImages(inner)
    assert square.visual is inner.visual
    assert square.text is inner.text
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    assert torch.equal(square.encode_global(images), inner.encode_global(images))
    assert torch.equal(square.encode_regions(images)[1], inner.encode_regions(images)[1])
    assert "both sides to 64 (bilinear" in square.card.transform
    assert square.card.transform_sha256 != inner.card.transform_sha256
    assert square.card.model_copy(update={"transform": inner.card.transform}) == inner.card


def test_a_method_asks_for_it(inner: Backbone) -> None:
    assert behind_preprocessing(inner, Needs()) is inner
    assert isinstance(behind_preprocessing(inner, Needs(images="square")), SquareImages)
    blind = type("Blind", (Backbone,), {"preprocess": None, "encode_global": None})(inner.card)
    with pytest.raises(UserError, match="backbone tiny-clip sees no images"):
        behind_preprocessing(blind, Needs(images="square"))


def test_squeezed_images_keep_the_statistics_of_the_encoder_and_may_have_another_size(inner: Backbone) -> None:
    behind = behind_preprocessing(inner, Needs(images="squeezed", image_size=96))
    assert isinstance(inner, ClipBackbone)
    pixels = np.zeros((64, 256, 3), dtype=np.uint8)
    pixels[:, :4] = 255
    image = behind.preprocess(Image.fromarray(pixels))
    mean, std = (torch.tensor(values) for values in (inner.preprocessing.mean, inner.preprocessing.std))
    assert image.shape == (3, 96, 96)
    torch.testing.assert_close(image[:, 48, 48], -mean / std, atol=1e-6, rtol=0)
    assert (image[:, 48, 0] > image[:, 48, 48] + 1).all()
    assert behind.card.image_size == 96
    assert "both sides to 96 (bilinear" in behind.card.transform
    with torch.no_grad():
        pooled, regions = behind.encode_regions(image[None])
        torch.testing.assert_close(behind.encode_global(image[None]), pooled, atol=1e-6, rtol=0)
        assert regions.shape[1] > inner.encode_regions(image[None, :, :64, :64])[1].shape[1]
    assert behind.mean_token(regions) is not None


@torch.no_grad()
def test_a_map_is_fitted_to_the_grid_of_the_pool(inner: Backbone) -> None:
    """As DualCoOp's Table 6 has it for CLIP's own pooling of larger images: places are averaged, positions stay."""
    assert isinstance(inner, ClipBackbone)
    fitted = behind_preprocessing(inner, Needs(images="squeezed-fitted", image_size=128))
    plain = behind_preprocessing(inner, Needs(images="squeezed", image_size=128))
    assert fitted.card.transform == plain.card.transform + ", map resized to the grid of the attention pool"
    images = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(2))
    pool, wide = inner.tower.attnpool, trunk(inner.tower, images)
    side = round((len(pool.positional_embedding) - 1) ** 0.5)
    assert wide.shape[-1] == 2 * side
    halved = wide.unflatten(3, (side, 2)).mean(dim=4).unflatten(2, (side, 2)).mean(dim=3)
    expected = attention_pool(pool, halved)[0]
    torch.testing.assert_close(fitted.encode_global(images), expected, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(plain.encode_global(images), expected, atol=1e-3)
    torch.testing.assert_close(fitted.encode_regions(images)[0], expected, atol=1e-5, rtol=1e-4)
    assert torch.equal(fitted.encode_regions(images)[1], plain.encode_regions(images)[1])
    # At the encoder's own size there is nothing to fit.
    own = behind_preprocessing(inner, Needs(images="squeezed-fitted"))
    small = images[..., :64, :64]
    torch.testing.assert_close(own.encode_global(small), inner.encode_global(small), atol=1e-5, rtol=1e-4)
    with pytest.raises(UserError, match="resizes the map before an attention pool, and backbone small has none"):
        behind_preprocessing(as_backbone(small_vit()), Needs(images="squeezed-fitted"))


def test_what_cannot_be_squeezed_is_refused(inner: Backbone) -> None:
    with pytest.raises(UserError, match="resizes images to 448 pixels, and backbone small takes 64 only"):
        SquareImages(as_backbone(small_vit()), 448)
    other = type("Other", (Backbone,), {"preprocess": None, "encode_global": None})(inner.card, inner.visual)
    with pytest.raises(UserError, match="does not say how"):
        behind_preprocessing(other, Needs(images="squeezed"))
    with pytest.raises(ValueError, match="image_size goes with"):
        behind_preprocessing(inner, Needs(image_size=448))
