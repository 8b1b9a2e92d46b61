"""Pictures of coming batches, loaded by threads while the module learns from the one before.

Threads, not processes: decoding and resizing let go of Python's lock, towers need not be copied, an error keeps its
picture's name, and nothing is left behind by an interrupt. Which view of a row is shown is drawn for the row alone
(:class:`~ltbench.engine.seeds.Views`), and batches are put together in their order, so that results are the same to the
bit for any number of threads.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from torch import Tensor

from ltbench.plugin.system import usable_cores

#: Threads that a run takes at most when nobody asks for more.
MOST: Final = 8
#: Pictures that may be under way beyond those of the batch in hand.
AHEAD: Final = 64
#: Pictures with fewer pixels a side are loaded faster than they are handed from thread to thread.
SMALL: Final = 128

#: What loads one picture.
Load = Callable[[], Tensor]
D = TypeVar("D")


def workers_of(asked: int | None, threads: int, side: int | None) -> int:
    """Threads that load pictures: as asked, else the cores that the run does not compute with.

    Args:
        asked: None where nobody did; then none for small pictures, and eight at most.
        threads: that the run computes with.
        side: of the pictures as the tower takes them, in pixels; None for features.
    """
    if asked is not None:
        return asked
    if side is None or side < SMALL:
        return 0
    return min(MOST, max(0, usable_cores() - threads))


class Waited:
    """How long whoever takes things waited for the next one.

    Attributes:
        seconds: since :meth:`start`.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def start(self) -> None:
        """Begin to count anew."""
        self.seconds = 0.0

    def each(self, things: Iterable[D]) -> Iterator[D]:
        """The same things."""
        coming = iter(things)
        while True:
            began = time.perf_counter()
            try:
                thing = next(coming)
            except StopIteration:
                return
            finally:
                self.seconds += time.perf_counter() - began
            yield thing


def loaded(batches: Iterable[tuple[D, Sequence[Load]]], workers: int) -> Iterator[tuple[D, list[Tensor]]]:
    """Batches with their pictures, in order; at most 64 pictures, or two a thread, are under way beyond a batch.

    Args:
        batches: what each batch is, and what loads its pictures.
        workers: threads; 0 loads when a batch is asked for.

    Raises:
        Exception: what loading the first bad picture of a batch raised.
    """
    if workers == 0:
        for what, loads in batches:
            yield what, [load() for load in loads]
        return
    coming = iter(batches)
    begun: deque[tuple[D, int]] = deque()
    waiting: deque[Load] = deque()
    flying: deque[Future[Tensor]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="ltbench-pictures")

    def send() -> None:
        while len(flying) < max(AHEAD, 2 * workers):
            if not waiting:
                batch = next(coming, None)
                if batch is None:
                    return
                begun.append((batch[0], len(batch[1])))
                waiting.extend(batch[1])
                continue
            flying.append(pool.submit(waiting.popleft()))

    try:
        send()
        while begun:
            what, count = begun.popleft()
            pictures = []
            for _ in range(count):
                pictures.append(flying.popleft().result())
                send()
            yield what, pictures
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
