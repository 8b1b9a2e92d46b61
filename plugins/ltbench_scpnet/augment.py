"""Strong views of the release: three random operations, a grey patch, then a random crop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image as image_module
from PIL import ImageDraw, ImageEnhance, ImageOps
from PIL.Image import Image

from ltbench.method import RandomResizedCrop

_GREY = (125, 123, 114)
_AFFINE = image_module.Transform.AFFINE

#: Name → least and largest magnitude, drawn evenly, and what happens with it.
OPERATIONS: dict[str, tuple[float, float, Callable[[Image, float], Image]]] = {
    "autocontrast": (0, 1, lambda image, m: ImageOps.autocontrast(image)),
    "brightness": (0.05, 0.95, lambda image, m: ImageEnhance.Brightness(image).enhance(m)),
    "color": (0.05, 0.95, lambda image, m: ImageEnhance.Color(image).enhance(m)),
    "contrast": (0.05, 0.95, lambda image, m: ImageEnhance.Contrast(image).enhance(m)),
    "equalize": (0, 1, lambda image, m: ImageOps.equalize(image)),
    "identity": (0, 1, lambda image, m: image),
    "posterize": (4, 8, lambda image, m: ImageOps.posterize(image, int(m))),
    "rotate": (-30, 30, lambda image, m: image.rotate(m)),
    "sharpness": (0.05, 0.95, lambda image, m: ImageEnhance.Sharpness(image).enhance(m)),
    "shear-x": (-0.3, 0.3, lambda image, m: image.transform(image.size, _AFFINE, (1, m, 0, 0, 1, 0))),
    "shear-y": (-0.3, 0.3, lambda image, m: image.transform(image.size, _AFFINE, (1, 0, 0, m, 1, 0))),
    "solarize": (0, 256, lambda image, m: ImageOps.solarize(image, m)),
    "translate-x": (-0.3, 0.3, lambda image, m: image.transform(image.size, _AFFINE, (1, 0, m * image.width, 0, 1, 0))),
    "translate-y": (
        *(-0.3, 0.3),
        lambda image, m: image.transform(image.size, _AFFINE, (1, 0, 0, 0, 1, m * image.height)),
    ),
}


def grey_patch(image: Image, side: float, rng: np.random.Generator) -> Image:
    """The image with a grey square of `side` times its width, somewhere, cut off at the borders."""
    pixels = side * image.width
    x, y = (max(0.0, float(rng.uniform(0, edge)) - pixels / 2) for edge in image.size)
    painted = image.copy()
    right, bottom = min(image.width, x + pixels), min(image.height, y + pixels)
    ImageDraw.Draw(painted).rectangle((int(x), int(y), right, bottom), fill=_GREY)
    return painted


@dataclass(frozen=True)
class Strong:
    """Operations drawn evenly from 14, one may come twice, each with a magnitude of its own; a patch; a crop.

    Attributes:
        size: side of the crop in pixels.
        operations: how many.
        patch: largest side of the patch, as a share of the image's width.
    """

    size: int
    operations: int = 3
    patch: float = 0.5

    @property
    def name(self) -> str:
        """Names the transform and its parameters."""
        return f"scpnet-strong {self.size} operations={self.operations} patch={self.patch}"

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        """Draw one view of an RGB image."""
        names = list(OPERATIONS)
        for number in rng.integers(len(names), size=self.operations):
            low, high, operation = OPERATIONS[names[int(number)]]
            image = operation(image, float(rng.uniform(low, high)))
        image = grey_patch(image, float(rng.uniform(0, self.patch)), rng)
        return RandomResizedCrop(self.size)(image, rng)
