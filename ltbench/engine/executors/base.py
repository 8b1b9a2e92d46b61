"""What an executor is: something that takes jobs, says how they stand, and can be told to give one up.

An executor moves work and decides nothing. What a job found lies in the store and, in few words, in the book of the
sweep (:mod:`ltbench.engine.executors.book`); whether a run is finished is asked there and never of the executor, which
on most clusters forgets a job some minutes after it has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from ltbench.engine.cells import Cell, CellResult
from ltbench.engine.executors.resources import DEFAULT, Resources
from ltbench.engine.how import SweepOptions
from ltbench.engine.sweep_plan import SweepPlan
from ltbench.plugin.errors import UserError
from ltbench.plugin.manager import registry

#: ``unknown``: whoever could tell does not answer just now.
State = Literal["waiting", "running", "over", "unknown"]


@dataclass(frozen=True)
class Job:
    """Runs that one process makes one after the other.

    Attributes:
        name: unlike that of any other job, safe as a file name.
        cells: the runs.
        files: Python files of methods that only files hold.
        resources: what the job is to be granted.
        folder: of the sweep's book, from which another machine learns all of this; None where the job goes to a child
            of this process, which is given it.
        avoid: machines that failed its runs before, as the executor calls them; one that can choose takes others.
    """

    name: str
    cells: tuple[Cell, ...]
    plan: SweepPlan
    options: SweepOptions
    files: tuple[str, ...] = ()
    resources: Resources = DEFAULT
    folder: Path | None = None
    avoid: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """How a job stands.

    Attributes:
        results: what the job answered, where it answers by itself; else None, and the book is asked.
        why: what the executor knows of a job that ended badly.
    """

    state: State
    results: tuple[CellResult, ...] | None = None
    why: str = ""


@dataclass(frozen=True)
class ExecutorOptions:
    """What an executor is opened with.

    Attributes:
        jobs: jobs at a time; 0 leaves it to the executor.
        threads: CPU threads of a run.
        device: as typed (``auto``, ``cpu``, ``cuda`` …).
        resources: the most that one of the jobs needs.
        address: of a scheduler, where the executor has one elsewhere.
        settings: what the resources file says for this executor alone.
        folder: for logs; None where nothing outlives this process.
    """

    jobs: int = 0
    threads: int = 1
    device: str = "auto"
    resources: Resources = DEFAULT
    address: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None


class Executor(Protocol):
    """Takes jobs. All methods are called from one thread.

    A job is made by :func:`ltbench.engine.executors.job.run_job`, given the folder of the book and the job's name; an
    executor has only to call that somewhere where the folder can be read.

    Attributes:
        lasting: jobs go on when the process that submitted them ends, so that they can be detached from.
        heeds: fields of :class:`~ltbench.engine.executors.resources.Resources` that it can grant; others are said to
            be left alone.
    """

    lasting: ClassVar[bool]
    heeds: ClassVar[frozenset[str]]

    def room(self) -> int | None:
        """Jobs that it takes at a time; None for as many as there are."""
        ...

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Take jobs that need the same resources and avoid the same machines; one identity each.

        Any process can ask for a job by its identity.

        Raises:
            UserError: the executor cannot be reached, or refuses them.
        """
        ...

    def look(self, ids: Sequence[str]) -> dict[str, Seen]:
        """How these jobs stand; one that nobody knows any more is over."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait until a job may have ended, no longer than this."""
        ...

    def cancel(self, ids: Sequence[str]) -> None:
        """Give jobs up, waiting or running; those that are over are left alone.

        Raises:
            UserError: the executor cannot be reached.
        """
        ...

    def close(self) -> None:
        """Let go of what this process holds; jobs of a lasting executor go on."""
        ...


def open_executor(name: str, options: ExecutorOptions) -> Executor:
    """The executor of a name.

    Raises:
        UnknownName: no plugin registers it.
        UserError: it cannot be used here; says what is missing.
    """
    spec = registry().executors.get(name).spec
    opener: Callable[[ExecutorOptions], Executor] = spec.load()
    if spec.addressed and options.address is None:
        raise UserError(f"executor {name} needs the address of its scheduler", "--scheduler tcp://HOST:8786")
    if not spec.addressed and options.address is not None:
        raise UserError(f"executor {name} has no scheduler to give an address of", "leave --scheduler out")
    return opener(options)
