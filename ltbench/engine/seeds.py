"""Seeds from named axes, so that adding one use of randomness never shifts another."""

from __future__ import annotations

import hashlib
import random

import numpy as np
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


class KeptRandomState:
    """Context in which randomness may be used freely without a trace: all states come back at its end."""

    def __enter__(self) -> None:
        self._python = random.getstate()
        self._numpy = np.random.get_state()
        self._torch = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []

    def __exit__(self, *_: object) -> None:
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        torch.set_rng_state(self._torch)
        if self._cuda:
            torch.cuda.set_rng_state_all(self._cuda)
