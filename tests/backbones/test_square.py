"""An encoder behind a square resize: another preprocessing and card, the same towers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from ltbench.backbones.base import Backbone
from ltbench.backbones.registry import open_backbone
from ltbench.backbones.square import SquareImages
from ltbench.engine.needs import behind_preprocessing
from ltbench.method import Needs
from ltbench.plugin.errors import UserError


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
