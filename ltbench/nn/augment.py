"""Random views of training images: colour distortion, crop, square, mirror. For ``Augment(kind="live" or "views")``.

Each transform takes an RGB image and a generator and returns an image; its ``name`` states all that the result depends
on.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ColourDistortion:
    """Random brightness, contrast, saturation, hue and order of the channels (SSD, Liu et al., ECCV 2016, section 2.2).

    Each of the five happens with probability one half, on its own: brightness adds a number, contrast multiplies by
    one, before or after saturation and hue at random; saturation and hue change in HSV. Nothing is clipped in between,
    so values may leave 0 to 255 on the way and come back.

    The releases of DB and DR do the same in the order BGR. That gives the same distribution: hue and saturation do not
    depend on the order, and the last step permutes it at random. Where all three channels are below 0 their conversion
    brightens the pixel again; here it stays black.

    Attributes:
        brightness: largest number added or subtracted, of 255.
        contrast: range of the factor.
        saturation: range of the factor.
        hue: largest turn, in degrees.
        probability: of each of the five.
    """

    brightness: float = 32.0
    contrast: tuple[float, float] = (0.5, 1.5)
    saturation: tuple[float, float] = (0.5, 1.5)
    hue: float = 18.0
    probability: float = 0.5

    def __call__(self, pixels: Pixels, rng: np.random.Generator) -> Pixels:
        """Distort RGB float32 [3, H, W], 0 to 255; the result is not clipped."""

        def happens() -> bool:
            return bool(rng.random() < self.probability)

        if happens():
            pixels = pixels + np.float32(rng.uniform(-self.brightness, self.brightness))
        contrast_first = bool(rng.integers(2))
        if contrast_first and happens():
            pixels = pixels * np.float32(rng.uniform(*self.contrast))
        if happens():
            pixels = saturated(pixels, rng.uniform(*self.saturation))
        if happens():
            pixels = turned(pixels, rng.uniform(-self.hue, self.hue))
        if not contrast_first and happens():
            pixels = pixels * np.float32(rng.uniform(*self.contrast))
        if happens():
            pixels = pixels[rng.permutation(3)]
        return pixels


def saturated(pixels: Pixels, factor: float) -> Pixels:
    """RGB [3, H, W] with the saturation of HSV multiplied, hue and value kept."""
    value = np.maximum(np.maximum(pixels[0], pixels[1]), pixels[2])
    return np.asarray(value - (value - pixels) * np.float32(factor), dtype=np.float32)


def turned(pixels: Pixels, degrees: float) -> Pixels:
    """RGB [3, H, W] with the hue of HSV turned, saturation and value kept."""
    red, green, blue = pixels
    value = np.maximum(np.maximum(red, green), blue)
    chroma = value - np.minimum(np.minimum(red, green), blue)
    unit = 1 / np.where(chroma > 0, chroma, np.float32(1))
    sector = np.where(
        value == red, (green - blue) * unit, np.where(value == green, (blue - red) * unit + 2, (red - green) * unit + 4)
    )
    sector += np.float32(degrees / 60 % 6)
    result = np.empty_like(pixels)
    for plane, offset in zip(result, (5, 3, 1), strict=True):
        # How far each pixel's hue is from where this channel is least: 0 to 6, after at most two turns.
        steps = sector + np.float32(offset)
        steps -= 6 * (steps >= 6)
        steps -= 6 * (steps >= 6)
        np.minimum(steps, 4 - steps, out=steps)
        np.clip(steps, 0, 1, out=steps)
        np.subtract(value, chroma * steps, out=plane)
    return result


@dataclass(frozen=True)
class DistortedCrop:
    """Colour distortion, a random crop resized to a square, mirrored half of the time: training of the DB and DR code.

    Both sides of the crop are drawn from ``[share, 1]`` of the image's, again while one is more than twice the other
    (after 50 tries: no crop); the position is drawn as the release does, between the first pixel and the last possible.
    The resize changes the aspect and smooths where it shrinks, as the preprocessing of backbones does; the release's
    does not smooth, in training and at test alike.

    Attributes:
        size: side of the square in pixels.
        share: least share of a side.
        distortion: None leaves the colours alone.
        flip: probability of mirroring.
        canvas: the square is put in the middle of a larger one with this side, whose border repeats the outermost
            pixels, because the preprocessing cuts that much off again; see :func:`canvas_for`.
    """

    size: int
    share: float = 0.8
    distortion: ColourDistortion | None = field(default_factory=ColourDistortion)
    flip: float = 0.5
    canvas: int | None = None

    @property
    def name(self) -> str:
        """Names the transform and its parameters."""
        return f"distorted-crop {self.size} share={self.share} {self.distortion} flip={self.flip} canvas={self.canvas}"

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        """Draw one view of an RGB image."""
        from PIL import Image as image_module

        # A crop may come first: the distortion works on each pixel alone.
        crop = np.asarray(image.crop(self.box(image.width, image.height, rng)), dtype=np.float32)
        pixels = np.ascontiguousarray(crop.transpose(2, 0, 1))
        if self.distortion is not None:
            pixels = np.ascontiguousarray(self.distortion(pixels, rng))
        planes = torch.from_numpy(pixels)[None]
        square = interpolate(planes, (self.size, self.size), mode="bilinear", antialias=True)[0]
        view = square.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
        if rng.random() < self.flip:
            view = view[:, ::-1]
        if self.canvas is not None and self.canvas > self.size:
            before = round((self.canvas - self.size) / 2)
            border = (before, self.canvas - self.size - before)
            view = np.pad(view, (border, border, (0, 0)), mode="edge")
        return image_module.fromarray(np.ascontiguousarray(view))

    def box(self, width: int, height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Left, upper, right and lower edge of a crop."""
        for _ in range(50):
            w, h = rng.uniform(self.share, 1) * width, rng.uniform(self.share, 1) * height
            if 0.5 <= h / w <= 2:
                # The release draws from [1, width - w], or [width - w, 1] where that is the right order.
                left, top = (start + (1 - start) * rng.random() for start in (width - w, height - h))
                return int(left), int(top), min(int(left + w), width), min(int(top + h), height)
        return 0, 0, width, height


