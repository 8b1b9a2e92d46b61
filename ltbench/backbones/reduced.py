"""How small a picture may be decoded before a preprocessing resizes it."""

from __future__ import annotations

from typing import Any, Final

#: How many times the size that a picture is resized to it has at least; what Pillow's ``thumbnail`` leaves, and from
#: which on it calls the result the same to the eye (its documentation of ``reducing_gap``).
GAP: Final = 2


def least_side(transform: Any) -> int | None:
    """Pixels that both sides must keep before an evaluation transform of timm's.

    Args:
        transform: steps; the first resizes the whole picture, and what it resizes to may be more than what is cut out.

    Returns:
        None where the first step is another, of which nobody here knows what it needs.
    """
    from timm.data import transforms as timms
    from torchvision.transforms import CenterCrop, Resize

    resizes = (Resize, timms.ResizeKeepRatio)
    steps = transform.transforms
    if not steps or not isinstance(steps[0], resizes):
        return None
    sizes = [step.size for step in steps if isinstance(step, (*resizes, CenterCrop, timms.CenterCropOrPad))]
    return GAP * max(int(max(size) if isinstance(size, list | tuple) else size) for size in sizes)
