"""The processes that work on one run together: what one of them says to all, and what all of them say to each.

Every process walks through a run as it would alone. They meet where something has to be one: rank 0 decides and writes,
batches to encode and rows to train on are dealt, gradients are averaged (:mod:`ltbench.engine._mmengine`). Values go
through torch.distributed on the CPU (gloo), gradients between GPUs through nccl.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltbench.engine.launched import Launched, launched
from ltbench.plugin.errors import UserError

T = TypeVar("T")

#: How long a process waits for the others: what one does alone (predicting, judging) takes as long as it takes. A
#: process that dies closes its connections, which ends the others at once.
_PATIENCE: Final = timedelta(days=7)


#: What a user is told: message, hint and details of an error.
_Told = tuple[str, str, tuple[str, ...]]


class PeerFailed(UserError):
    """Another process of the run failed and said why; rank 0 is the one that shows it."""


class Ranks:
    """A process alone, and what several have in common with it.

    Attributes:
        rank: number of this process.
        world: number of processes.
    """

    rank = 0
    world = 1

    @property
    def first(self) -> bool:
        """Whether this process decides and writes."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.world > 1

    def agree(self, make: Callable[[], T]) -> T:
        """What rank 0 makes, on all.

        Raises:
            UserError: what rank 0 raised, on all.
        """
        return make()

    def each(self, do: Callable[[], T]) -> T:
        """Do something everywhere, and go on when it is done everywhere.

        Raises:
            UserError: what the first rank that failed raised, on all.
        """
        return do()

    def gather(self, value: T) -> list[T]:
        """The values of all ranks, in their order."""
        return [value]

    def wait(self) -> None:
        """Go on when all are here."""

    def share(self, tensor: Tensor, rows: list[npt.NDArray[np.int64]]) -> None:
        """Bring rows of a tensor up to date on all ranks.

        Args:
            tensor: [N, …], changed in place.
            rows: of each rank, those that it changed.
        """


class Group(Ranks):
    """A process among several, which torch.distributed connects."""

    def __init__(self, rank: int, world: int) -> None:
        self.rank, self.world = rank, world

    def agree(self, make: Callable[[], T]) -> T:
        """What rank 0 makes, on all."""
        if not self.first:
            value, told = self._say(None)
            if told is not None:
                raise PeerFailed(*told)
            return value  # type: ignore[no-any-return]
        try:
            made = make()
        except UserError as error:
            self._say((None, _told(error)))
            raise
        self._say((made, None))
        return made

    def _say(self, value: Any) -> Any:
        held = [value]
        torch.distributed.broadcast_object_list(held, src=0)
        return held[0]

    def each(self, do: Callable[[], T]) -> T:
        """Do something everywhere."""
        found: T | None = None
        own: UserError | None = None
        try:
            found = do()
        except UserError as error:
            own = error
        told = self.gather(None if own is None else _told(own))
        failed = next((rank for rank, problem in enumerate(told) if problem is not None), None)
        if failed is None:
            return found  # type: ignore[return-value]
        message, hint, details = told[failed] or ("", "", ())
        if not self.first:
            raise PeerFailed(message, hint, details)
        if own is not None:
            raise own
        raise UserError(f"rank {failed}: {message}", hint, details)

    def gather(self, value: T) -> list[T]:
        """The values of all ranks."""
        found: list[Any] = [None] * self.world
        torch.distributed.all_gather_object(found, value)
        return found

    def wait(self) -> None:
        """Go on when all are here; a message on the CPU, so that no GPU spins meanwhile."""
        self.gather(None)

    def share(self, tensor: Tensor, rows: list[npt.NDArray[np.int64]]) -> None:
        """Bring rows of a tensor up to date on all ranks; of a row that several changed, the last counts."""
        most = max(len(part) for part in rows)
        own = tensor[torch.from_numpy(rows[self.rank]).to(tensor.device)]
        # Collectives know numbers: truth values travel as bytes, and every rank sends as many rows.
        sent = torch.zeros((most, *own.shape[1:]), dtype=_travels_as(own.dtype), device=own.device)
        sent[: len(own)] = own
        found = [torch.empty_like(sent) for _ in rows]
        torch.distributed.all_gather(found, sent)
        for part, values in zip(rows, found, strict=True):
            tensor[torch.from_numpy(part).to(tensor.device)] = values[: len(part)].to(tensor.dtype)


def _told(error: UserError) -> _Told:
    # Not the error itself: some of its kinds cannot be made again from what they hold.
    return error.message, error.hint, error.details


def _travels_as(dtype: torch.dtype) -> torch.dtype:
    return torch.uint8 if dtype == torch.bool else dtype


ALONE: Final = Ranks()


def device_of(name: str, among: Launched) -> str:
    """The device of one process among several: each takes a GPU of its own.

    Args:
        name: as asked for.

    Raises:
        UserError: one GPU was asked for by its number, or there are fewer GPUs than processes.
    """
    if among.world == 1 or name == "cpu":
        return name
    if name == "mps" or ":" in name:
        raise UserError(
            f"device {name} is one, and there are {among.world} processes that need one each",
            "--device auto|cpu|cuda, or one process",
        )
    if not torch.cuda.is_available():
        return name
    count = torch.cuda.device_count()
    if among.local >= count:
        raise UserError(
            f"there are more processes on this machine than its {count} GPU{'s' if count != 1 else ''}",
            f"torchrun --nproc-per-node {count} …, or --device cpu",
        )
    return f"cuda:{among.local}"


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """The processes that were started for this run, connected; one alone where there are no others.

    Args:
        device: as asked for; gradients between GPUs go through nccl, everything else through gloo.

    Raises:
        UserError: the processes cannot be connected, or not have a device each.
    """
    among = launched()
    if among.world == 1:
        yield ALONE
        return
    here = device_of(device, among)
    if not torch.distributed.is_available():
        raise UserError("this torch was built without torch.distributed", "one process: python -m ltbench run …")
    backend = "cpu:gloo,cuda:nccl" if here.startswith("cuda") else "gloo"
    if here.startswith("cuda"):
        torch.cuda.set_device(torch.device(here))
    try:
        torch.distributed.init_process_group(backend, timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"the processes of this run cannot be connected: {' '.join(str(error).split())}",
            "torchrun --nproc-per-node N -m ltbench run …",
        ) from error
    try:
        yield Group(among.rank, among.world)
    finally:
        torch.distributed.destroy_process_group()
