"""Encoded images, row-aligned with the ids that were asked for."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ltbench.backbones.views import View

Float32 = npt.NDArray[np.float32]
MAPPED_BYTES = 2**30
"""Shards that together are larger are let go of after each look, so that a run holds no more of them than it reads."""


class FeatureArray(Protocol):
    """What an array of features can do, be it in memory or on disk."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any) -> Any: ...


class FeatureRows:
    """Features [N, V, …] gathered from memory-mapped shards when they are indexed; nothing else is held in memory.

    ``rows[k]``, ``rows[3:9]`` and ``rows[array_of_row_numbers]`` give fresh float32 arrays [V, …] or [n, V, …];
    ``rows[numbers, v]`` gives one view a row, [n, …] (``v`` a number, or one number a row). ``numpy.asarray(rows)``
    reads everything.

    Args:
        shards: arrays [rows, width].
        where: int64 [N, V, 2], shard and row.
        columns: columns of a shard that belong to this feature.
        item: shape of one feature.
    """

    dtype = np.dtype(np.float32)

    def __init__(
        self, shards: list[Float32], where: npt.NDArray[np.int64], columns: slice, item: tuple[int, ...]
    ) -> None:
        self._shards = shards
        self._where = where
        self._columns = columns
        self._item = item
        self.shape: tuple[int, ...] = (*where.shape[:2], *item)
        self.ndim = len(self.shape)
        self._large = sum(shard.nbytes for shard in shards) > MAPPED_BYTES

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Float32:
        where = self._where[key]
        if where.ndim < 1 or where.shape[-1] != 2:
            raise IndexError("index rows, or rows and views; index the array that comes back for more")
        flat = where.reshape(-1, 2)
        out = np.empty((len(flat), int(np.prod(self._item))), dtype=np.float32)
        for shard in np.unique(flat[:, 0]):
            mine = np.flatnonzero(flat[:, 0] == shard)
            out[mine] = self._shards[shard][flat[mine, 1], self._columns]
            if self._large:
                _let_go(self._shards[shard])
        return out.reshape(*where.shape[:-1], *self._item)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        everything = self[:]
        return everything if dtype is None else everything.astype(dtype)


def _let_go(shard: Float32) -> None:
    """Give back the pages of a mapped shard: they stay in the system's cache and no longer count as this process's."""
    mapped = getattr(shard, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class Features:
    """Features of N images under V views, not normalised.

    Attributes:
        ids: row ids.
        views: the views, in order of the second axis.
        global_: array-like float32 [N, V, D].
        regions: array-like float32 [N, V, L, R], or None when only global features were asked for.
    """

    ids: tuple[str, ...]
    views: tuple[View, ...]
    global_: FeatureArray
    regions: FeatureArray | None = None

    def __len__(self) -> int:
        return len(self.ids)
