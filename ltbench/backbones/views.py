"""Views of an image: the versions of it that are encoded and cached."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

Transform = Callable[["Image", np.random.Generator], "Image"]


@dataclass(frozen=True)
class View:
    """One version of every image.

    Attributes:
        id: names the view in the cache, so it must name everything the result depends on: the transform, its
            parameters, the seed.
        transform: RGB image and generator → image; None leaves the image as it is. The generator depends on ``id``
            and the image's content only, so that a view is the same whatever is encoded with it.
    """

    id: str
    transform: Transform | None = None

    @property
    def whole(self) -> bool:
        """Whether it shows all of the image, so that one that was decoded at a part of its size will do."""
        return self.transform is None or self.transform is mirror

    def apply(self, image: Image, sha256: str) -> Image:
        """The view of one image; ``sha256`` is the hash of its content."""
        if self.transform is None:
            return image
        rng = np.random.default_rng([zlib.crc32(self.id.encode()), int(sha256[:16], 16)])
        return self.transform(image, rng)


def mirror(image: Image, rng: np.random.Generator) -> Image:
    """The image, left and right exchanged."""
    from PIL import ImageOps

    return ImageOps.mirror(image)


def identity() -> View:
    """The image as it is."""
    return View("identity")


def flip() -> View:
    """The mirrored image."""
    return View("hflip", mirror)


def seeded_view(name: str, k: int, transform: Transform, seed: int = 0) -> View:
    """The ``k``-th random view; it does not depend on how many there are.

    Args:
        name: names the transform and its parameters.
        k: number of the view.
        transform: RGB image and generator → image.
        seed: another seed gives other views.
    """
    return View(f"{name} seed={seed} view={k}", transform)


@dataclass(frozen=True)
class RandomResizedCrop:
    """Random crop resized to a square, mirrored half of the time (torchvision's ``RandomResizedCrop`` and flip).

    Attributes:
        size: side of the result in pixels.
        area: range of the crop's share of the image area.
        aspect: range of width over height, drawn log-uniformly.
        flip: probability of mirroring.
    """

    size: int
    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5

    @property
    def name(self) -> str:
        """Names the transform and its parameters, for view ids."""
        return f"random-resized-crop {self.size} area={self.area} aspect={self.aspect} flip={self.flip}"

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        """Draw one view."""
        from PIL import Image as image_module
        from PIL import ImageOps

        left, top, width, height = self._box(image.width, image.height, rng)
        crop = image.resize(
            (self.size, self.size), image_module.Resampling.BICUBIC, box=(left, top, left + width, top + height)
        )
        return ImageOps.mirror(crop) if rng.random() < self.flip else crop

    def _box(self, width: int, height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        for _ in range(10):
            area = width * height * rng.uniform(*self.area)
            aspect = float(np.exp(rng.uniform(np.log(self.aspect[0]), np.log(self.aspect[1]))))
            w, h = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
            if 0 < w <= width and 0 < h <= height:
                return int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1)), w, h
        # No crop fitted: the largest centred one within the range of aspects.
        ratio = min(max(width / height, self.aspect[0]), self.aspect[1])
        w, h = min(width, round(height * ratio)), min(height, round(width / ratio))
        return (width - w) // 2, (height - h) // 2, w, h
