"""From the name a user types to an encoder."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from ltbench.backbones.options import DTYPES, BackboneOptions, EncodeDtype
from ltbench.plugin.errors import UnknownName, UserError
from ltbench.plugin.manager import Registered, registry
from ltbench.plugin.specs import BackboneSpec

if TYPE_CHECKING:
    from ltbench.backbones.base import Backbone

SMALLEST = 32
"""Pixels a side that any image tower is given at least."""


def find_backbone(name: str) -> tuple[Registered[BackboneSpec], str]:
    """Look up the spec of a backbone name, and what follows its colon; imports no torch.

    Raises:
        UnknownName: nobody registered it; the nearest names are suggested.
        UserError: a prefix without its argument, or an argument to a name that takes none.
    """
    catalogue = registry().backbones
    head, colon, argument = name.partition(":")
    if head not in catalogue and head not in catalogue.conflicts:
        shown = [f"{item.spec.name}:" if item.spec.prefix else item.spec.name for item in catalogue]
        raise UnknownName("backbone", head + colon, shown)
    entry = catalogue.get(head)
    if entry.spec.prefix and not argument:
        raise UserError(f"backbone {head!r} needs a name after the colon", entry.spec.summary)
    if colon and not entry.spec.prefix:
        raise UserError(f"backbone {head!r} takes nothing after a colon, got {name!r}", f"--backbone {head}")
    return entry, argument


@lru_cache(maxsize=256)
def own_size(name: str) -> int | None:
    """Side in pixels of the square images that a backbone takes when nobody asks for another; None if nobody can tell.

    May ask the library whose model it is, and so import torch.
    """
    try:
        spec = find_backbone(name)[0].spec
        if spec.own_size is None:
            return spec.image_size
        told: Callable[[str], int | None] = spec.load_target(spec.own_size)
        return told(name)
    except UserError:
        return None


def check_size(name: str, image_size: int | None) -> None:
    """Refuse a size of images that a backbone cannot have, as far as its spec tells; imports no torch.

    Raises:
        UserError: it is too small, or the backbone sees no images.
    """
    if image_size is None:
        return
    if image_size < SMALLEST:
        raise UserError(f"images of {image_size} pixels a side are too small", f"--image-size {SMALLEST} or more")
    if "image" not in find_backbone(name)[0].spec.offers:
        raise UserError(f"backbone {name} has features only, and images of no size", "leave --image-size out")


def open_backbone(
    name: str,
    *,
    weights: str | None = None,
    dtype: EncodeDtype = "float32",
    device: str = "cpu",
    seed: int = 0,
    offline: bool = False,
    image_size: int | None = None,
) -> Backbone:
    """Open an encoder, frozen and in evaluation mode.

    Args:
        name: ``tiny-clip``, ``clip-rn50`` …, ``open_clip:MODEL/TAG``, ``timm:NAME`` or ``precomputed:FILE.npz``.
        weights: None for the released weights (downloaded through open_clip or timm unless already cached), ``random``
            for a seeded initialisation of the true architecture (never ranked), or a checkpoint file.
        dtype: arithmetic of the image tower; features are float32 in any case. ``float16`` needs CUDA.
        device: ``cpu``, ``cuda``, ``cuda:1`` …
        seed: seed of random weights.
        offline: never download.
        image_size: side of the square input in pixels; None takes the model's own. The weights are those of the model's
            own size; positions are resized after they were hashed.

    Raises:
        UnknownName: no such backbone, architecture or tag.
        UserError: weights that cannot be had, read, or do not fit the architecture; images of that size that the model
            does not take.
    """
    if dtype not in DTYPES:
        raise UnknownName("dtype", dtype, DTYPES, f"one of {', '.join(DTYPES)}")
    if dtype == "float16" and not device.startswith("cuda"):
        raise UserError("dtype float16 needs a CUDA device", "--device cuda, or dtype bfloat16")
    entry, argument = find_backbone(name)
    check_size(name, image_size)
    options = BackboneOptions(
        argument=argument,
        weights=weights,
        dtype=dtype,
        device=device,
        seed=seed,
        offline=offline,
        image_size=image_size,
    )
    backbone: Backbone = entry.spec.load()(name, options)
    if image_size not in (None, backbone.card.image_size):
        raise unresizable(name, image_size, backbone.card.image_size)
    return backbone


def unresizable(name: str, wanted: int | None, own: int | None, why: str = "") -> UserError:
    """The error for a backbone that takes no images of a size.

    Args:
        own: what it takes; None if nobody can tell.
        why: in words, of the library.
    """
    takes = "" if own is None else f"; its own are of {own}"
    reason = f" ({' '.join(why.split())[:200]})" if why else ""
    return UserError(
        f"backbone {name} takes no images of {wanted} pixels a side{takes}{reason}",
        "another --image-size, or leave it out" if own is None else f"--image-size {own}, or leave it out",
    )
