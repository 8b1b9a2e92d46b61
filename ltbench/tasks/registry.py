"""Addresses (``shapes-plt@mr40``) to tasks, and tasks to opened data sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ltbench.data.base import DataRoot, DataSet
from ltbench.plugin.errors import UnknownName, UserError
from ltbench.plugin.manager import registry
from ltbench.tasks.task import Fingerprints, Task
from ltbench.tasks.views.opened import TaskData


def resolve(address: str) -> list[Task]:
    """All tasks that an address names: ``name`` expands to every setting, ``name@setting`` is one.

    A path to a task folder, or the name of one made by ``ltbench task new``, works as well.

    Raises:
        UnknownName: no such task or setting; the nearest is suggested.
        UserError: a task folder that cannot be read.
    """
    from ltbench.tasks.own.custom import find_custom, load_custom

    name, _, setting = address.partition("@")
    catalogue = registry().tasks
    if name not in catalogue and name not in catalogue.conflicts:
        folder = find_custom(address)
        if folder is not None:
            return [load_custom(folder)]
    spec = catalogue.get(name).spec
    if setting and not spec.settings:
        raise UserError(f"task {name} has no settings, so {setting!r} is none of them", f"ltbench show task {name}")
    if setting and setting not in spec.settings:
        raise UnknownName(f"setting of {name}", setting, spec.settings, f"ltbench show task {name}")
    build: Callable[[str | None], Task] = spec.load()
    return [build(s) for s in ([setting] if setting else spec.settings or (None,))]


@dataclass(frozen=True)
class PinnedTask:
    """One task as an address named it, for another process to open: an address alone may name another task there.

    Attributes:
        address: name with setting.
        version: of the task.
        fingerprints: its pinned hashes.
        folder: the task folder that it was loaded from; None for a registered task.
    """

    address: str
    version: int
    fingerprints: Fingerprints
    folder: Path | None = None

    @classmethod
    def of(cls, task: Task) -> PinnedTask:
        """Pin a task."""
        folder = None
        if task.family == "custom":
            from ltbench.tasks.own.custom import folder_of

            found = folder_of(task)
            folder = None if found is None else found.resolve()
        return cls(task.address, task.version, task.fingerprints, folder)

    def open(self) -> Task:
        """The very same task.

        Raises:
            UserError: it is gone, or is another one by now.
        """
        if self.folder is None:
            task = load_task(self.address)
        else:
            from ltbench.tasks.own.custom import load_custom

            task = load_custom(self.folder)
        if (task.address, task.version, task.fingerprints) != (self.address, self.version, self.fingerprints):
            raise UserError(f"task {self.address} was changed meanwhile", "the same command again, for the new one")
        return task


def load_task(address: str) -> Task:
    """The one task that an address names.

    Raises:
        UserError: the address stands for several settings.
    """
    found = resolve(address)
    if len(found) > 1:
        choices = ", ".join(task.address for task in found)
        raise UserError(f"{address} stands for {len(found)} settings: {choices}", f"name one, e.g. {found[0].address}")
    return found[0]


def open_data_set(task: Task, root: DataRoot) -> DataSet:
    """Open the data set of a task, and whatever else it needs, making or fetching what is not there.

    Where the test rows are of another data set, or authors released files that define the task, a
    :class:`~ltbench.tasks.views.opened.TaskData` comes back, which holds those as well.

    Raises:
        UnknownName: no plugin registers the data set.
        UserError: the data cannot be had.
    """
    if task.family == "custom" and task.data_set.startswith("folder:"):
        from ltbench.data.own.folder import open_folder
        from ltbench.tasks.own.custom import folder_of

        folder = folder_of(task)
        if folder is None:
            raise UserError(f"the folder of task {task.name} is gone", "ltbench task new --help")
        # LTBENCH_DATA may name other data sets, so it only stands in for a folder of images that has gone.
        return open_folder(folder, fallback=root.root)
    data = _open(task.data_set, root)
    if task.test_data_set is None and not task.published:
        return data
    test = None if task.test_data_set is None else _open(task.test_data_set, root)
    return TaskData(
        data.name, data.class_names, data.parts, data.open_part, data.label_groups, test, files_of(task, root)
    )


def _open(name: str, root: DataRoot) -> DataSet:
    opener: Callable[[DataRoot], DataSet] = registry().datasets.get(name).spec.load()
    return opener(root)


def files_of(task: Task, root: DataRoot) -> Callable[[str], Path]:
    """What fetches the published files of a task by their names."""
    known = {source.name: source for source in task.sources}

    def opened(name: str) -> Path:
        from ltbench.data.getting.fetch import fetch

        return fetch(known[name], root)

    return opened
