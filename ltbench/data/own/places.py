"""Where the task folders of this user are looked for."""

from __future__ import annotations

import os
from pathlib import Path

DEFAULT = Path("ltbench-tasks")


def task_places() -> list[Path]:
    """Folders that hold task folders: those in ``LTBENCH_TASKS``, else ``ltbench-tasks`` in the current folder."""
    value = os.environ.get("LTBENCH_TASKS")
    if not value:
        return [DEFAULT]
    return [Path(part).expanduser() for part in value.split(os.pathsep) if part]


def task_folders() -> list[Path]:
    """All task folders in those places, by name."""
    found = [
        folder
        for place in task_places()
        if place.is_dir()
        for folder in place.iterdir()
        if (folder / "task.json").is_file()
    ]
    return sorted(found, key=lambda folder: (folder.name, str(folder)))
