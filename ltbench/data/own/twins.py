"""Pictures that are the same, or nearly: by their bytes, and by how they look from afar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

#: Largest root of the mean squared difference of two thumbnails, of 255 levels, at which pictures nearly equal. Copies
#: of photographs that were halved or stored again as JPEG stay below 5; any two others differed by more than 30.
NEAR: Final = 6.0
#: Thumbnails that vary less than this tell nothing: an empty sky, a blank page.
FLAT: Final = 16.0
_BLOCK: Final = 2048


def twins(sha256: Sequence[str], thumbnails: Sequence[npt.NDArray[np.uint8]]) -> tuple[list[int], int, int]:
    """Group pictures that are equal or nearly equal.

    Args:
        sha256: [N] of their bytes.
        thumbnails: [N] of uint8 [16, 16, 3].

    Returns:
        For each picture the smallest row of its group, the number of pictures that are equal to an earlier one, and of
        those that are nearly equal to an earlier one and not equal.
    """
    group = list(range(len(sha256)))
    first: dict[str, int] = {}
    for row, digest in enumerate(sha256):
        group[row] = first.setdefault(digest, row)
    unique = sorted(set(group))
    equal = len(group) - len(unique)
    near = 0
    for one, other in _near_pairs(unique, thumbnails):
        a, b = _root(group, one), _root(group, other)
        if a != b:
            group[max(a, b)] = min(a, b)
            near += 1
    return [_root(group, row) for row in range(len(group))], equal, near


def _root(group: list[int], row: int) -> int:
    while group[row] != row:
        row = group[row]
    return row


def _near_pairs(rows: Sequence[int], thumbnails: Sequence[npt.NDArray[np.uint8]]) -> list[tuple[int, int]]:
    kept = [row for row in rows if thumbnails[row].std(axis=(0, 1)).max() >= FLAT]
    if len(kept) < 2:
        return []
    look = np.stack([thumbnails[row].reshape(-1) for row in kept]).astype(np.float32)
    size = look.shape[1]
    norms = (look * look).sum(axis=1)
    pairs = []
    for start in range(0, len(kept), _BLOCK):
        block = slice(start, start + _BLOCK)
        for after in range(start, len(kept), _BLOCK):
            others = slice(after, after + _BLOCK)
            # Rounding of float32 is far below the limit, which is 36 per value of up to 65025.
            squares = norms[block, None] + norms[None, others] - 2 * look[block] @ look[others].T
            for a, b in np.argwhere(squares <= size * NEAR**2 * 1.2):
                one, other = start + int(a), after + int(b)
                difference = look[one] - look[other]
                if one < other and float(np.mean(difference * difference)) <= NEAR**2:
                    pairs.append((kept[one], kept[other]))
    return pairs
