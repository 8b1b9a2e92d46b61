"""Training views of the release: squeezed to a square, a patch painted over, two random operations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as image_module
from PIL import ImageDraw, ImageEnhance, ImageOps
from PIL.Image import Image

LEVELS = 9
"""Magnitudes of every operation, the weakest (no change) left out."""

_GREY = (128, 128, 128)
_PATCH = (125, 122, 113)


def paint_patch(image: Image, factor: float, down: int, across: int, colour: tuple[int, int, int]) -> Image:
    """The image with a rectangle of one colour over it, ``factor`` of each side long, cut off at the borders.

    As in the release, its height follows the image's width and its width the image's height, which makes a difference
    for images that are not square only. Golden key: cutout_pil.

    Args:
        down, across: its centre, in pixels from the top and from the left.
    """
    width, height = image.size
    tall, wide = int(factor * width + 0.5) // 2, int(factor * height + 0.5) // 2
    top, bottom = (min(max(down + half, 0), width) for half in (-tall, tall))
    left, right = (min(max(across + half, 0), height) for half in (-wide, wide))
    painted = image.copy()
    ImageDraw.Draw(painted).rectangle((left, top, right, bottom), fill=colour)
    return painted


def _slanted(image: Image, matrix: tuple[float, ...], smooth: bool) -> Image:
    how = image_module.Resampling.BICUBIC if smooth else image_module.Resampling.NEAREST
    return image.transform(image.size, image_module.Transform.AFFINE, matrix, how, fillcolor=_GREY)


def _turned(image: Image, degrees: float) -> Image:
    turned = image.convert("RGBA").rotate(degrees)
    return image_module.composite(turned, image_module.new("RGBA", turned.size, (128,) * 4), turned).convert("RGB")


def _small_patch(image: Image, size: int, rng: np.random.Generator) -> Image:
    centre = [int(rng.integers(side)) for side in image.size]
    half = size // 2
    box = [max(0, c - half) for c in centre], [min(s, c + half) - 1 for c, s in zip(centre, image.size, strict=True)]
    painted = image.copy()
    ImageDraw.Draw(painted).rectangle((*box[0], *box[1]), fill=_PATCH)
    return painted


def _levels(low: float, high: float) -> npt.NDArray[np.float64]:
    return np.linspace(low, high, LEVELS + 1)


Operation = Callable[[Image, Any, int, np.random.Generator], Image]

#: Name → magnitudes by level 0 to 9, and what happens with a magnitude and a sign.
OPERATIONS: dict[str, tuple[npt.NDArray[np.float64], Operation]] = {
    "invert": (_levels(0, 0), lambda image, m, sign, rng: ImageOps.invert(image)),
    "cutout": (_levels(0, 20).round(), lambda image, m, sign, rng: _small_patch(image, int(m), rng)),
    "sharpness": (_levels(0, 0.9), lambda image, m, sign, rng: ImageEnhance.Sharpness(image).enhance(1 + sign * m)),
    "autocontrast": (_levels(0, 0), lambda image, m, sign, rng: ImageOps.autocontrast(image)),
    "posterize": (_levels(8, 4).round(), lambda image, m, sign, rng: ImageOps.posterize(image, int(m))),
    "shear-x": (_levels(0, 0.3), lambda image, m, sign, rng: _slanted(image, (1, sign * m, 0, 0, 1, 0), True)),
    "shear-y": (_levels(0, 0.3), lambda image, m, sign, rng: _slanted(image, (1, 0, 0, sign * m, 1, 0), True)),
    "translate-x": (
        _levels(0, 150 / 331),
        lambda image, m, sign, rng: _slanted(image, (1, 0, sign * m * image.width, 0, 1, 0), False),
    ),
    "translate-y": (
        _levels(0, 150 / 331),
        lambda image, m, sign, rng: _slanted(image, (1, 0, 0, 0, 1, sign * m * image.height), False),
    ),
    # The package turns one way only.
    "rotate": (_levels(0, 30), lambda image, m, sign, rng: _turned(image, m)),
    "equalize": (_levels(0, 0), lambda image, m, sign, rng: ImageOps.equalize(image)),
    "contrast": (_levels(0, 0.9), lambda image, m, sign, rng: ImageEnhance.Contrast(image).enhance(1 + sign * m)),
    "color": (_levels(0, 0.9), lambda image, m, sign, rng: ImageEnhance.Color(image).enhance(1 + sign * m)),
    "solarize": (_levels(256, 0), lambda image, m, sign, rng: ImageOps.solarize(image, m)),
    "brightness": (_levels(0, 0.9), lambda image, m, sign, rng: ImageEnhance.Brightness(image).enhance(1 + sign * m)),
}


def random_operations(image: Image, rng: np.random.Generator) -> Image:
    """Two operations of 15, each with one of 9 magnitudes, drawn evenly; each happens with probability one half.

    Source: the package ``randaugment`` 1.0.2 that the release calls (an operation may be drawn twice), which is not the
    procedure of the paper of that name.
    """
    names = list(OPERATIONS)
    drawn = [(names[int(rng.integers(len(names)))], 1 + int(rng.integers(LEVELS))) for _ in range(2)]
    for name, level in drawn:
        if rng.random() < 0.5:
            magnitudes, operation = OPERATIONS[name]
            image = operation(image, float(magnitudes[level]), int(rng.choice((-1, 1))), rng)
    return image


@dataclass(frozen=True)
class CutoutRandAugment:
    """Resize to a square, paint a patch of a random colour over it, then :func:`random_operations`.

    Attributes:
        size: side of the square in pixels; None leaves the shape of the image alone.
        cutout: side of the patch, as a share of the image's.
    """

    size: int | None
    cutout: float = 0.5

    @property
    def name(self) -> str:
        """Names the transform and its parameters."""
        return f"cutout-randaugment size={self.size} cutout={self.cutout}"

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        """Draw one view of an RGB image."""
        if self.size is not None:
            image = image.resize((self.size, self.size), image_module.Resampling.BILINEAR)
        # The bounds are exchanged as in paint_patch.
        down, across = int(rng.integers(image.width)), int(rng.integers(image.height))
        red, green, blue = (int(value) for value in rng.integers(256, size=3))
        return random_operations(paint_patch(image, self.cutout, down, across, (red, green, blue)), rng)
