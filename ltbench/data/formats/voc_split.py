"""VOC2007's test photographs, split once more: parts of their own to train, validate and test on.

The test archive alone has photographs with complete labels in public; the tasks ``photos-*`` are made of it. Which part
a photograph belongs to is a pure function of its id: the first 8 bytes, big-endian, of SHA-256("photos.v1|<id>"), over
2^64, are below 0.4 (``test+photos-test``), below 0.5 (``test+photos-val``) or not (``test+photos-train``).
"""

from __future__ import annotations

import hashlib
from typing import Final

#: Suffix of the official part → the numbers in [0, 1) of its photographs: from, to.
PHOTOS: Final[dict[str, tuple[float, float]]] = {
    "+photos-train": (0.5, 1.0),
    "+photos-val": (0.4, 0.5),
    "+photos-test": (0.0, 0.4),
}


def place_of(row_id: str) -> float:
    """A number in [0, 1) for a photograph's id."""
    return int.from_bytes(hashlib.sha256(f"photos.v1|{row_id}".encode()).digest()[:8], "big") / 2.0**64


def rows_of(suffix: str, ids: tuple[str, ...]) -> tuple[str, ...]:
    """Those ids of the official part that belong to one of :data:`PHOTOS`, in their order; KeyError for no such one."""
    low, high = PHOTOS[suffix]
    return tuple(row_id for row_id in ids if low <= place_of(row_id) < high)
