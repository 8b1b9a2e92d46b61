"""Views of an image are functions of the image and their name."""

from __future__ import annotations

import numpy as np

from ltbench.backbones.cache import View, flip, seeded_view
from ltbench.backbones.views import RandomResizedCrop

from ..conftest import noise_image


def test_views_are_functions_of_image_and_name() -> None:
    image = noise_image(0, 50)
    crop = RandomResizedCrop(32)
    view, other = seeded_view(crop.name, 0, crop), seeded_view(crop.name, 1, crop)
    sha, shb = "ab" * 32, "cd" * 32
    assert view.apply(image, sha).tobytes() == view.apply(image, sha).tobytes()
    assert view.apply(image, sha).tobytes() != view.apply(image, shb).tobytes()
    assert view.apply(image, sha).tobytes() != other.apply(image, sha).tobytes()
    assert seeded_view(crop.name, 0, crop, seed=1) != view
    assert RandomResizedCrop(32, area=(0.5, 1.0)).name != crop.name
    assert View("identity").apply(image, sha) is image
    left = flip().apply(image, sha)
    assert left.getpixel((0, 3)) == image.getpixel((49, 3))


def test_random_crops_stay_inside_and_in_range() -> None:
    crop = RandomResizedCrop(16, area=(0.2, 0.6), flip=0.0)
    rng = np.random.default_rng(0)
    boxes = np.array([crop._box(60, 40, rng) for _ in range(300)])
    left, top, width, height = boxes.T
    assert (left >= 0).all()
    assert (top >= 0).all()
    assert (left + width <= 60).all()
    assert (top + height <= 40).all()
    assert width.max() > 40 > 22 > width.min()
    area = width * height / 2400
    assert 0.18 < area.min() < 0.25
    assert 0.55 < area.max() < 0.62
    # Nothing fits in a ribbon: the largest centred crop within the range of aspects.
    assert crop._box(600, 3, rng) == (298, 0, 4, 3)
    assert crop(noise_image(0, 50), rng).size == (16, 16)
