"""What ``ltbench tune`` may vary, declared by a method beside its configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ltbench.plugin.errors import UserError


@dataclass(frozen=True)
class Choice:
    """One of a few values, equally likely."""

    values: tuple[Any, ...]

    def draw(self, rng: np.random.Generator) -> Any:
        """One value."""
        return self.values[int(rng.integers(len(self.values)))]


@dataclass(frozen=True)
class Uniform:
    """A number between two bounds; ``log`` draws its logarithm uniformly. Rounded to three significant digits."""

    low: float
    high: float
    log: bool = False

    def draw(self, rng: np.random.Generator) -> float:
        """One value."""
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = float(rng.uniform(self.low, self.high))
        return float(f"{value:.3g}")


SearchSpace = Mapping[str, Choice | Uniform]


def draw(space: SearchSpace, rng: np.random.Generator) -> dict[str, Any]:
    """One value for every field, in the order of the space."""
    return {name: what.draw(rng) for name, what in space.items()}


def parse_space(space: Mapping[str, Any]) -> SearchSpace:
    """A search space from lists of values given on the command line.

    Raises:
        UserError: a field without a list of values.
    """
    for name, values in space.items():
        if not isinstance(values, list) or not values:
            raise UserError(f"search space of {name!r} must be a list of values", "--space 'lr=[0.001, 0.01]'")
    return {name: Choice(tuple(values)) for name, values in space.items()}
