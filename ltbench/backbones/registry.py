"""From the name a user types to an encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ltbench.backbones.options import DTYPES, BackboneOptions, EncodeDtype
from ltbench.plugin.errors import UnknownName, UserError
from ltbench.plugin.manager import Registered, registry
from ltbench.plugin.specs import BackboneSpec

if TYPE_CHECKING:
    from ltbench.backbones.base import Backbone


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
        dtype: arithmetic of the towers; features are float32 in any case. ``float16`` needs CUDA.
        device: ``cpu``, ``cuda``, ``cuda:1`` …
        seed: seed of random weights.
        offline: never download.
        image_size: side of the square input in pixels; None takes the model's own.

    Raises:
        UnknownName: no such backbone, architecture or tag.
        UserError: weights that cannot be had, read, or do not fit the architecture.
    """
    if dtype not in DTYPES:
        raise UnknownName("dtype", dtype, DTYPES, f"one of {', '.join(DTYPES)}")
    if dtype == "float16" and not device.startswith("cuda"):
        raise UserError("dtype float16 needs a CUDA device", "--device cuda, or dtype bfloat16")
    entry, argument = find_backbone(name)
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
    return backbone
