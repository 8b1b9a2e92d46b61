"""The backbone that a task takes where nobody names one, and a first command to run."""

from __future__ import annotations

from collections.abc import Iterable

from ltbench.plugin.errors import UserError
from ltbench.tasks.task import Task

BUNDLED = "tiny-clip"


def default_backbone(task: Task) -> str:
    """The bundled backbone for ``shapes``, a custom task's own features.

    Raises:
        UserError: there is no sensible default; the choices are named.
    """
    if task.data_set == "shapes":
        return BUNDLED
    if task.family == "custom":
        from ltbench.tasks.own.custom import features_of, folder_of

        folder = folder_of(task)
        features = features_of(folder) if folder is not None else None
        if features is not None:
            return f"precomputed:{features}"
    raise UserError(
        f"task {task.address} has no default backbone",
        "--backbone clip-rn50, timm:NAME or precomputed:FILE.npz (ltbench list backbones)",
    )


def suggested_run(task: Task, address: str) -> str:
    """A command that runs the task: with a backbone where it has no default one.

    Args:
        address: as the user typed it.
    """
    custom = task.family == "custom"
    try:
        default_backbone(task)
        backbone = ""
    except UserError:
        backbone = f" --backbone {'timm:resnet18' if custom else 'clip-rn50'}"
    return f"ltbench run --task {address} --method {'linear-probe-lbfgs' if custom else 'zero-shot'}{backbone}"


def common_backbone(tasks: Iterable[Task]) -> str:
    """The default backbone that all tasks share.

    Raises:
        UserError: a task has none, or they differ.
    """
    found = sorted({default_backbone(task) for task in tasks})
    if len(found) > 1:
        raise UserError(f"these tasks have different default backbones: {', '.join(found)}", "--backbone NAME")
    return found[0]