@dataclass(frozen=True)
class FixedViews:
    """One of k random views of an image, always the same k: they follow from its pixels.

    Attributes:
        transform: draws a view.
        k: number of views.
    """

    transform: DistortedCrop
    k: int

    @property
    def name(self) -> str:
        """Names the transform, its parameters and the number of views."""
        return f"{self.k} of {self.transform.name}"

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        """One of the k views of an RGB image."""
        own = np.random.default_rng([int(rng.integers(self.k)), zlib.crc32(image.tobytes())])
        return self.transform(image, own)


def canvas_for(preprocess: Callable[[Image], Tensor], size: int) -> int:
    """Side of a square image whose middle `size` pixels are all that a backbone's preprocessing lets through.

    Some preprocessings enlarge an image and cut its border off; a view that was made to be the network's input needs a
    border to lose. Measured on an image that brightens from left to right.

    Args:
        preprocess: RGB image → float32 [3, H, W], affine in the pixels.
        size: side of the network's input.

    Returns:
        `size` where nothing is cut off.
    """
    from PIL import Image as image_module

    side = 4 * size

    def seen(row: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        array = np.broadcast_to(row[None, :, None], (side, side, 3)).astype(np.uint8)
        return preprocess(image_module.fromarray(array))[0].double().mean(dim=0).numpy()

    # Not up to 255: a slope near one level a column would round alike in all columns.
    top = 157.0
    black, white = seen(np.zeros(side, dtype=np.float32)), seen(np.full(side, top, dtype=np.float32))
    ramp = ((np.arange(side, dtype=np.float32) + 0.5) * top / side).round()
    shown = (seen(ramp) - black) / (white - black)
    # The slope is the share of the image's width that a pixel of the result stands for.
    slope = np.polyfit(np.arange(len(shown)), shown, 1)[0]
    return max(size, round(1 / float(slope)))
