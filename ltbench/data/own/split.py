"""A seeded split of multi-label rows in which every class keeps its share."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ltbench.data.base import Labels


def stratified_split(labels: Labels, ids: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """Rows to hold out so that each class is held out in the same share (Sechidis, Tsoumakas and Vlahavas, 2011).

    The rarest class that still has rows to deal is dealt first; a row goes to the side that lacks most of that class,
    then to the side that lacks most rows. Whatever is still even is settled by a hash of seed and row id, so the answer
    depends on neither the order of the rows nor a random generator.

    Args:
        labels: int8 [N, C]; only +1 counts. Rows without a +1 are dealt like a class of their own.
        ids: [N], each once.
        share: of the rows to hold out, in (0, 1).
        seed: another seed, another split.

    Returns:
        Boolean [N], true where a row is held out.
    """
    present = np.asarray(labels) == 1
    present = np.concatenate([present, ~present.any(axis=1, keepdims=True)], axis=1)
    return _dealt(present.astype(np.int64), np.ones(len(ids), dtype=np.int64), ids, share, seed)


def grouped_split(
    labels: Labels, ids: Sequence[str], groups: Sequence[int], share: float, seed: int
) -> NDArray[np.bool_]:
    """As :func:`stratified_split`, with all rows of a group on one side; without groups it is the same.

    Args:
        labels, ids, share, seed: as there.
        groups: [N] numbers; rows of one number belong together.
    """
    members: dict[int, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    present = np.asarray(labels) == 1
    present = np.concatenate([present, ~present.any(axis=1, keepdims=True)], axis=1).astype(np.int64)
    counts = np.stack([present[rows].sum(axis=0) for rows in members.values()])
    sizes = np.array([len(rows) for rows in members.values()], dtype=np.int64)
    names = [min(ids[row] for row in rows) for rows in members.values()]
    held = np.zeros(len(ids), dtype=bool)
    for rows, out in zip(members.values(), _dealt(counts, sizes, names, share, seed), strict=True):
        held[rows] = out
    return held


def _dealt(
    counts: NDArray[np.int64], sizes: NDArray[np.int64], ids: Sequence[str], share: float, seed: int
) -> NDArray[np.bool_]:
    """Deal units of ``sizes`` rows with ``counts`` [N, C] present labels to two sides."""
    shuffled = sorted(range(len(ids)), key=lambda row: _hash(seed, ids[row]))
    counts, sizes = counts[shuffled], sizes[shuffled]
    shares = np.array([1.0 - share, share])
    wanted_rows = shares * sizes.sum()
    wanted = np.outer(shares, counts.sum(axis=0))
    side = np.full(len(ids), -1, dtype=np.int64)

    while (side < 0).any():
        remaining = counts[side < 0].sum(axis=0)
        rarest = int(np.argmin(np.where(remaining > 0, remaining, counts.sum() + 1)))
        for row in np.flatnonzero((counts[:, rarest] > 0) & (side < 0)):
            lacking = [(wanted[k, rarest], wanted_rows[k]) for k in (0, 1)]
            if lacking[0] == lacking[1]:
                chosen = int(_hash(seed + 1, ids[shuffled[row]])[0] % 2)
            else:
                chosen = 0 if lacking[0] > lacking[1] else 1
            side[row] = chosen
            wanted[chosen] -= counts[row]
            wanted_rows[chosen] -= sizes[row]

    held = np.zeros(len(ids), dtype=bool)
    held[np.array(shuffled, dtype=np.int64)] = side == 1
    return held


def _hash(seed: int, row_id: str) -> bytes:
    return hashlib.sha256(f"split|{seed}|{row_id}".encode()).digest()
