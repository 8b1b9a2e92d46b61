"""Signed distance fields on a fixed grid: the geometry every drawn figure is made of.

Only ``+ - * /``, square roots, comparisons and integer arithmetic are used, so that the bytes are the same on every
platform and NumPy version: IEEE 754 fixes the result of each of them, which it does not for sine, power or ``mean``.
A field is negative inside a figure, positive outside; its unit is the figure's own (a figure fills the unit disc).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]
"""Float64 [GRID, GRID]: signed distance at each grid point."""

GRID: Final = 80
EXTENT: Final = 1.25
"""A field covers [-EXTENT, EXTENT] in both directions; x grows to the right, y downwards."""

STEPS_PER_UNIT: Final = (GRID - 1) / (2 * EXTENT)

_AXIS = (np.arange(GRID, dtype=np.float64) - (GRID - 1) / 2) / STEPS_PER_UNIT
X: Final[Field] = np.ascontiguousarray(np.broadcast_to(_AXIS[None, :], (GRID, GRID)))
Y: Final[Field] = np.ascontiguousarray(np.broadcast_to(_AXIS[:, None], (GRID, GRID)))

# Sines of the angles that regular figures need, as literals: a maths library may round the last bit differently.
_SINE: Final = {0: 0.0, 15: 0.2588, 18: 0.3090, 30: 0.5, 36: 0.5878, 45: 0.7071, 54: 0.8090, 60: 0.8660, 72: 0.9511}
_SINE_90: Final = {**_SINE, 75: 0.9659, 90: 1.0}


def quantised(value: float) -> float:
    """``value`` rounded to 1/4096, which leaves no room for a last-bit difference."""
    return math.floor(value * 4096.0 + 0.5) / 4096.0


def unit(degrees: int) -> tuple[float, float]:
    """(cosine, sine) of a whole angle in degrees, from a table; raises KeyError for angles outside it."""
    turn = degrees % 360
    quarter, rest = divmod(turn, 90)
    cosine, sine = _SINE_90[90 - rest], _SINE_90[rest]
    return ((cosine, sine), (-sine, cosine), (-cosine, -sine), (sine, -cosine))[quarter]


def circle(cx: float, cy: float, radius: float) -> Field:
    """A disc."""
    dx, dy = X - cx, Y - cy
    return np.sqrt(dx * dx + dy * dy) - radius


def ring(cx: float, cy: float, radius: float, width: float) -> Field:
    """A circle line of the given width."""
    return np.abs(circle(cx, cy, radius)) - width / 2


def ellipse(cx: float, cy: float, rx: float, ry: float) -> Field:
    """An axis-parallel ellipse; the distance is a lower bound, exact on the outline."""
    dx, dy = (X - cx) / rx, (Y - cy) / ry
    return (np.sqrt(dx * dx + dy * dy) - 1.0) * min(rx, ry)


def box(cx: float, cy: float, hx: float, hy: float, rounding: float = 0.0) -> Field:
    """A box of half sizes ``hx``, ``hy`` with rounded corners."""
    dx, dy = np.abs(X - cx) - (hx - rounding), np.abs(Y - cy) - (hy - rounding)
    ox, oy = np.maximum(dx, 0.0), np.maximum(dy, 0.0)
    distance: Field = np.sqrt(ox * ox + oy * oy) + np.minimum(np.maximum(dx, dy), 0.0) - rounding
    return distance


def stroke(points: Sequence[tuple[float, float]], width: float) -> Field:
    """A polyline of the given width with round ends."""
    nearest = np.full((GRID, GRID), 1e9)
    for start, end in pairwise(points):
        nearest = np.minimum(nearest, _squared_distance(start, end))
    distance: Field = np.sqrt(nearest) - width / 2
    return distance


def polygon(points: Sequence[tuple[float, float]]) -> Field:
    """A simple polygon; its corners are rounded to 1/4096."""
    corners = [(quantised(px), quantised(py)) for px, py in points]
    nearest = np.full((GRID, GRID), 1e9)
    inside = np.zeros((GRID, GRID), dtype=bool)
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        nearest = np.minimum(nearest, _squared_distance((ax, ay), (bx, by)))
        if ay != by:
            inside ^= ((ay > Y) != (by > Y)) & ((bx - ax) * (Y - ay) / (by - ay) + ax > X)
    distance = np.sqrt(nearest)
    signed: Field = np.where(inside, -distance, distance)
    return signed


def union(*parts: Field) -> Field:
    """What any of the parts covers."""
    out = parts[0]
    for part in parts[1:]:
        out = np.minimum(out, part)
    return out


def without(body: Field, *holes: Field) -> Field:
    """``body`` with the holes cut out."""
    out = body
    for hole in holes:
        out = np.maximum(out, -hole)
    return out


def both(first: Field, second: Field) -> Field:
    """What both parts cover."""
    return np.maximum(first, second)


def above(y: float) -> Field:
    """The half plane above the line at height ``y``."""
    return Y - y


def below(y: float) -> Field:
    """The half plane below the line at height ``y``."""
    return y - Y


def _squared_distance(start: tuple[float, float], end: tuple[float, float]) -> Field:
    ex, ey = end[0] - start[0], end[1] - start[1]
    wx, wy = X - start[0], Y - start[1]
    along = np.minimum(np.maximum((wx * ex + wy * ey) / (ex * ex + ey * ey), 0.0), 1.0)
    dx, dy = wx - ex * along, wy - ey * along
    return dx * dx + dy * dy
