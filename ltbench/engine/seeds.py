"""Seeds from named axes, so that adding one use of randomness never shifts another."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch


def seed_for(seed: int, *axes: object) -> int:
    """A 63-bit seed that is a pure function of the run's seed and the names of the axes."""
    text = "|".join([str(seed), *(str(axis) for axis in axes)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def reseed(seed: int, *axes: object) -> np.random.Generator:
    """Seed Python, NumPy's legacy state and torch, and return a generator of its own for the same axes."""
    value = seed_for(seed, *axes)
    random.seed(value)
    np.random.seed(value % 2**32)
    torch.manual_seed(value)
    return np.random.default_rng(value)


@dataclass(frozen=True)
class Views:
    """What decides which view of a row training sees: the row itself, and nothing about its batch.

    Attributes:
        seeds: uint64 [n], one for each row of a batch.
    """

    seeds: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, key: int, rows: npt.NDArray[np.int64], turns: npt.NDArray[np.int64]) -> Views:
        """Seeds that are a pure function of each (key, row, turn), however rows are cut into batches.

        Args:
            key: of the run's seed, the stage and the epoch, see :func:`seed_for`.
            rows: [n] row numbers.
            turns: [n] how often the row came before in this epoch; a sampler that repeats rows shows other views.
        """
        start = _mixed(np.full(len(rows), key, dtype=np.uint64))
        return cls(_mixed(_mixed(start + rows.astype(np.uint64)) + turns.astype(np.uint64)))

    def beside(self, number: int) -> Views:
        """Those of a further view of the same rows, drawn apart from the first and from each other.

        Args:
            number: of the view, from 0.
        """
        return Views(_mixed(self.seeds ^ np.uint64(seed_for(number, "further"))))

    def integers(self, low: int, high: int) -> npt.NDArray[np.int64]:
        """One number of low … high - 1 for each row, int64 [n]."""
        # 53 bits are what a float64 holds exactly, so the share never rounds up to 1.
        share = (self.seeds >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return low + (share * (high - low)).astype(np.int64)

    def generator(self, position: int) -> np.random.Generator:
        """A generator of the row at this position of the batch."""
        return np.random.default_rng(int(self.seeds[position]))


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """A step of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): neighbours give unrelated numbers."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class KeptRandomState:
    """Context in which randomness may be used freely without a trace: all states come back at its end."""

    def __enter__(self) -> None:
        self._python = random.getstate()
        self._numpy = np.random.get_state()
        self._torch = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        self._mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None

    def __exit__(self, *_: object) -> None:
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        torch.set_rng_state(self._torch)
        if self._cuda:
            torch.cuda.set_rng_state_all(self._cuda)
        if self._mps is not None:
            torch.mps.set_rng_state(self._mps)
