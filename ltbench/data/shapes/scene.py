"""One scene: objects in depth order on a canvas, none hidden, and what was drawn, in words' terms.

See ``fields`` for the arithmetic that is allowed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ltbench.data.shapes.canvas import (
    SIZE,
    Colour,
    Counts,
    Plane,
    X,
    Y,
    background,
    blend,
    clutter,
    clutter_colour,
    counted,
    finish,
    pick,
    shuffled,
    stroke,
)
from ltbench.data.shapes.fields import EXTENT, GRID, STEPS_PER_UNIT
from ltbench.data.shapes.figures import VARIANTS, figure

MIN_VISIBLE: Final = 0.35
"""An object that keeps a smaller share of its own coverage would not be labelled; it is placed anew instead."""

COLOURS: Final[dict[str, tuple[int, int, int]]] = {
    "red": (214, 40, 36),
    "orange": (240, 130, 24),
    "yellow": (244, 214, 40),
    "green": (40, 160, 60),
    "blue": (36, 84, 214),
    "purple": (140, 50, 180),
    "pink": (244, 130, 180),
    "brown": (122, 76, 40),
    "black": (24, 24, 28),
    "white": (246, 246, 244),
}
STYLES: Final = ("solid", "hollow", "striped")


@dataclass(frozen=True)
class Knobs:
    """How hard scenes are. Lengths in pixels, amplitudes in grey levels (0 to 255)."""

    radius: tuple[float, float]
    clutter: tuple[float, float, float]
    """Chances of no, one and two pieces of clutter behind the objects."""
    front: float
    """Chance of one more thin stroke in front of them."""
    noise: float
    """Width of the uniform noise on every channel of every pixel."""
    style: tuple[float, float, float]
    """Chances of solid, hollow and striped objects."""
    contrast: float
    """Between the two tones of a background."""


STANDARD: Final = Knobs(
    radius=(9.0, 17.0), clutter=(0.4, 0.4, 0.2), front=0.15, noise=17.0, style=(0.8, 0.1, 0.1), contrast=30.0
)
"""Every part of the data set."""

EASY: Final = Knobs(
    radius=(13.0, 22.0), clutter=(1.0, 0.0, 0.0), front=0.0, noise=9.0, style=(0.9, 0.05, 0.05), contrast=15.0
)
"""Used by pre-training only, to begin with."""


@dataclass(frozen=True)
class Drawn:
    """One object of a scene: centre and radius in pixels; ``visible`` is the share of its coverage left in view."""

    label: int
    colour: str
    style: str
    x: float
    y: float
    radius: float
    visible: float


@dataclass(frozen=True)
class Scene:
    """A rendered image (uint8 [64, 64, 3]) and what it shows, back to front."""

    image: NDArray[np.uint8]
    objects: tuple[Drawn, ...]
    background: str


def draw_scene(labels: Sequence[int], rng: np.random.RandomState, knobs: Knobs = STANDARD) -> Scene:
    """Draw one object of each class index in ``labels``, in random depth order.

    Raises RuntimeError if an object cannot be placed so that all of them stay visible (never for the published parts).
    """
    canvas, kind, tone = background(rng, knobs.contrast)
    for _ in range(pick(knobs.clutter, rng.random_sample())):
        blend(canvas, clutter(rng), clutter_colour(rng))

    order = shuffled(list(labels), rng)
    taken: list[str] = []
    placed: list[Drawn] = []
    shown: list[Counts] = []
    full: list[int] = []
    for label in order:
        colour_name, colour = _object_colour(rng, tone, taken)
        taken.append(colour_name)
        style = STYLES[pick(knobs.style, rng.random_sample())]
        for attempt in range(400):
            coverage, paint, drawn = _object(label, style, colour_name, colour, rng, knobs, attempt)
            kept = [mask * (256 - coverage) // 256 for mask in shown]
            if all(int(now.sum()) >= MIN_VISIBLE * before for now, before in zip(kept, full, strict=True)):
                break
        else:
            raise RuntimeError(f"no room for {len(order)} objects in a scene")
        shown = [*kept, coverage]
        full.append(int(coverage.sum()))
        placed.append(drawn)
        blend(canvas, coverage, paint)

    if rng.random_sample() < knobs.front:
        coverage, paint = stroke(rng, 1.3), clutter_colour(rng)
        kept = [mask * (256 - coverage) // 256 for mask in shown]
        if all(int(now.sum()) >= MIN_VISIBLE * before for now, before in zip(kept, full, strict=True)):
            shown = kept
            blend(canvas, coverage, paint)

    objects = tuple(
        Drawn(d.label, d.colour, d.style, d.x, d.y, d.radius, int(now.sum()) / before)
        for d, now, before in zip(placed, shown, full, strict=True)
    )
    return Scene(finish(canvas, rng, knobs.noise), objects, kind)


def _object_colour(rng: np.random.RandomState, tone: Colour, taken: Sequence[str]) -> tuple[str, Colour]:
    names = list(COLOURS)
    best: tuple[float, str, Colour] | None = None
    for _ in range(8):
        draws = [float(d) for d in rng.random_sample(4)]
        name = names[int(draws[0] * len(names))]
        red, green, blue = COLOURS[name]
        colour = (red + 30.0 * (draws[1] - 0.5), green + 30.0 * (draws[2] - 0.5), blue + 30.0 * (draws[3] - 0.5))
        distance = abs(colour[0] - tone[0]) + abs(colour[1] - tone[1]) + abs(colour[2] - tone[2])
        if name in taken:
            distance = distance / 4.0
        if best is None or distance > best[0]:
            best = (distance, name, colour)
        if distance >= 150.0:
            break
    assert best is not None
    return best[1], best[2]


def _object(
    label: int,
    style: str,
    colour_name: str,
    colour: Colour,
    rng: np.random.RandomState,
    knobs: Knobs,
    attempt: int,
) -> tuple[Counts, Plane, Drawn]:
    """Coverage in 1/256 [64, 64], paint [3, 64, 64] and description of one object at a random place.

    Later attempts draw it smaller, down to seven pixels, so that a crowded scene finds room.
    """
    draws = [float(d) for d in rng.random_sample(10)]
    low, high = knobs.radius
    radius = max(low + (high - low) * draws[0] - 0.25 * attempt, 7.0)
    margin = 0.9 * radius
    cx, cy = margin + (SIZE - 1 - 2.0 * margin) * draws[1], margin + (SIZE - 1 - 2.0 * margin) * draws[2]
    # A rotation without sine and cosine: t is the tangent of half the angle, at most 33 degrees here.
    t = 0.3 * (2.0 * draws[3] - 1.0)
    cosine, sine = (1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t)
    flip = -1.0 if draws[4] < 0.5 else 1.0
    aspect = 0.85 + 0.3 * draws[5]
    variant = int(draws[6] * VARIANTS)

    left, right = max(int(cx - 1.5 * radius), 0), min(int(cx + 1.5 * radius) + 2, SIZE)
    top, bottom = max(int(cy - 1.5 * radius), 0), min(int(cy + 1.5 * radius) + 2, SIZE)
    dx, dy = X[top:bottom, left:right] - cx, Y[top:bottom, left:right] - cy
    u = (dx * cosine + dy * sine) * (flip / (radius * aspect))
    v = (dy * cosine - dx * sine) / radius
    distance = _sample(label, variant, u, v) * radius
    if style == "hollow":
        line = 1.0 + 0.05 * radius
        distance = np.abs(distance + line) - line
    coverage = np.zeros((SIZE, SIZE), dtype=np.int64)
    coverage[top:bottom, left:right] = counted(0.5 - distance)

    shade = 1.0 - 0.12 * (u + v) * (2.0 * draws[7] - 1.0)
    if style == "striped":
        width = 2.0 + 2.0 * draws[8]
        bands = np.floor((dx + dy if draws[9] < 0.5 else dy - dx) / width)
        shade = shade * np.where(bands - 2.0 * np.floor(bands / 2.0) > 0.5, 1.0, 0.6)
    paint = np.zeros((3, SIZE, SIZE))
    for channel in range(3):
        paint[channel, top:bottom, left:right] = colour[channel] * shade
    return coverage, paint, Drawn(label, colour_name, style, cx, cy, radius, 1.0)


def _sample(label: int, variant: int, u: Plane, v: Plane) -> Plane:
    field = figure(label, variant)
    limit = GRID - 1.001
    column = np.minimum(np.maximum((u + EXTENT) * STEPS_PER_UNIT, 0.0), limit)
    row = np.minimum(np.maximum((v + EXTENT) * STEPS_PER_UNIT, 0.0), limit)
    left, top = np.floor(column).astype(np.int64), np.floor(row).astype(np.int64)
    fx, fy = column - left, row - top
    corner = top * GRID + left
    flat = field.ravel()
    upper = flat[corner] * (1.0 - fx) + flat[corner + 1] * fx
    lower = flat[corner + GRID] * (1.0 - fx) + flat[corner + GRID + 1] * fx
    value: Plane = upper * (1.0 - fy) + lower * fy
    return value
