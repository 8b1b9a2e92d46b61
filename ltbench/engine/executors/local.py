"""Processes on this machine, which share its cores and take a graphics processor each."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from ltbench.engine.cells import CellResult, work
from ltbench.engine.executors.base import ExecutorOptions, Job, Seen
from ltbench.method.local import use_file
from ltbench.plugin.errors import UserError
from ltbench.plugin.system import end_with_parent, graphics_processors, usable_cores

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_SPAWN = multiprocessing.get_context("spawn")


class LocalExecutor:
    """A pool of processes, each of which makes many runs; one that dies takes only the runs in flight with it.

    Args:
        jobs: processes.
        threads: CPU threads of each.
        gpus: graphics processors as ``CUDA_VISIBLE_DEVICES`` names them, dealt to the processes in turn; empty leaves
            the variable alone.
    """

    lasting: ClassVar[bool] = False
    heeds: ClassVar[frozenset[str]] = frozenset({"cpus", "gpus"})

    def __init__(self, jobs: int, threads: int, gpus: Sequence[str] = ()) -> None:
        self._jobs = jobs
        self._threads = threads
        self._gpus = tuple(gpus)
        self._pool: ProcessPoolExecutor | None = None
        self._flying: dict[str, Future[tuple[CellResult, ...]]] = {}

    def room(self) -> int:
        """As many as there are processes."""
        return self._jobs

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Give jobs to the pool, which is made anew where a process of it has died."""
        for job in jobs:
            self._flying[job.name] = self._submit(job)
        return [job.name for job in jobs]

    def _submit(self, job: Job) -> Future[tuple[CellResult, ...]]:
        if self._pool is not None:
            try:
                return self._pool.submit(make, job)
            except BrokenProcessPool:
                self._pool.shutdown()
        self._pool = self._new()
        return self._pool.submit(make, job)

    def _new(self) -> ProcessPoolExecutor:
        how = (self._threads, deal(self._gpus, self._jobs))
        return ProcessPoolExecutor(self._jobs, mp_context=_SPAWN, initializer=begin_process, initargs=how)

    def look(self, ids: Sequence[str]) -> dict[str, Seen]:
        """How jobs stand; a job whose process died is over and has no results."""
        return {name: self._look(name) for name in ids}

    def _look(self, name: str) -> Seen:
        future = self._flying.get(name)
        if future is None:
            return Seen("over")
        if not future.done():
            return Seen("running" if future.running() else "waiting")
        del self._flying[name]
        try:
            return Seen("over", future.result())
        except BrokenProcessPool:
            return Seen("over", why="its process died")

    def wait(self, seconds: float) -> None:
        """Wait for the next job that ends."""
        if self._flying:
            wait(self._flying.values(), seconds, FIRST_COMPLETED)
        else:
            time.sleep(seconds)

    def cancel(self, ids: Sequence[str]) -> None:
        """Take back jobs that have not begun; a process that computes is let finish."""
        for name in ids:
            if name in self._flying and self._flying[name].cancel():
                del self._flying[name]

    def close(self) -> None:
        """End the processes; jobs that have not begun are dropped."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def open_local(options: ExecutorOptions) -> LocalExecutor:
    """As many processes as cores, or graphics processors where runs take one, allow."""
    cpus = max(options.threads, options.resources.cpus or 1)
    gpus = gpus_for(options.device)
    jobs = options.jobs or max(1, usable_cores() // cpus)
    if gpus and not options.jobs:
        # Two runs on one card take each other's memory, and no less time together.
        jobs = min(jobs, len(gpus))
    return LocalExecutor(jobs, options.threads, gpus)


def gpus_for(device: str) -> tuple[str, ...]:
    """Graphics processors to deal to processes; none where one was asked for by its number, or none at all."""
    return tuple(graphics_processors() or ()) if device in ("auto", "cuda") else ()


def deal(gpus: Sequence[str], jobs: int) -> SimpleQueue[str] | None:
    """Graphics processors as so many processes take them; None where they are given none."""
    if not gpus:
        return None
    dealt: SimpleQueue[str] = _SPAWN.SimpleQueue()
    for number in range(jobs):
        dealt.put(gpus[number % len(gpus)])
    return dealt


def begin_process(threads: int, gpus: SimpleQueue[str] | None, files: Sequence[str] = ()) -> None:
    """Threads of a worker process, its graphics processor, methods from files; it ends with its parent."""
    end_with_parent()
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    if gpus is not None:
        os.environ[_VISIBLE] = gpus.get()
    _use(files)


def make(job: Job) -> tuple[CellResult, ...]:
    """The runs of a job, in a worker process, without waiting for those that another process makes just now."""
    _use(job.files)
    return tuple(work(cell, job.plan, job.options, wait=0.0) for cell in job.cells)


def _use(files: Sequence[str]) -> None:
    for path in files:
        # A file that can no longer be read is told by each of its runs.
        with suppress(UserError):
            use_file(path)
