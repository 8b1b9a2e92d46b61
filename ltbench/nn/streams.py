"""Several orders of rows side by side, for methods that train branches on differently sampled images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltbench.nn.samplers import Rows


class Stream(Protocol):
    """What a :class:`StreamSampler` draws from: any sampler."""

    def epoch(self, epoch: int, rng: np.random.Generator) -> Rows:
        """Row numbers, at least one."""
        ...


class ClassDrawSampler:
    """Draws with replacement: first a class by its weight, then one of its rows, each as likely as the other.

    With weights ``1 / n_c`` this is the reversed sampler of BBN (Zhou et al., CVPR 2020, section 4.2), which turns the
    long tail around; with equal weights the balanced one. An image with several classes can be drawn for each of them.

    Args:
        observed: observed labels int8 [N, C]; a row belongs to the classes where it is +1. Classes without positives
            are never drawn.
        weights: one a class [C], not negative, of any sum.
        rows: rows an epoch; ``None`` takes N.

    Raises:
        ValueError: another number of weights than classes, a negative one, or nothing to draw.
    """

    def __init__(
        self, observed: npt.NDArray[np.int8], weights: Sequence[float] | npt.NDArray[Any], rows: int | None = None
    ) -> None:
        labels, given = np.asarray(observed), np.asarray(weights, dtype=np.float64)
        if given.shape != (labels.shape[1],) or not bool((np.isfinite(given) & (given >= 0)).all()):
            raise ValueError(f"weights: expected {labels.shape[1]} finite numbers >= 0, one a class")
        self._members = [np.flatnonzero(column == 1).astype(np.int64) for column in labels.T]
        usable = np.where([len(members) > 0 for members in self._members], given, 0.0)
        if not usable.sum() > 0:
            raise ValueError("no class with a weight has an observed positive")
        self.shares: npt.NDArray[np.float64] = usable / usable.sum()
        self.length = len(labels) if rows is None else rows

    def epoch(self, epoch: int, rng: np.random.Generator) -> Rows:
        """Row numbers int64 [length]."""
        classes = rng.choice(len(self.shares), size=self.length, p=self.shares)
        return np.array([rng.choice(self._members[c]) for c in classes], dtype=np.int64)


class StreamSampler:
    """K samplers side by side: rows come in turns, one of each, so row i of an epoch is of stream ``i mod K``.

    Batches of a size that K divides hold as many rows of each stream, and :func:`split_streams` takes them apart. A
    stream is drawn anew whenever it runs out; what an epoch leaves of it is kept for the next, so that a shuffled
    stream shows every row before any comes again, however short the epochs are.

    Args:
        streams: the samplers, in the order of the method's branches.
        rows: rows of each stream an epoch, so an epoch has K times as many.

    Raises:
        ValueError: no stream, or no row.
    """

    def __init__(self, streams: Sequence[Stream], rows: int) -> None:
        if not streams or rows < 1:
            raise ValueError(f"expected at least one stream and one row, got {len(streams)} streams and rows={rows}")
        self.streams = tuple(streams)
        self.rows = rows
        self._left: list[Rows] = [np.empty(0, dtype=np.int64) for _ in self.streams]

    def epoch(self, epoch: int, rng: np.random.Generator) -> Rows:
        """Row numbers int64 [K * rows].

        Raises:
            ValueError: a stream drew nothing.
        """
        taken = []
        for number, stream in enumerate(self.streams):
            drawn = [self._left[number]]
            while sum(map(len, drawn)) < self.rows:
                more = np.asarray(stream.epoch(epoch, rng), dtype=np.int64)
                if not len(more):
                    raise ValueError(f"stream {number} drew no row")
                drawn.append(more)
            order = np.concatenate(drawn)
            taken.append(order[: self.rows])
            self._left[number] = order[self.rows :].copy()
        return np.stack(taken, axis=1).ravel()

    def state_dict(self) -> dict[str, Any]:
        """What is left of each stream, and the streams' own states."""
        return {
            "left": [torch.from_numpy(rows.copy()) for rows in self._left],
            "streams": [dict(_state_of(stream)) for stream in self.streams],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore them.

        Raises:
            ValueError: the state has another number of streams.
        """
        if len(state["left"]) != len(self.streams) or len(state["streams"]) != len(self.streams):
            raise ValueError(f"the state is of {len(state['left'])} streams, not of {len(self.streams)}")
        self._left = [np.asarray(rows, dtype=np.int64).copy() for rows in state["left"]]
        for stream, own in zip(self.streams, state["streams"], strict=True):
            restore = getattr(stream, "load_state_dict", None)
            if callable(restore):
                restore(own)


def split_streams(tensor: Tensor, streams: int) -> tuple[Tensor, ...]:
    """The rows of each stream [n / K, …] of a batch [n, …] that a :class:`StreamSampler` ordered.

    Raises:
        ValueError: K does not divide n.
    """
    if len(tensor) % streams:
        raise ValueError(f"a batch of {len(tensor)} rows does not split into {streams} streams")
    return tuple(tensor[number::streams] for number in range(streams))


def _state_of(stream: Stream) -> Mapping[str, Any]:
    state = getattr(stream, "state_dict", None)
    return state() if callable(state) else {}
