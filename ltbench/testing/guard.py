"""The test-label guard, checked: does any object within reach of this process hold certain labels?

The check walks everything that Python's garbage collector knows, what running functions hold, and what these refer to.
It finds arrays, tensors and nested sequences; it cannot see the inside of other libraries' own memory, or a file.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Labels = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Leak:
    """An object that holds labels it must not.

    Attributes:
        labels: name of the labels.
        kind: type of the object that holds them.
        thing: the object itself.
    """

    labels: str
    kind: str
    thing: object = field(repr=False, compare=False)


def find_labels(forbidden: Mapping[str, Labels], known: Sequence[Leak] = ()) -> list[Leak]:
    """Objects that hold one of the forbidden matrices, in any of the usual codes.

    Found are arrays and tensors with the same number of elements (any layout, transposed too) whose positive entries
    are where the labels are +1, whatever stands for the others (-1, 0, False); and lists or tuples that hold, row by
    row, the columns of the positive labels.

    Args:
        forbidden: name → int8 [N, C]. Matrices without both present and other labels are of no use: anything matches.
        known: what was found before and is not to be found again (what a caller held before a run began).

    Raises:
        ValueError: a matrix is constant.
    """
    wanted = {name: _Wanted(labels) for name, labels in forbidden.items()}
    # Labels that the caller holds are what is looked for, not a leak.
    own = {id(labels) for labels in forbidden.values()}
    own |= {id(array) for target in wanted.values() for array in target.matrices}
    own |= {id(target.rows) for target in wanted.values()}
    own |= {id(leak.thing) for leak in known}
    leaks = []
    for thing in _reachable({target.size for target in wanted.values()}, {len(t.rows) for t in wanted.values()}):
        if id(thing) in own:
            continue
        for name, target in wanted.items():
            if target.matches(thing):
                leaks.append(Leak(name, f"{type(thing).__module__}.{type(thing).__qualname__}", thing))
    return leaks


class _Wanted:
    def __init__(self, labels: Labels) -> None:
        present = np.asarray(labels) == 1
        if present.all() or not present.any():
            raise ValueError("labels that are all alike would be found everywhere")
        self.size = present.size
        self.matrices = [present.flatten(), present.T.flatten()]
        self.rows = [np.flatnonzero(row).tolist() for row in present]

    def matches(self, thing: object) -> bool:
        if isinstance(thing, list | tuple):
            return len(thing) == len(self.rows) and self._same_rows(thing)
        array = _as_array(thing, self.size)
        if array is None:
            return False
        positive = (array > 0).ravel()
        return any(np.array_equal(positive, matrix) for matrix in self.matrices)

    def _same_rows(self, thing: list[Any] | tuple[Any, ...]) -> bool:
        for row, mine in zip(thing, self.rows, strict=True):
            if not isinstance(row, list | tuple | set | frozenset) or len(row) != len(mine):
                return False
            if not all(isinstance(column, int) for column in row) or sorted(row) != mine:
                return False
        return True


def _as_array(thing: object, size: int) -> npt.NDArray[Any] | None:
    if isinstance(thing, torch.Tensor):
        if thing.numel() != size or thing.is_complex() or thing.layout is not torch.strided or thing.is_meta:
            return None
        return np.asarray(thing.detach().cpu().to(torch.float64).numpy())
    if isinstance(thing, np.ndarray) and thing.size == size and thing.dtype.kind in "biuf":
        return thing
    return None


def _reachable(sizes: set[int], lengths: set[int]) -> Iterator[object]:
    """Arrays and tensors of one of the sizes, lists and tuples of one of the lengths, each once."""
    # First, because a frame keeps the locals it last showed until it is asked again.
    held = list(_held_by_frames())
    gc.collect()  # what nobody can reach any more is no leak
    tracked = gc.get_objects()
    # Arrays of numbers are not tracked by the collector; they are found through what refers to them.
    found: dict[int, object] = {}
    for things in (tracked, gc.get_referents(*tracked), held):
        for thing in _of_interest(things, lengths):
            found[id(thing)] = thing
            if isinstance(thing, np.ndarray) and isinstance(thing.base, np.ndarray):
                found[id(thing.base)] = thing.base
    for own in (held, tracked):
        found.pop(id(own), None)
    for thing in found.values():
        if isinstance(thing, list | tuple) or _size(thing) in sizes:
            yield thing


def _of_interest(things: list[object], lengths: set[int]) -> Iterator[object]:
    """A fast sieve: millions of objects pass through here."""
    arrays: dict[type, bool] = {}
    sequences: dict[type, bool] = {}
    for thing in things:
        kind = type(thing)
        if kind not in arrays:
            # By type, never by isinstance: asking some lazy objects for their class imports things or warns.
            arrays[kind] = issubclass(kind, np.ndarray | torch.Tensor)
            sequences[kind] = issubclass(kind, list | tuple)
        if arrays[kind] or (sequences[kind] and len(thing) in lengths):  # type: ignore[arg-type]
            yield thing


def _size(thing: object) -> int:
    if not isinstance(thing, torch.Tensor):
        return int(getattr(thing, "size", -1))
    size = thing.numel()
    # Tensors of an exported program hold nothing, and may have a symbol for their size.
    return size if isinstance(size, int) else -1


def _held_by_frames() -> Iterable[object]:
    """What running functions hold, in all threads, this module's own apart."""
    for top in sys._current_frames().values():
        frame: FrameType | None = top
        while frame is not None:
            if frame.f_globals.get("__name__") != __name__:
                yield from list(frame.f_locals.values())
            frame = frame.f_back
