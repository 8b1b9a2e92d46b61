"""How a user asks for an encoder. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ENCODER_VERSION = 1
"""Raised whenever the same weights and the same image would give other features; part of every cache key."""

EncodeDtype = Literal["float32", "bfloat16", "float16"]
DTYPES: tuple[EncodeDtype, ...] = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class BackboneOptions:
    """Options of ``open_backbone``, as the spec's target receives them.

    Attributes:
        argument: what follows the colon of a prefix (``resnet18`` of ``timm:resnet18``); empty otherwise.
        weights: None for the released weights, ``random``, or the path of a checkpoint file.
        dtype: arithmetic of the towers; official rows use float32. Features are float32 in any case.
        device: where the towers live.
        seed: seed of ``random`` weights.
        offline: take released weights only from the download caches that are already on this machine.
        image_size: side of the square input in pixels; None takes the model's own.
    """

    argument: str = ""
    weights: str | None = None
    dtype: EncodeDtype = "float32"
    device: str = "cpu"
    seed: int = 0
    offline: bool = False
    image_size: int | None = None

    @property
    def random(self) -> bool:
        """Whether random weights were asked for."""
        return self.weights == "random"

    @property
    def file(self) -> str | None:
        """Path of the checkpoint file that was asked for, or None."""
        return None if self.weights in (None, "random") else self.weights
