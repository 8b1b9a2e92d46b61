"""``ltbench leaderboard --matrix``: what fills and what empties the cells of recipes by tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ltbench.cli.fit import needs_on

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ltbench.plugin.specs import MethodSpec
    from ltbench.report.matrix import HasPreset, Matrix
    from ltbench.tasks.task import Task


def committed_matrix(boards: Path) -> Matrix:
    """The matrix of the project's own recipes from the records in a folder of leaderboards.

    Plugins of others are left out: the page must not depend on what else is installed.

    Raises:
        UserError: a record or a file of presets cannot be read.
    """
    from ltbench.plugin.manager import registry
    from ltbench.report.matrix import TASKS, build_matrix, committed_records
    from ltbench.tasks.registry import load_task

    tasks = [load_task(address) for address in TASKS]
    methods = [item for item in registry().methods if item.distribution == "ltbench"]
    return build_matrix(methods, tasks, committed_records(boards, tasks), lacks_of, presets_at_hand())


def lacks_of(spec: MethodSpec, task: Task) -> Mapping[str, str]:
    """What keeps a recipe from running on a task, short → in words."""
    return needs_on(spec, task)[1]


def presets_at_hand() -> HasPreset:
    """Says whether a recipe has a preset; the file of each recipe is read once."""
    from ltbench.method.config import Preset, load_presets

    known: dict[str, tuple[Preset, ...]] = {}

    def has(spec: MethodSpec, task: Task, backbone: str, variant: str) -> bool:
        if spec.name not in known:
            known[spec.name] = load_presets(spec)
        return any(p.tasks and p.fits(task.name, task.setting, backbone, variant) for p in known[spec.name])

    return has
