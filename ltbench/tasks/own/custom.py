"""Tasks made from a user's own photographs (family ``custom``): finding them and loading them."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ltbench.data.own.content import read_json
from ltbench.data.own.places import task_folders, task_places
from ltbench.plugin.errors import UserError
from ltbench.tasks.task import Task

_LOADED: dict[str, Path] = {}


def find_custom(name_or_path: str) -> Path | None:
    """The task folder of a name (in the usual places) or of a path; None when there is none.

    Args:
        name_or_path: ``my-photos``, a task folder, one of its version folders, or its ``task.json``.
    """
    for place in task_places():
        if name_or_path and _is_task_folder(place / name_or_path):
            return place / name_or_path
    path = Path(name_or_path).expanduser()
    if path.name == "task.json":
        path = path.parent
    if name_or_path and _is_task_folder(path):
        return path
    loaded = [folder for key, folder in _LOADED.items() if key.startswith(f"{name_or_path}@")]
    return loaded[-1] if loaded and _is_task_folder(loaded[-1]) else None


def load_custom(folder: Path) -> Task:
    """The task of a task folder (its newest version) or of one of its version folders.

    Raises:
        UserError: the folder is no task folder, or its task was written by another version of ltbench.
    """
    document = read_json(folder / "task.json", folder)
    try:
        task = Task.model_validate(document)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "task"
        raise UserError(
            f"task folder {folder.name}: task.json does not fit this ltbench ({where}: {problem['msg']})",
            f"type the same ltbench task new {folder.name} … again",
        ) from error
    _LOADED.pop(_key(task), None)
    _LOADED[_key(task)] = folder
    return task


def folder_of(task: Task) -> Path | None:
    """The folder a custom task was loaded from in this process, else the one of its name."""
    loaded = _LOADED.get(_key(task))
    return loaded if loaded is not None and _is_task_folder(loaded) else find_custom(task.name)


def custom_tasks() -> list[Task]:
    """All readable custom tasks in the usual places, by name."""
    found = []
    for folder in task_folders():
        try:
            found.append(load_custom(folder))
        except UserError:
            # ``ltbench data status`` names damaged folders; a list of tasks goes on without them.
            continue
    return found


def features_of(folder: Path) -> Path | None:
    """The feature file noted when the task was made."""
    noted = read_json(_top(folder) / "source.json", folder).get("features")
    return Path(noted) if noted else None


def _top(folder: Path) -> Path:
    return folder.parent if (folder / "rows.json").is_file() else folder


def _is_task_folder(path: Path) -> bool:
    return (path / "task.json").is_file()


def _key(task: Task) -> str:
    return f"{task.name}@{task.version}@{task.fingerprints.model_dump_json()}"
