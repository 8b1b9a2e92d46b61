"""The twenty figures, four proportions of each, as signed distance fields."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np

from ltbench.data.shapes.fields import (
    Field,
    above,
    below,
    both,
    box,
    circle,
    ellipse,
    polygon,
    ring,
    stroke,
    union,
    unit,
    without,
)
from ltbench.data.shapes.names import CLASS_NAMES

VARIANTS: Final = 4


def _anchor(v: int) -> Field:
    arm, bar = (0.62, 0.7, 0.56, 0.66)[v], (0.34, 0.42, 0.38, 0.3)[v]
    hook = both(ring(0.0, 0.16, arm, 0.22), below(0.26))
    tips = union(
        polygon([(-arm - 0.3, 0.4), (-arm + 0.02, -0.12), (-arm + 0.26, 0.4)]),
        polygon([(arm + 0.3, 0.4), (arm - 0.02, -0.12), (arm - 0.26, 0.4)]),
    )
    shaft = stroke([(0.0, -0.5), (0.0, 0.8)], 0.2)
    return union(ring(0.0, -0.72, 0.2, 0.15), shaft, stroke([(-bar, -0.32), (bar, -0.32)], 0.18), hook, tips)


def _apple(v: int) -> Field:
    side, size = (0.3, 0.34, 0.27, 0.32)[v], (0.56, 0.54, 0.6, 0.52)[v]
    body = union(circle(-side, 0.2, size), circle(side, 0.2, size), ellipse(0.0, 0.4, 0.52, 0.5))
    dip = ellipse(0.0, -0.46, 0.2, 0.24)
    stem = stroke([(0.0, -0.2), (0.08, -0.72)], 0.13)
    leaf = both(circle(0.22, -0.93, 0.44), circle(0.62, -0.5, 0.44))
    return union(without(body, dip), stem, leaf)


def _arrow(v: int) -> Field:
    shaft, head, wing = (0.2, 0.26, 0.15, 0.22)[v], (0.15, 0.05, 0.3, 0.2)[v], (0.64, 0.74, 0.56, 0.7)[v]
    points = [(-0.95, -shaft), (head, -shaft), (head, -wing), (0.97, 0.0), (head, wing), (head, shaft), (-0.95, shaft)]
    if v == 3:
        points = [(py, -px) for px, py in points]
    return polygon(points)


def _boat(v: int) -> Field:
    deck, mast = (0.92, 0.84, 0.96, 0.88)[v], (0.0, 0.08, -0.08, 0.0)[v]
    hull = polygon([(-deck, 0.36), (deck, 0.36), (deck - 0.34, 0.84), (-deck + 0.3, 0.84)])
    main = polygon([(mast + 0.1, -0.95), (mast + 0.1, 0.2), (mast + (0.72, 0.64, 0.8, 0.7)[v], 0.2)])
    jib = polygon([(mast - 0.1, -0.72), (mast - 0.1, 0.2), (mast - (0.6, 0.66, 0.5, 0.6)[v], 0.2)])
    return union(hull, main, jib, stroke([(mast, -0.95), (mast, 0.4)], 0.1))


def _car(v: int) -> Field:
    roof = (-0.48, -0.52, -0.42, -0.48)[v]
    front, back = (0.34, 0.28, 0.42, 0.24)[v], (-0.5, -0.44, -0.6, -0.4)[v]
    cabin = polygon([(back - 0.2, 0.0), (back, roof), (front, roof), (front + 0.3, 0.0)])
    glass_back = polygon([(back - 0.02, -0.04), (back + 0.1, roof + 0.14), (-0.13, roof + 0.14), (-0.13, -0.04)])
    glass_front = polygon([(0.01, -0.04), (0.01, roof + 0.14), (front - 0.06, roof + 0.14), (front + 0.1, -0.04)])
    body = without(union(box(0.0, 0.2, 0.97, 0.25, 0.12), cabin), glass_back, glass_front)
    body = without(body, circle(-0.52, 0.44, 0.3), circle(0.52, 0.44, 0.3))
    return union(body, circle(-0.52, 0.46, 0.22), circle(0.52, 0.46, 0.22))


def _cloud(v: int) -> Field:
    top, lean = (0.5, 0.44, 0.54, 0.48)[v], (0.05, -0.14, 0.0, 0.18)[v]
    sides = union(circle(-0.5, 0.14, 0.36), circle(0.54, 0.16, 0.34), box(0.0, 0.3, 0.6, 0.22))
    return both(union(circle(lean, -0.08, top), sides), above((0.5, 0.48, 0.5, 0.5)[v]))


def _crown(v: int) -> Field:
    spike, dent = (-0.62, -0.7, -0.55, -0.66)[v], (0.08, 0.14, 0.0, 0.2)[v]
    band = [(0.8, 0.68), (-0.8, 0.68)]
    zigzag = [(-0.9, -0.38), (-0.42, dent), (0.0, spike), (0.42, dent), (0.9, -0.38)]
    balls = union(circle(-0.9, -0.42, 0.13), circle(0.0, spike - 0.04, 0.13), circle(0.9, -0.42, 0.13))
    return without(union(polygon(band + zigzag), balls), box(0.0, 0.42, 0.74, 0.045))


def _cup(v: int) -> Field:
    foot, rim = (0.42, 0.48, 0.36, 0.5)[v], (0.55, 0.54, 0.58, 0.5)[v]
    body = polygon([(-0.2 - rim, -0.42), (-0.2 + rim, -0.42), (-0.2 + foot, 0.74), (-0.2 - foot, 0.74)])
    handle = without(ring(0.42, 0.1, (0.32, 0.34, 0.3, 0.34)[v], 0.16), body)
    steam = [stroke([(px, -0.56), (px - 0.07, -0.7), (px + 0.07, -0.82), (px, -0.96)], 0.1) for px in (-0.42, 0.02)]
    return union(body, handle, *steam) if v % 2 == 0 else union(body, handle)


def _flower(v: int) -> Field:
    cy, away, size = -0.34, (0.38, 0.4, 0.36, 0.4)[v], (0.23, 0.22, 0.25, 0.24)[v]
    turns = range(-90, 270, 60) if v in (1, 2) else range(-90, 270, 72)
    petals = union(*[circle(away * unit(turn)[0], cy + away * unit(turn)[1], size) for turn in turns])
    bloom = union(without(petals, circle(0.0, cy, 0.24)), circle(0.0, cy, 0.15))
    stem = without(stroke([(0.0, 0.1), (0.0, 0.95)], 0.12), petals)
    leaves = union(ellipse(0.26, 0.58, 0.24, 0.11), ellipse(-0.26, 0.7, 0.24, 0.11))
    return union(bloom, stem, leaves)


def _gear(v: int) -> Field:
    turns = range(0, 360, 60) if v == 1 else range(0, 360, 45)
    root, half, hole = (0.64, 0.6, 0.66, 0.62)[v], (0.15, 0.2, 0.17, 0.13)[v], (0.26, 0.3, 0.2, 0.34)[v]
    teeth = []
    for turn in turns:
        cosine, sine = unit(turn)
        corners = [(0.5, -half - 0.03), (0.95, -half + 0.02), (0.95, half - 0.02), (0.5, half + 0.03)]
        teeth.append(polygon([(px * cosine - py * sine, px * sine + py * cosine) for px, py in corners]))
    return without(union(circle(0.0, 0.0, root), *teeth), circle(0.0, 0.0, hole))


def _hammer(v: int) -> Field:
    half = (0.12, 0.14, 0.1, 0.13)[v]
    handle = box(0.06, 0.28, half, 0.7, 0.08)
    face = box(0.44, -0.56, (0.2, 0.22, 0.18, 0.22)[v], (0.29, 0.27, 0.31, 0.25)[v], 0.04)
    neck = box(0.1, -0.56, 0.3, 0.19)
    claw = polygon([(-0.15, -0.75), (-0.5, -0.68), (-0.88, -0.36), (-0.6, -0.44), (-0.15, -0.37)])
    return union(handle, face, neck, claw)


def _heart(v: int) -> Field:
    side, size, tip = (0.42, 0.44, 0.4, 0.45)[v], (0.47, 0.45, 0.48, 0.46)[v], (0.9, 0.82, 0.96, 0.88)[v]
    lobes = union(circle(-side, -0.32, size), circle(side, -0.32, size))
    edge = side + size * 0.8
    cone = polygon([(-edge, -0.04), (0.0, tip), (edge, -0.04), (0.0, -0.34)])
    return union(lobes, cone)


def _key(v: int) -> Field:
    bow = (0.31, 0.34, 0.28, 0.33)[v]
    end = (0.95, 0.92, 0.97, 0.9)[v]
    shaft = stroke([(-0.3, 0.0), (end, 0.0)], 0.17)
    teeth = union(box(end - 0.06, 0.17, 0.08, 0.2), box(end - 0.36, 0.14, 0.08, (0.17, 0.2, 0.14, 0.17)[v]))
    if v == 2:
        teeth = union(teeth, box(end - 0.64, 0.12, 0.07, 0.13))
    return union(ring(-0.58, 0.0, bow, 0.2), shaft, teeth)


def _lightning(v: int) -> Field:
    lean = (0.0, 0.1, -0.06, 0.05)[v]
    points = [(0.02 + lean, -0.96), (0.52 + lean, -0.96), (0.18, -0.24), (0.58, -0.24), (-0.34 - lean, 0.97)]
    return polygon([*points, (-0.06, 0.1), (-0.46, 0.1)])


def _moon(v: int) -> Field:
    shift, size = (0.4, 0.46, 0.34, 0.42)[v], (0.72, 0.76, 0.68, 0.78)[v]
    return without(circle(-0.1, 0.0, 0.92), circle(-0.1 + shift, -0.06, size))


def _mushroom(v: int) -> Field:
    height, half = (0.86, 0.78, 0.92, 0.8)[v], (0.2, 0.24, 0.17, 0.22)[v]
    cap = both(ellipse(0.0, 0.04, 0.92, height), above(0.06))
    dots = [circle(-0.42, -0.26, 0.15), circle(0.1, -0.44, 0.17), circle(0.52, -0.18, 0.12)]
    stem = polygon([(-half, 0.0), (half, 0.0), (half + 0.1, 0.86), (-half - 0.1, 0.86)])
    return union(without(cap, *dots), stem)


def _rocket(v: int) -> Field:
    half, base = (0.3, 0.34, 0.27, 0.32)[v], 0.42
    nose = both(circle(-0.75 + half, -0.1, 0.75), circle(0.75 - half, -0.1, 0.75))
    body = both(nose, above(base))
    fins = union(
        polygon([(-half + 0.06, 0.0), (-half - 0.32, 0.5), (-half - 0.32, 0.68), (-half + 0.12, base)]),
        polygon([(half - 0.06, 0.0), (half + 0.32, 0.5), (half + 0.32, 0.68), (half - 0.12, base)]),
    )
    flame = polygon([(-0.17, 0.54), (0.17, 0.54), (0.0, (0.97, 0.9, 1.0, 0.86)[v])])
    return union(without(union(body, fins), circle(0.0, -0.16, 0.13)), flame)


def _star(v: int) -> Field:
    inner = (0.4, 0.44, 0.36, 0.48)[v]
    points = []
    for step in range(10):
        cosine, sine = unit(-90 + 36 * step)
        radius = 0.98 if step % 2 == 0 else inner
        points.append((radius * cosine, radius * sine + 0.05))
    return polygon(points)


def _tree(v: int) -> Field:
    wide = (0.72, 0.64, 0.8, 0.68)[v]
    if v == 1:
        tiers = [(-0.97, -0.1, 0.5), (-0.4, 0.62, wide + 0.06)]
    else:
        tiers = [(-0.97, -0.32, wide - 0.28), (-0.62, 0.14, wide - 0.12), (-0.2, 0.62, wide)]
    leaves = [polygon([(0.0, top), (half, foot), (-half, foot)]) for top, foot, half in tiers]
    return union(*leaves, box(0.0, 0.76, (0.13, 0.16, 0.12, 0.14)[v], 0.2))


def _umbrella(v: int) -> Field:
    height = (0.82, 0.74, 0.88, 0.8)[v]
    canopy = both(ellipse(0.0, 0.06, 0.95, height), above(0.08))
    scallops = [ellipse(cx, 0.1, 0.3, 0.17) for cx in (-0.63, 0.0, 0.63)]
    shaft = stroke([(0.0, -0.9), (0.0, 0.74)], 0.12)
    hook = both(ring(0.17 if v < 2 else -0.17, 0.74, 0.17, 0.12), below(0.74))
    return union(without(canopy, *scallops), shaft, hook)


_FIGURES: Final[dict[str, Callable[[int], Field]]] = {
    "anchor": _anchor,
    "apple": _apple,
    "arrow": _arrow,
    "boat": _boat,
    "car": _car,
    "cloud": _cloud,
    "crown": _crown,
    "cup": _cup,
    "flower": _flower,
    "gear": _gear,
    "hammer": _hammer,
    "heart": _heart,
    "key": _key,
    "lightning": _lightning,
    "moon": _moon,
    "mushroom": _mushroom,
    "rocket": _rocket,
    "star": _star,
    "tree": _tree,
    "umbrella": _umbrella,
}


@cache
def figure(class_index: int, variant: int) -> Field:
    """The field of one class in one of its ``VARIANTS`` proportions, rounded to 1/4096 (read-only)."""
    field = np.floor(_FIGURES[CLASS_NAMES[class_index]](variant) * 4096.0 + 0.5) / 4096.0
    field.flags.writeable = False
    return field
