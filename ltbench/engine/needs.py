"""Whether a method, a task and a backbone fit together; if not, which would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ltbench.method.config import Needs
from ltbench.plugin.errors import UserError
from ltbench.plugin.manager import registry
from ltbench.tasks.task import Task, UnknownPolicy

if TYPE_CHECKING:
    from ltbench.backbones.base import Backbone
    from ltbench.engine.request import RunRequest
    from ltbench.method.stages import Stage


def check_parts(request: RunRequest, stages: Sequence[Stage]) -> None:
    """Refuse to cut batches into passes where the loss compares their rows.

    Raises:
        UserError: a stage takes whole batches only.
    """
    for stage in stages:
        # Of gradient stages alone; told by the field, so that no torch is imported for it.
        if getattr(stage, "parallel", "rows") == "none":
            raise UserError(
                f"stage {stage.name!r} of method {request.method} takes whole batches only, which cannot be cut into "
                f"{request.accumulation} passes; its card says why",
                "leave --accumulate out, or -o batch_size=N",
            )


def task_problems(needs: Needs, task: Task, has_groups: bool) -> list[str]:
    """Why a method cannot run on a task, one clause each; empty when it can."""
    return list(task_lacks(needs, task, has_groups).values())


def task_lacks(needs: Needs, task: Task, has_groups: bool) -> dict[str, str]:
    """What keeps a method from running on a task: two or three words for a table, and the clause that says why."""
    found = {}
    if task.unseen and needs.classes != "open":
        found["fixed classes"] = (
            "it answers for its training classes only, and this task has classes that training never names"
        )
    if needs.captions and task.captions == "none":
        found["needs captions"] = f"it needs captions, and this task has none: {_why_no_captions(task)}"
    if needs.groups is True and not has_groups:
        found["needs label groups"] = "it needs label groups, and this task's data set has none"
    if needs.validation and not task.validation.in_final_runs:
        found["needs validation"] = "it needs validation rows, and final runs of this task have none"
    return found


def _why_no_captions(task: Task) -> str:
    if task.unseen:
        return "they would name classes that training must not hear of"
    if task.protocol.kind != "full":
        return "they would name labels that its mask hides"
    return "its training rows come without"


def backbone_problems(needs: Needs, offers: Sequence[str]) -> list[str]:
    """What a method needs that a backbone does not offer."""
    return [what for what in wanted_of(needs) if what not in offers]


def wanted_of(needs: Needs) -> list[str]:
    """What a method asks of a backbone: some of ``image``, ``global``, ``region``, ``text``."""
    return [needs.input, *(["text"] if needs.text else [])]


def check_fit(method: str, needs: Needs, task: Task, has_groups: bool, backbone: str, offers: Sequence[str]) -> None:
    """Refuse what cannot work, naming what can.

    Raises:
        UserError: the task lacks something, or the backbone does; backbones that fit are listed.
    """
    problems = task_problems(needs, task, has_groups)
    if problems:
        besides_captions = task_problems(needs.model_copy(update={"captions": False}), task, has_groups)
        raise UserError(
            f"method {method} cannot run on {task.address}: {'; '.join(problems)}",
            f"-o {needs.without_captions}"
            if needs.without_captions and not besides_captions
            else f"ltbench list methods --task {task.name}",
        )
    missing = backbone_problems(needs, offers)
    if missing:
        fitting = [
            item.spec.name
            for item in registry().backbones
            if not item.spec.prefix and not backbone_problems(needs, item.spec.offers)
        ]
        raise UserError(
            f"method {method} needs {' and '.join(missing)}, which backbone {backbone} does not offer",
            (f"-o {needs.without_text}, or " if needs.without_text and missing == ["text"] else "")
            + (f"--backbone {'|'.join(fitting)}" if fitting else "ltbench list backbones"),
        )


def read_task(task: Task, needs: Needs, *, validates: bool) -> Task:
    """The task with only those published lists that the method, or the choice of an epoch, has a use for.

    Args:
        validates: validation rows choose something, whatever the method asks for.
    """
    return task.read_with(captions=needs.captions, validation=needs.validation or validates)


def unknown_policy(needs: Needs, task: Task) -> UnknownPolicy:
    """What becomes of 0: the method's own choice, else the task's."""
    return needs.unknown or task.unknown_policy


def behind_preprocessing(backbone: Backbone, needs: Needs) -> Backbone:
    """The encoder behind the preprocessing that the method asks for.

    Raises:
        UserError: the encoder sees no images, or none of the size or normalisation that is asked for.
        ValueError: a size without a preprocessing of the method's own.
    """
    if needs.images == "backbone":
        if needs.image_size is not None:
            raise ValueError("Needs.image_size goes with images='square' or 'squeezed'")
        return backbone
    from ltbench.backbones.square import SquareImages

    return SquareImages(
        backbone,
        needs.image_size,
        own_statistics=needs.images != "square",
        fit_map=needs.images == "squeezed-fitted",
    )
