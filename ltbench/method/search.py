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


@dataclass(frozen=True)
class Mixed:
    """Half of the time one value, else one that a range gives."""

    value: float
    rest: Uniform

    def draw(self, rng: np.random.Generator) -> float:
        """One value."""
        return self.value if rng.random() < 0.5 else self.rest.draw(rng)


SearchSpace = Mapping[str, Choice | Uniform | Mixed]


def around(space: SearchSpace, base: Mapping[str, Any]) -> SearchSpace:
    """The space that a search uses, in which every value of the configuration lies that it starts from.

    A method declares its space for an encoder and a budget of its own; a published configuration may lie far outside of
    it (rates of 1e-5 in place of 3e-4), and a search that only trial 0 has it in would look elsewhere. What holds the
    configuration's value stays as declared:

    * a ``log`` range that does not is moved, with its width kept, so that the value is its middle;
    * another range is stretched as far as the value, so that it stays within what the option allows;
    * a range of logarithms cannot hold 0, which half of the trials get then;
    * the value joins a choice that lacks it.

    Args:
        base: the resolved configuration, field by field; ``None`` there leaves a range as it is.
    """
    return {name: _around(what, base[name]) if name in base else what for name, what in space.items()}


def _around(what: Choice | Uniform | Mixed, value: Any) -> Choice | Uniform | Mixed:
    if isinstance(what, Choice):
        return what if value in what.values else Choice((value, *what.values))
    if isinstance(what, Mixed) or value is None or what.low <= value <= what.high:
        return what
    if not what.log:
        return Uniform(min(what.low, value), max(what.high, value))
    if value <= 0:
        return Mixed(value, what)
    half = math.sqrt(what.high / what.low)
    return Uniform(value / half, value * half, log=True)


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
