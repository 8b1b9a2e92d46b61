"""Runs through an executor: each is made once, by whoever comes first, and one that died is tried once more."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ltbench.engine.cells import Cell, CellResult
from ltbench.engine.executors.base import Executor, Job, Seen
from ltbench.engine.executors.resources import Resources

#: Tells a run whose job is over and left no word of it: from the store, or the book; None where neither has any.
Ask = Callable[[Job, Cell], CellResult | None]
#: Tells on which machine a run was tried last; empty where nobody knows.
At = Callable[[Cell], str]

#: Seconds between two looks at an executor that cannot say by itself that a job has ended.
EVERY: Final = 5.0
#: Seconds after which a run that another process was making is tried again: at first, and at most.
SOON, LATE = 3.0, 60.0
#: Seconds for which what a job wrote may be on its way to this machine.
SETTLES: Final = 10.0


@dataclass
class Flights:
    """Jobs under way.

    Attributes:
        jobs: identity → job.
        over: identity → when it was first seen to be over without a word of some of its runs.
    """

    jobs: dict[str, Job] = field(default_factory=dict)
    over: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Later:
    """A run that another process makes just now.

    Attributes:
        at: when to try again, of ``time.monotonic``.
        pause: seconds that were waited before.
    """

    cell: Cell
    at: float
    pause: float


def drive(
    groups: Sequence[Job],
    executor: Executor,
    *,
    ask: Ask,
    most: int | None = None,
    flying: dict[str, Job] | None = None,
    before: Callable[[Sequence[Job]], None] = lambda jobs: None,
    after: Callable[[Sequence[Job], Sequence[str]], None] = lambda jobs, ids: None,
    until_busy: bool = False,
    again: bool = False,
    at: At = lambda cell: "",
    settles: float = SETTLES,
) -> Iterator[CellResult]:
    """Results of all runs as they come.

    Args:
        groups: jobs in the order in which they are to begin.
        ask: tells a run whose job said nothing of it.
        most: jobs at a time, besides what the executor has room for.
        flying: jobs that were submitted before, by any process; their runs are among the results.
        before: told of jobs that are about to be submitted.
        after: told of jobs that were, and what the executor calls them.
        until_busy: a run that another process makes is a result, ``busy``; else it is tried again until that one has
            ended.
        again: a run that the machine failed (its disk is full) is tried once more, on another one where the
            executor can choose: what is submitted next would go first to the one that is free again.
        at: tells which machine that was.
        settles: seconds for which what a job wrote may be on its way here.
    """
    waiting, flights, later = deque(groups), Flights(dict(flying or {})), list[Later]()
    died: set[Cell] = set()
    pauses: dict[Cell, float] = {}
    while waiting or flights.jobs or later:
        now = time.monotonic()
        for each in [each for each in later if each.at <= now]:
            later.remove(each)
            waiting.append(_alone(each.cell, groups, flying))
        _send(waiting, flights, executor, most, before, after)
        ended = False
        for name, seen in executor.look(list(flights.jobs)).items():
            if seen.state != "over":
                continue
            job = flights.jobs[name]
            results = _results(job, seen, ask)
            if len(results) < len(job.cells) and seen.results is None and not seen.why:
                # What it wrote on another machine may not be seen on this one yet.
                first = flights.over.setdefault(name, now)
                if now - first < settles:
                    continue
            ended = True
            del flights.jobs[name]
            flights.over.pop(name, None)
            for cell in job.cells:
                result = results.get(cell)
                if result is not None and result.status == "crashed" and again and cell not in died:
                    died.add(cell)
                    avoid = tuple(name for name in (at(cell),) if name)
                    waiting.append(_renamed(replace(job, cells=(cell,), avoid=avoid)))
                elif result is None and cell in died:
                    why = "its process died twice" if seen.why in ("", "its process died") else f"{seen.why}, twice"
                    yield CellResult(cell, "crashed", 0.0, reason=why)
                elif result is None:
                    # The dead process may have been another run's; each run in flight gets one more try.
                    died.add(cell)
                    waiting.appendleft(_renamed(replace(job, cells=(cell,))))
                elif result.status == "busy" and not until_busy:
                    pauses[cell] = pause = min(LATE, 2 * pauses.get(cell, SOON / 2))
                    later.append(Later(cell, now + pause, pause))
                else:
                    yield result
        if not ended and (flights.jobs or later):
            executor.wait(EVERY if not later else max(0.1, min(EVERY, min(each.at for each in later) - now)))


def _send(
    waiting: deque[Job],
    flights: Flights,
    executor: Executor,
    most: int | None,
    before: Callable[[Sequence[Job]], None],
    after: Callable[[Sequence[Job], Sequence[str]], None],
) -> None:
    """Submit as many jobs as there is room for; those of one kind of resources together."""
    rooms = [room for room in (executor.room(), most) if room is not None]
    room = min(rooms) - len(flights.jobs) if rooms else len(waiting)
    while waiting and room > 0:
        jobs = [waiting.popleft()]
        while waiting and len(jobs) < room and _kind(waiting[0]) == _kind(jobs[0]):
            jobs.append(waiting.popleft())
        before(jobs)
        ids = executor.submit(jobs)
        after(jobs, ids)
        flights.jobs.update(zip(ids, jobs, strict=True))
        room -= len(jobs)


def _kind(job: Job) -> tuple[Resources, tuple[str, ...]]:
    return job.resources, job.avoid


def _results(job: Job, seen: Seen, ask: Ask) -> dict[Cell, CellResult]:
    if seen.results is not None:
        return {result.cell: result for result in seen.results}
    asked = {cell: ask(job, cell) for cell in job.cells}
    return {cell: result for cell, result in asked.items() if result is not None}


def _alone(cell: Cell, groups: Sequence[Job], flying: dict[str, Job] | None) -> Job:
    """A job of one run, like the one that it was in."""
    job = next(job for job in [*groups, *(flying or {}).values()] if cell in job.cells)
    return _renamed(replace(job, cells=(cell,)))


def _renamed(job: Job) -> Job:
    return replace(job, name=new_name())


def new_name() -> str:
    """The name of a new job, unlike any other."""
    return secrets.token_hex(6)
