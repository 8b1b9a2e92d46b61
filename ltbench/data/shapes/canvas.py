"""What a scene is drawn on and with: random numbers, backgrounds, clutter, blending and the lens.

See ``fields`` for the arithmetic that is allowed here. Coverage is counted in whole 1/256 steps, because the sum of
floats depends on the order a library adds them in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

SIZE: Final = 64
"""Images are SIZE x SIZE pixels."""

BACKGROUNDS: Final = ("plain", "shaded", "split", "checkered", "lined")

Plane = NDArray[np.float64]
Counts = NDArray[np.int64]
Colour = tuple[float, float, float]
"""Red, green and blue in grey levels, 0 to 255."""

X: Final[Plane] = np.ascontiguousarray(np.broadcast_to(np.arange(SIZE, dtype=np.float64)[None, :], (SIZE, SIZE)))
Y: Final[Plane] = np.ascontiguousarray(X.T)


def generator(*key: object) -> np.random.RandomState:
    """The random numbers of one thing: seeded by sha256 of its name, so that no two things share them."""
    digest = hashlib.sha256("/".join(("ltbench-shapes-v1", *map(str, key))).encode()).digest()
    return np.random.RandomState(np.frombuffer(digest, dtype=">u4").astype(np.uint32))


def shuffled(items: list[int], rng: np.random.RandomState) -> list[int]:
    """Fisher-Yates on uniform draws: ``RandomState.shuffle`` is not promised to stay the same for ever."""
    out = list(items)
    draws = rng.random_sample(len(out))
    for last in range(len(out) - 1, 0, -1):
        other = int(draws[last] * (last + 1))
        out[last], out[other] = out[other], out[last]
    return out


def pick(chances: Sequence[float], draw: float) -> int:
    for index, chance in enumerate(chances):
        if draw < chance:
            return index
        draw -= chance
    return len(chances) - 1


def background(rng: np.random.RandomState, contrast: float) -> tuple[Plane, str, Colour]:
    """Canvas [3, 64, 64], its kind and its mean colour; ``contrast`` between the two tones in grey levels."""
    draws = [float(d) for d in rng.random_sample(12)]
    grey = 70.0 + 130.0 * draws[0]
    tone = (grey + 60.0 * (draws[1] - 0.5), grey + 60.0 * (draws[2] - 0.5), grey + 60.0 * (draws[3] - 0.5))
    kind = BACKGROUNDS[int(draws[4] * len(BACKGROUNDS))]
    amplitude = contrast * (0.5 + 0.5 * draws[5])
    slope_x, slope_y = 2.0 * draws[6] - 1.0, 2.0 * draws[7] - 1.0
    ramp = (X - 31.5) * slope_x + (Y - 31.5) * slope_y
    if kind == "plain":
        pattern = np.zeros((SIZE, SIZE))
    elif kind == "shaded":
        pattern = ramp / 32.0
    elif kind == "split":
        pattern = np.where(Y + (X - 31.5) * 0.4 * slope_x > 20.0 + 30.0 * draws[8], 1.0, -1.0)
    else:
        period = 5 + int(draws[9] * 8)
        across, down = np.floor(X / period), np.floor(Y / period)
        lines = across if draws[10] < 0.5 else down
        squares = lines if kind == "lined" else across + down
        pattern = np.where(squares - 2.0 * np.floor(squares / 2.0) > 0.5, 0.5, -0.5)
    canvas = np.empty((3, SIZE, SIZE))
    for channel in range(3):
        canvas[channel] = tone[channel] + amplitude * pattern
    return canvas, kind, tone


def clutter_colour(rng: np.random.RandomState) -> Plane:
    colour: Plane = 40.0 + 180.0 * rng.random_sample(3)
    return colour[:, None, None]


def clutter(rng: np.random.RandomState) -> Counts:
    """Abstract marks that belong to no class: a crooked stroke, a lopsided patch or a scatter of dots."""
    kind = int(rng.random_sample() * 3)
    if kind == 0:
        return stroke(rng, 1.0 + 1.5 * float(rng.random_sample()))
    draws = [float(d) for d in rng.random_sample(12)]
    if kind == 1:
        cx, cy, size = 64.0 * draws[0], 64.0 * draws[1], 4.0 + 6.0 * draws[2]
        edge = np.full((SIZE, SIZE), -1e9)
        for side, (nx, ny) in enumerate(((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0))):
            slant = 0.8 * (draws[3 + side] - 0.5)
            reach = size * (0.4 + 0.6 * draws[7 + side])
            edge = np.maximum(edge, (X - cx) * (nx + slant * ny) + (Y - cy) * (ny + slant * nx) - reach)
    else:
        edge = np.full((SIZE, SIZE), 1e9)
        for dot in range(4):
            dx, dy = X - (64.0 * draws[0] + 24.0 * (draws[3 * dot] - 0.5)), Y - 64.0 * draws[3 * dot + 1]
            edge = np.minimum(edge, np.sqrt(dx * dx + dy * dy) - (1.0 + 1.5 * draws[3 * dot + 2]))
    return counted(0.5 - edge)


def stroke(rng: np.random.RandomState, width: float) -> Counts:
    draws = [float(d) for d in rng.random_sample(8)]
    x, y = 64.0 * draws[0], 64.0 * draws[1]
    nearest = np.full((SIZE, SIZE), 1e9)
    for leg in range(3):
        ex, ey = 36.0 * (draws[2 + 2 * leg] - 0.5), 36.0 * (draws[3 + 2 * leg] - 0.5)
        wx, wy = X - x, Y - y
        along = np.minimum(np.maximum((wx * ex + wy * ey) / (ex * ex + ey * ey + 1e-3), 0.0), 1.0)
        dx, dy = wx - ex * along, wy - ey * along
        nearest = np.minimum(nearest, dx * dx + dy * dy)
        x, y = x + ex, y + ey
    return counted(0.5 + width / 2.0 - np.sqrt(nearest))


def counted(ink: Plane) -> Counts:
    """Shares of pixels, cut off at 0 and 1, in whole 1/256."""
    counts: Counts = np.floor(np.minimum(np.maximum(ink, 0.0), 1.0) * 256.0 + 0.5).astype(np.int64)
    return counts


def blend(canvas: Plane, coverage: Counts, paint: Plane) -> None:
    alpha = coverage / 256.0
    canvas += (paint - canvas) * alpha


def finish(canvas: Plane, rng: np.random.RandomState, noise: float) -> NDArray[np.uint8]:
    """A light blur as a lens would give it, then sensor noise (uniform), then whole grey levels."""
    padded = np.empty((3, SIZE, SIZE + 2))
    padded[:, :, 1:-1], padded[:, :, 0], padded[:, :, -1] = canvas, canvas[:, :, 0], canvas[:, :, -1]
    across = padded[:, :, :-2] * 0.15 + padded[:, :, 1:-1] * 0.7 + padded[:, :, 2:] * 0.15
    tall = np.empty((3, SIZE + 2, SIZE))
    tall[:, 1:-1], tall[:, 0], tall[:, -1] = across, across[:, 0], across[:, -1]
    smooth = tall[:, :-2] * 0.15 + tall[:, 1:-1] * 0.7 + tall[:, 2:] * 0.15
    levels = np.floor(smooth + (rng.random_sample((3, SIZE, SIZE)) - 0.5) * noise + 0.5)
    clipped = np.minimum(np.maximum(levels, 0.0), 255.0)
    return np.ascontiguousarray(clipped.astype(np.uint8).transpose(1, 2, 0))
