"""Which classes each image of each part shows: one table, and the fixed draw that deals classes to images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ltbench.data.shapes.canvas import generator, shuffled
from ltbench.data.shapes.captions import caption
from ltbench.data.shapes.names import CLASS_NAMES, LABEL_GROUPS, MICRO_CLASSES
from ltbench.data.shapes.scene import Scene, draw_scene


@dataclass(frozen=True)
class Part:
    """``scenes[k]``: how many images show k+1 objects; ``counts``: in how many images each class occurs."""

    scenes: tuple[int, int, int, int]
    counts: tuple[tuple[str, int], ...]

    @property
    def size(self) -> int:
        """Number of images."""
        return sum(self.scenes)


def _even(total: int, names: tuple[str, ...] = CLASS_NAMES) -> tuple[tuple[str, int], ...]:
    share, rest = divmod(total, len(names))
    return tuple((name, share + (1 if index < rest else 0)) for index, name in enumerate(names))


_LONG_TAIL: Final = (
    ("tree", 560),
    ("car", 450),
    ("cup", 380),
    ("star", 320),
    ("cloud", 260),
    ("arrow", 200),
    ("key", 90),
    ("flower", 70),
    ("boat", 52),
    ("heart", 40),
    ("hammer", 30),
    ("moon", 23),
    ("umbrella", 18),
    ("gear", 15),
    ("apple", 12),
    ("rocket", 10),
    ("crown", 8),
    ("lightning", 6),
    ("anchor", 5),
    ("mushroom", 4),
)

PARTS: Final = MappingProxyType(
    {
        "train-lt": Part((190, 467, 343, 100), _LONG_TAIL),
        "train-uniform": Part((0, 500, 500, 500), _even(4500)),
        "val": Part((60, 130, 130, 80), _even(1030)),
        "test": Part((240, 520, 520, 320), _even(4120)),
        "micro-train": Part((8, 16, 8, 0), _even(64, MICRO_CLASSES)),
        "micro-test": Part((4, 8, 4, 0), _even(32, MICRO_CLASSES)),
    }
)
"""The whole composition of ``shapes`` version 1."""

_GROUP_OF: Final = {
    CLASS_NAMES.index(name): number for number, names in enumerate(LABEL_GROUPS.values()) for name in names
}


@cache
def compose(part: str) -> tuple[tuple[int, ...], ...]:
    """The class indices of every image of ``part``, ascending within an image; counts are exactly the table's.

    Cards of all classes are shuffled and dealt to the images; a class dealt twice to an image is swapped away; then as
    many random swaps as there are cards are tried, and kept where they do not lower the number of pairs from one label
    group, which gives the groups the mild co-occurrence that natural scenes have. Raises KeyError for an unknown part.
    """
    spec = PARTS[part]
    rng = generator(part, "labels")
    cards = shuffled([CLASS_NAMES.index(name) for name, count in spec.counts for _ in range(count)], rng)
    sizes = shuffled([k + 1 for k, images in enumerate(spec.scenes) for _ in range(images)], rng)
    image_of = [image for image, size in enumerate(sizes) for _ in range(size)]
    hands: list[list[int]] = [[] for _ in sizes]
    for card, image in zip(cards, image_of, strict=True):
        hands[image].append(card)

    for image, hand in enumerate(hands):
        for place in range(len(hand)):
            while hand[place] in hand[:place]:
                other = image_of[int(rng.random_sample() * len(cards))]
                _swap(hands, image, place, other, int(rng.random_sample() * len(hands[other])), repair=True)
    for _ in range(len(cards)):
        first, second = (image_of[int(draw * len(cards))] for draw in rng.random_sample(2))
        here, there = (float(draw) for draw in rng.random_sample(2))
        _swap(hands, first, int(here * len(hands[first])), second, int(there * len(hands[second])), repair=False)
    return tuple(tuple(sorted(hand)) for hand in hands)


def labels_of(part: str) -> NDArray[np.int8]:
    """Complete labels, int8 [N, 20]: +1 shown, -1 not shown."""
    rows = compose(part)
    out = np.full((len(rows), len(CLASS_NAMES)), -1, dtype=np.int8)
    for row, classes in enumerate(rows):
        out[row, list(classes)] = 1
    return out


def scene(part: str, index: int) -> tuple[Scene, str]:
    """The scene and caption of one image; raises KeyError or IndexError for what does not exist."""
    if not 0 <= index < PARTS[part].size:
        raise IndexError(f"part {part} has images 0 to {PARTS[part].size - 1}, not {index}")
    rng = generator(part, index)
    drawn = draw_scene(compose(part)[index], rng)
    return drawn, caption(drawn, rng)


def render(part: str, index: int) -> tuple[NDArray[np.uint8], NDArray[np.int8], str]:
    """One image (uint8 [64, 64, 3]), its complete labels (int8 [20]) and its caption, without the rest of the part."""
    drawn, text = scene(part, index)
    return drawn.image, labels_of(part)[index], text


def _swap(hands: list[list[int]], first: int, here: int, second: int, there: int, *, repair: bool) -> None:
    """Exchange two cards if no hand then holds a class twice (a repair may leave the first hand's other doubles)."""
    if first == second:
        return
    mine, yours = hands[first][here], hands[second][there]
    rest_mine = hands[first][:here] + hands[first][here + 1 :]
    rest_yours = hands[second][:there] + hands[second][there + 1 :]
    if yours in rest_mine or mine in rest_yours:
        return
    if not repair:
        before = _pairs(mine, rest_mine) + _pairs(yours, rest_yours)
        if _pairs(yours, rest_mine) + _pairs(mine, rest_yours) < before:
            return
    hands[first][here], hands[second][there] = yours, mine


def _pairs(card: int, rest: list[int]) -> int:
    return sum(_GROUP_OF[card] == _GROUP_OF[other] for other in rest)
