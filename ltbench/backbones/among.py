"""Who encodes a set of images together: what the cache asks of processes that work on one run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

T = TypeVar("T")


class Among(Protocol):
    """One of several processes that encode the same rows; all of them go through the same calls in the same order.

    Attributes:
        rank: number of this one, from 0.
        world: how many there are.
    """

    @property
    def rank(self) -> int: ...

    @property
    def world(self) -> int: ...

    def agree(self, make: Callable[[], T]) -> T:
        """What the process of rank 0 makes, on all."""
        ...

    def each(self, do: Callable[[], T]) -> T:
        """Do something everywhere, and go on when it is done everywhere."""
        ...


class _Alone:
    rank: Final = 0
    world: Final = 1

    def agree(self, make: Callable[[], T]) -> T:
        return make()

    def each(self, do: Callable[[], T]) -> T:
        return do()


ALONE: Final[Among] = _Alone()


def dealt(among: Among, things: list[T], batch: int) -> list[T]:
    """The things that a process takes of a list that is gone through in batches: whole ones, by turns.

    A feature depends in its last bits on the batch that it is computed in, so a batch is never parted.
    """
    starts = range(among.rank * batch, len(things), among.world * batch)
    return [thing for start in starts for thing in things[start : start + batch]]
