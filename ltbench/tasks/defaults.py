"""The backbone that a task takes where neither a person nor a preset names one, and a first command to run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ltbench.plugin.errors import UserError
from ltbench.tasks.task import Task

BUNDLED = "tiny-clip"
PHOTOS = "lite0-minilm"
"""Image and text tower from two packages of the extra ``photos``."""
CLIP = {"ltml": "clip-rn50", "plt": "clip-rn50", "spml": "clip-rn50", "partial": "clip-rn101", "zero-shot": "clip-rn50"}
"""By family, the CLIP of most rows of its papers: LMPT, HSPNet and DualCoOp on unseen classes RN50, DualCoOp on partial
labels RN101."""
IMAGENET = "timm:resnet50.tv_in1k"
"""ImageNet's ResNet-50 in torchvision's first weights, which DR, DB and COMIC start from."""


@dataclass(frozen=True)
class Chosen:
    """A backbone, and why it is this one.

    Attributes:
        why: one clause; empty where a person named it.
    """

    name: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.why})" if self.why else self.name


def default_backbone(task: Task, wanted: Collection[str] = ()) -> Chosen:
    """The backbone of a task for a method that no preset was made for.

    The bundled one for ``shapes``, a custom task's own features; else ImageNet's for methods that train an image tower
    and ask for no text, and the CLIP of the task's family for all others.

    Args:
        wanted: what the method asks of a backbone: some of ``image``, ``global``, ``region``, ``text``.

    Raises:
        UserError: there is no sensible default; the choices are named.
    """
    if task.data_set == "shapes":
        return Chosen(BUNDLED, "the bundled one, made for shapes")
    if task.name.startswith("photos-"):
        return Chosen(PHOTOS, "default of photos-* tasks")
    if task.family == "custom":
        from ltbench.tasks.own.custom import features_of, folder_of

        folder = folder_of(task)
        features = features_of(folder) if folder is not None else None
        if features is not None:
            return Chosen(f"precomputed:{features}", "the task's own features")
    elif "image" in wanted and "text" not in wanted:
        return Chosen(IMAGENET, "default for methods that train an image tower")
    elif task.family in CLIP:
        return Chosen(CLIP[task.family], f"default of {task.family} tasks")
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
        backbone = " --backbone timm:resnet18"
    return f"ltbench run --task {address} --method {'linear-probe-lbfgs' if custom else 'zero-shot'}{backbone}"
