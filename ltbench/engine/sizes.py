"""How large the images of a run are: as typed, else as the preset says, else as the backbone takes them.

A method that resizes images itself decides their size; who asks for another one beside it is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ltbench.backbones.registry import check_size, own_size
from ltbench.method.config import Needs
from ltbench.plugin.errors import UserError

if TYPE_CHECKING:
    from ltbench.method.config import MethodConfig, Preset


def asked_size(typed: int | None, preset: Preset | None) -> int | None:
    """What a run asks for, side in pixels: as typed, else as the preset says; None where neither does."""
    return typed if typed is not None or preset is None else preset.image_size


def run_size(
    method: str, backbone: str, needs: Needs, config: MethodConfig, typed: int | None, preset: Preset | None
) -> int | None:
    """The size that the backbone is opened with; None for its own.

    Args:
        method: name.
        backbone: name.
        typed: as ``--image-size`` has it.

    Raises:
        UserError: the method resizes images to another size than the one that is asked for, or the backbone sees no
            images.
    """
    asked = asked_size(typed, preset)
    check_size(backbone, asked)
    if needs.image_size is None or asked in (None, needs.image_size):
        return asked if needs.image_size is None else needs.image_size
    whose = f"preset {preset.name} asks for" if typed is None and preset is not None else "--image-size is"
    option = "image_size" in type(config).model_fields
    raise UserError(
        f"method {method} resizes images to {needs.image_size} pixels a side itself, and {whose} {asked}",
        f"-o image_size={asked}" if option and typed is not None else f"--image-size {needs.image_size}",
    )


def differs(size: int | None, backbone: str) -> bool:
    """Whether a size is another than the backbone's own, or nobody can tell what that is."""
    return size is not None and size != own_size(backbone)


def in_words(size: int) -> str:
    """``images of 448 x 448``."""
    return f"images of {size} x {size}"
