"""Trials of a search, many at a time in processes of their own: the same trials as in one, told as they end."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

from ltbench.engine.executors.local import begin_process, deal
from ltbench.plugin.errors import UserError

T = TypeVar("T")
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Trial:
    """One configuration tried.

    Attributes:
        overrides: what it changes against the base configuration; trial 0 changes nothing.
        status: ``completed``, ``diverged``, ``timeout`` or ``failed``.
        score: the task's headline metric over the validation rows, percent; None unless completed.
    """

    number: int
    overrides: dict[str, Any]
    status: str
    score: float | None
    seconds: float
    reason: str = ""


def in_processes(
    numbers: list[int],
    ready: Callable[[int], bool],
    arguments: Callable[[int], Mapping[str, Any]],
    work: Callable[..., T],
    *,
    jobs: int,
    threads: int,
    gpus: tuple[str, ...] = (),
    files: tuple[str, ...] = (),
) -> Iterator[tuple[int, T]]:
    """Results of numbered work as they come.

    Args:
        numbers: of the work that is left, in order.
        ready: whether the work of a number can be begun; asked again after each result.
        arguments: of the work of a number.
        work: called in another process.
        jobs: processes.
        threads: CPU threads of each.
        gpus: dealt to the processes in turn.
        files: Python files of methods that only files hold.

    Raises:
        UserError: a process died twice under the same work.
        Exception: what the work raised; what was under way is let finish.
    """
    left, died = list(numbers), set[int]()
    while left:
        how = (threads, deal(gpus, jobs), files)
        with ProcessPoolExecutor(jobs, mp_context=_SPAWN, initializer=begin_process, initargs=how) as pool:
            flying: dict[Future[T], int] = {}
            try:
                while left or flying:
                    while left and len(flying) < jobs and ready(left[0]):
                        number = left.pop(0)
                        flying[pool.submit(work, **arguments(number))] = number
                    finished, _ = wait(flying, return_when=FIRST_COMPLETED)
                    for future in sorted(finished, key=flying.__getitem__):
                        result = future.result()
                        yield flying.pop(future), result
            except BrokenProcessPool as error:
                lost = sorted(flying.values())
                if twice := died.intersection(lost):
                    raise UserError(
                        f"the process of trial {min(twice)} died twice", "fewer --jobs, or a smaller space"
                    ) from error
                died.update(lost)
                left = sorted([*lost, *left])
            except BaseException:
                for future in flying:
                    future.cancel()
                raise
