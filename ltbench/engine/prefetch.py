"""Batches on their way to a GPU: the next one is copied while the one before is computed on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from ltbench.engine.parts import Step
from ltbench.method import Batch

A = TypeVar("A")
B = TypeVar("B")


def on_device(steps: Iterable[Step], device: torch.device) -> Iterator[Step]:
    """The same steps with their batches on a device.

    To a GPU they go from pinned memory, on a stream of their own, one step ahead; images arrive with their channels
    innermost, which its convolutions are fastest in. Values are the same.
    """
    if device.type != "cuda":
        for step in steps:
            yield step.moved(lambda batch: batch.to(device))
        return
    copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def send(step: Step) -> Step:
        with torch.cuda.stream(copies):
            return step.moved(lambda batch: _each(batch, lambda tensor: _sent(tensor, device)))

    def receive(step: Step) -> Step:
        here = torch.cuda.current_stream(device)
        here.wait_stream(copies)
        # Their memory may be given away only when what was asked of it here is done.
        return step.moved(lambda batch: _each(batch, lambda tensor: _held(tensor, here)))

    yield from ahead(steps, send, receive)


def ahead(things: Iterable[A], send: Callable[[A], B], receive: Callable[[B], B]) -> Iterator[B]:
    """Things sent one before they are received, in order."""
    coming: list[B] = []
    for thing in things:
        coming.append(send(thing))
        if len(coming) > 1:
            yield receive(coming.pop(0))
    yield from (receive(last) for last in coming)


def _each(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    given = batch.input
    moved = (change(given[0]), change(given[1])) if isinstance(given, tuple) else change(given)
    return Batch(change(batch.rows), moved, change(batch.observed), batch.captions)


def _sent(tensor: Tensor, device: torch.device) -> Tensor:
    if tensor.device.type != "cpu":
        return tensor
    layout = torch.channels_last if tensor.ndim == 4 and tensor.is_floating_point() else torch.preserve_format
    return tensor.pin_memory().to(device, non_blocking=True, memory_format=layout)


def _held(tensor: Tensor, stream: torch.cuda.Stream) -> Tensor:
    tensor.record_stream(stream)
    return tensor
