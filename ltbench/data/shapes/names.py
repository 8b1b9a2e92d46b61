"""The words of the bundled data set: classes, synonyms, label groups and the fixed class lists of its tasks."""

from __future__ import annotations

from typing import Final

CLASS_NAMES: Final[tuple[str, ...]] = (
    "anchor",
    "apple",
    "arrow",
    "boat",
    "car",
    "cloud",
    "crown",
    "cup",
    "flower",
    "gear",
    "hammer",
    "heart",
    "key",
    "lightning",
    "moon",
    "mushroom",
    "rocket",
    "star",
    "tree",
    "umbrella",
)
"""Column order of every label array of ``shapes``."""

LABEL_GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "symbols": ("arrow", "crown", "heart", "star"),
    "plants": ("apple", "flower", "mushroom", "tree"),
    "weather": ("cloud", "lightning", "moon", "umbrella"),
    "household": ("cup", "gear", "hammer", "key"),
    "travel": ("anchor", "boat", "car", "rocket"),
}
"""Five groups of four classes; classes of one group share images more often than chance."""

UNSEEN_CLASSES: Final[tuple[str, ...]] = ("boat", "crown", "flower", "gear", "moon", "umbrella")
"""The six classes that no training image of ``shapes-zsl`` shows."""

SEEN_CLASSES: Final[tuple[str, ...]] = tuple(name for name in CLASS_NAMES if name not in UNSEEN_CLASSES)
"""The fourteen classes that ``shapes-zsl`` trains on."""

MICRO_CLASSES: Final[tuple[str, ...]] = ("arrow", "car", "cup", "heart", "moon", "tree")
"""The only classes that ``micro-train`` and ``micro-test`` show."""

SYNONYMS: Final[dict[str, tuple[str, ...]]] = {
    "arrow": ("pointer",),
    "boat": ("sailboat", "ship"),
    "car": ("automobile",),
    "cup": ("mug",),
    "flower": ("blossom",),
    "gear": ("cog",),
    "hammer": ("mallet",),
    "lightning": ("bolt",),
    "moon": ("crescent",),
    "mushroom": ("toadstool",),
    "rocket": ("spaceship",),
    "tree": ("pine",),
    "umbrella": ("parasol",),
}
"""Other nouns that captions use for a class now and then."""
