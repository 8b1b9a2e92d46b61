"""Whether a method can run on a task, for commands that list or draw it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ltbench.method.config import Needs
    from ltbench.plugin.specs import MethodSpec
    from ltbench.tasks.task import Task


def needs_on(spec: MethodSpec, task: Task) -> tuple[Needs | None, dict[str, str]]:
    """What a method needs, and what of it a task lacks: in few words, and why. The method is not imported where its
    package has that written down.

    A method that is broken, or not whole without an option, has no needs and says what is wrong.
    """
    from ltbench.engine.needs import task_lacks
    from ltbench.method.facts import facts_of
    from ltbench.plugin.errors import UserError

    try:
        needs = facts_of(spec).needs
    except UserError as error:
        return None, {"cannot be loaded": error.message}
    return needs, task_lacks(needs, task, needs.groups is not True or _has_groups(task))


def _has_groups(task: Task) -> bool:
    from ltbench.data.base import DataRoot
    from ltbench.tasks.registry import open_data_set

    return bool(open_data_set(task, DataRoot()).label_groups)
