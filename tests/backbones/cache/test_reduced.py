"""How small a picture may be decoded: what each preprocessing says, and who gets it whole all the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ltbench.backbones.cache import FeatureCache, flip, identity, seeded_view
from ltbench.backbones.clip_backbone import Preprocessing
from ltbench.backbones.reduced import least_side
from ltbench.backbones.registry import open_backbone
from ltbench.backbones.square import SquareImages
from ltbench.backbones.views import RandomResizedCrop
from ltbench.data.base import FileImages, ImageRows
from ltbench.data.progress import SILENT
from ltbench.engine.encode import Encoder
from ltbench.engine.seeds import Views
from ltbench.method import Augment, Needs

from ..conftest import Lines

ZERO, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


@pytest.mark.parametrize("mode", ["shortest", "squash", "longest"])
def test_open_clips_transforms_resize_first_and_cut_no_more(mode: str) -> None:
    preprocessing = Preprocessing(224, ZERO, ONE, resize_mode=mode)
    first, *others = preprocessing.transform.transforms
    sizes = [step.size for step in (first, *others) if hasattr(step, "size")]
    assert "Resize" in type(first).__name__
    assert {max(size) if isinstance(size, list | tuple) else size for size in sizes} == {224}
    assert preprocessing.least_side == 448


def test_what_is_cut_from_a_larger_picture_counts_by_that() -> None:
    from timm.data.transforms_factory import create_transform

    for mode in ("center", "squash", "border"):
        transform = create_transform((3, 224, 224), is_training=False, crop_pct=0.875, crop_mode=mode)
        assert least_side(transform) == 512
    assert least_side(create_transform((3, 64, 64), is_training=False, crop_pct=1.0)) == 128
    # What is cut off first is taken from the picture in the file.
    assert least_side(create_transform((3, 224, 224), is_training=False, crop_border_pixels=8)) is None


def test_backbones_say_it_behind_any_preprocessing() -> None:
    backbone = open_backbone("timm:resnet18.a1_in1k", weights="random")
    # Its images are resized to 235 pixels, of which the middle 224 are seen.
    assert backbone.least_side == 470
    assert SquareImages(backbone).least_side == 448
    assert open_backbone("tiny-clip").least_side == 128


class Seen(FileImages):
    """Notes how each file was read."""

    def __init__(self, path: Path, published: bool = False) -> None:
        super().__init__([path], published=published)
        self.sizes: list[tuple[int, int]] = []

    def load(self, row: int) -> Image.Image:
        return self._noted(super().load(row))

    def load_reduced(self, row: int, least: int) -> Image.Image:
        return self._noted(super().load_reduced(row, least))

    def _noted(self, image: Image.Image) -> Image.Image:
        self.sizes.append(image.size)
        return image


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    """A JPEG of 1200 x 900 pixels that is to be turned."""
    coarse = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    noted = Image.Exif()
    noted[0x0112] = 6
    path = tmp_path / "phone.jpg"
    Image.fromarray(coarse).resize((1200, 900), Image.Resampling.BICUBIC).save(path, exif=noted, quality=90)
    return path


WHOLE, QUARTER = (900, 1200), (225, 300)


def test_only_whole_views_are_of_a_reduced_picture(cache: FeatureCache, photograph: Path, lines: Lines) -> None:
    backbone, crop = open_backbone("tiny-clip"), RandomResizedCrop(64)
    images = Seen(photograph)
    views = [identity(), flip(), seeded_view("crop", 0, crop)]
    features = cache.features(backbone, images, ["a"], views=views, workers=1, reporter=lines)
    assert images.sizes == [QUARTER, QUARTER, WHOLE]
    # Alone, each is what it was among others; a selection of rows names them alike.
    for number, view in enumerate(views):
        again = cache.features(backbone, ImageRows(images, [0]), ["b"], views=[view], reporter=lines)
        np.testing.assert_array_equal(again.global_[0, 0], features.global_[0, number])
    assert len(images.sizes) == 3
    # The crop is of the picture in the file, to the bit.
    whole = images.load(0)
    cropped = views[2].apply(whole, images.sha256(0))
    with torch.no_grad():
        exact = backbone.encode_global(backbone.preprocess(cropped)[None])[0].numpy()
        plain = backbone.encode_global(backbone.preprocess(whole)[None])[0].numpy()
    np.testing.assert_allclose(features.global_[0, 2], exact, atol=1e-5)
    close = np.dot(features.global_[0, 0], plain) / np.linalg.norm(features.global_[0, 0]) / np.linalg.norm(plain)
    assert close > 0.999


def test_features_of_before_are_not_taken_for_those_of_reduced_pictures(
    cache: FeatureCache, photograph: Path, lines: Lines
) -> None:
    class AsBefore(FileImages):
        """With a ``load`` of its own and nothing else, as other people's classes have it."""

        def load(self, row: int) -> Image.Image:
            return super().load(row)

    backbone = open_backbone("tiny-clip")
    cache.features(backbone, AsBefore([photograph]), ["a"], reporter=lines)
    cache.features(backbone, FileImages([photograph]), ["a"], reporter=lines)
    assert lines.done == 2


def test_published_pictures_come_whole_under_the_name_that_they_had(
    cache: FeatureCache, photograph: Path, lines: Lines
) -> None:
    images = Seen(photograph, published=True)
    cache.features(open_backbone("tiny-clip"), images, ["a"], views=[identity(), flip()], reporter=lines)
    # As the file has it, not turned.
    assert images.sizes == [(1200, 900)] * 2
    assert images.content_reduced(0, 128) == images.sha256(0)


@pytest.mark.parametrize(
    ("augment", "trained", "sizes"),
    [
        (Augment("none"), "image", [QUARTER]),
        (Augment("flip"), "image", [QUARTER]),
        (Augment("live"), "image", [WHOLE]),
        (Augment("live"), "global", [WHOLE]),
    ],
)
def test_what_training_takes_a_part_of_comes_whole(
    tmp_path: Path, photograph: Path, augment: Augment, trained: str, sizes: list[tuple[int, int]]
) -> None:
    images, backbone = Seen(photograph), open_backbone("tiny-clip")
    encoder = Encoder(backbone, Needs(input=trained), tmp_path, torch.device("cpu"), SILENT)
    inputs = encoder.inputs(images, ["a"], augment, "")
    inputs.get(np.array([0]), Views.of(0, np.array([0]), np.array([0])))
    assert images.sizes == sizes
    # Outside of training the plain view is looked at.
    inputs.get(np.array([0]), None)
    assert images.sizes == [*sizes, QUARTER]
