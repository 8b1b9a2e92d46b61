"""Loss terms of a stage's steps: kept where they were computed, and read once in a while."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from ltbench.engine.failures import Diverged
from ltbench.engine.ranks import ALONE, Ranks

#: Steps between two readings where reading makes the processor wait: for a GPU, or for other processes.
EVERY: Final = 50


def reads_every(device: torch.device, ranks: Ranks) -> int:
    """Steps between two readings: each on the CPU, where values are at hand."""
    return 1 if device.type == "cpu" and not ranks.several else EVERY


class Terms:
    """Sums of loss terms over an epoch; a value that is not finite is found with its step, however late it is read.

    Args:
        stage: name, for the error.
        every: steps between two readings.
        ranks: whose shares of a batch's terms make them up.
    """

    def __init__(self, stage: str, every: int = 1, ranks: Ranks = ALONE) -> None:
        self._stage = stage
        self.every = every
        self._ranks = ranks
        self._held: list[tuple[int, dict[str, Tensor]]] = []
        self._sums: dict[str, float] = {}
        self._steps = 0

    def start(self) -> None:
        """Begin an epoch."""
        self._held, self._sums, self._steps = [], {}, 0

    def add(self, step: int, terms: Mapping[str, Tensor]) -> None:
        """Keep the terms of a step.

        Args:
            step: 1-based within the stage.
            terms: scalars without gradients, in the order in which the first that is not finite is named.

        Raises:
            Diverged: a value of this step, or of one that was not read yet, is not finite.
        """
        self._held.append((step, dict(terms)))
        if len(self._held) >= self.every:
            self.read()

    def read(self) -> None:
        """Read what was kept; all ranks at the same step.

        Raises:
            Diverged: a value is not finite; names the first step and term.
        """
        held, self._held = self._held, []
        for step, terms in self._together(_numbers(held)):
            for name, number in terms.items():
                if not math.isfinite(number):
                    raise Diverged(self._stage, step, f"{name} is {number}")
                self._sums[name] = self._sums.get(name, 0.0) + number
            self._steps += 1

    def _together(self, own: list[tuple[int, dict[str, float]]]) -> list[tuple[int, dict[str, float]]]:
        if not self._ranks.several:
            return own
        found: list[tuple[int, dict[str, float]]] = []
        for parts in zip(*self._ranks.gather(own), strict=True):
            terms: dict[str, float] = {}
            for _, shares in parts:
                for name, number in shares.items():
                    terms[name] = terms.get(name, 0.0) + number
            found.append((parts[0][0], terms))
        return found

    def means(self) -> dict[str, float]:
        """Mean of each term over the steps of the epoch that were read."""
        return {name: total / max(1, self._steps) for name, total in self._sums.items()}


def _numbers(held: list[tuple[int, dict[str, Tensor]]]) -> list[tuple[int, dict[str, float]]]:
    """The values of all steps, fetched at once."""
    values = [value.detach() for _, terms in held for value in terms.values()]
    if len(held) > 1:
        # One transfer. Single precision holds what a device without double precision computes in.
        wide = torch.float32 if values[0].device.type == "mps" else torch.float64
        numbers = torch.stack([value.to(wide).reshape(()) for value in values]).tolist()
    else:
        numbers = [float(value) for value in values]
    fetched = iter(numbers)
    return [(step, {name: next(fetched) for name in terms}) for step, terms in held]
