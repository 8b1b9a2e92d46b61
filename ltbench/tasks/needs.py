"""What a task or a data set needs on this machine: where the way of ``ltbench.data.getting`` begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ltbench.data.base import DataRoot, DataSet
from ltbench.data.getting.bring import bring
from ltbench.data.getting.here import is_begun, is_here
from ltbench.data.getting.needs import Needs, Piece
from ltbench.data.getting.plan import Plan, plan
from ltbench.data.getting.sources import Source
from ltbench.plugin.errors import UnknownName, UserError
from ltbench.plugin.manager import registry
from ltbench.tasks.task import Task


def sources_of(task: Task, checks: bool = False) -> list[Source]:
    """The published files of a task.

    Args:
        checks: also those that it is only compared with.
    """
    wanted = (file.source for file in task.published if checks or file.use == "defines")
    return list(dict.fromkeys(wanted))


def parts_of(task: Task) -> dict[str, tuple[str, ...]]:
    """The parts that a task opens, by data set."""
    train = [task.train_part, *([task.validation.part] if task.validation.part else [])]
    parts = {task.data_set: train}
    parts.setdefault(task.test_data_set or task.data_set, []).append(task.test_part)
    return {name: tuple(dict.fromkeys(found)) for name, found in parts.items()}


def pieces_of(data_set: str, parts: Iterable[str] | None = None) -> list[Piece]:
    """What a data set consists of on disk; empty for one that needs nothing, or whose plugin does not say.

    Args:
        parts: only what these parts need; None for all.

    Raises:
        UnknownName: no plugin registers the data set.
    """
    if data_set.startswith("folder:"):
        return []
    spec = registry().datasets.get(data_set).spec
    if spec.pieces is None:
        return []
    found: Callable[[], Iterable[Piece]] = spec.load_target(spec.pieces)
    wanted = None if parts is None else list(parts)
    return [piece for piece in found() if wanted is None or any(piece.needed_by(part) for part in wanted)]


def how_to_complete(task: Task) -> str:
    """The next command where some of a task's images or rows are missing."""
    official = any(piece.source for name, parts in parts_of(task).items() for piece in pieces_of(name, parts))
    if official:
        return f"ltbench data prepare {task.name} --repair, or --data-root DIR with all of them"
    return "put them back, or make the task again from those that are there"


def needs_of_task(tasks: Iterable[Task], name: str, checks: bool = False) -> Needs:
    """What some settings of a task need together.

    Args:
        name: as typed.
        checks: also the files that they are only compared with.
    """
    sources: dict[Source, None] = {}
    pieces: dict[Piece, None] = {}
    for task in tasks:
        sources |= dict.fromkeys(sources_of(task, checks))
        for data_set, parts in parts_of(task).items():
            pieces |= dict.fromkeys(pieces_of(data_set, parts))
    return Needs(name, tuple(sources), tuple(pieces))


def tasks_of(name: str) -> list[Task]:
    """Tasks of an address, where a data set's name could have been given as well.

    Raises:
        UnknownName: neither a task nor a data set has the name.
    """
    from ltbench.tasks.registry import resolve

    try:
        return resolve(name)
    except UnknownName as error:
        if error.kind != "task":
            raise
        known = [*registry().tasks.names(), *registry().datasets.names()]
        raise UnknownName("task or data set", name, known, "ltbench list tasks, ltbench list datasets") from error


def needs_of(name: str, checks: bool = False) -> Needs:
    """What a task (all settings, or one: ``task@setting``) or a whole data set needs.

    Raises:
        UnknownName: neither a task nor a data set has the name.
    """
    if name in registry().datasets:
        return Needs(name, (), tuple(pieces_of(name)))
    return needs_of_task(tasks_of(name), name, checks)


def plan_of_run(task: Task, root: DataRoot) -> Plan:
    """What a run of the task lacks: nothing is brought, only told.

    A data set whose parts open is taken as it is, whatever of its official files is not there; only an archive that we
    have begun to unpack is still wanted.
    """
    pieces: list[Piece] = []
    for data_set, parts in parts_of(task).items():
        needed = pieces_of(data_set, parts)
        # Names of files are looked at first: to open a data set takes time, and leaves what was read in the cache.
        if all(is_here(piece, root) for piece in needed):
            continue
        if _opens(data_set, parts, root):
            needed = [piece for piece in needed if is_begun(piece, root)]
        pieces += needed
    return plan(Needs(task.address, tuple(sources_of(task)), tuple(pieces)), root)


def bring_missing(task: Task, root: DataRoot) -> None:
    """Download what a run of the task lacks; the size is told first. Offline, a mirror folder alone is asked.

    Raises:
        UserError: something could not be brought.
    """
    wanted = plan_of_run(task, root)
    if root.offline and not any(item.mirrored for item in wanted.missing):
        return
    if not wanted.complete:
        bring(wanted, root)


def _opens(data_set: str, parts: Iterable[str], root: DataRoot) -> bool:
    opener: Callable[[DataRoot], DataSet] = registry().datasets.get(data_set).spec.load()
    try:
        opened = opener(root)
        for part in parts:
            opened.part(part)
    except UserError:
        # What is wrong is told by whoever opens it for the run, if it still is after the download.
        return False
    return True
