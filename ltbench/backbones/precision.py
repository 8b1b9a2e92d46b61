"""Arithmetic and memory layout of the towers while they encode."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor, nn

from ltbench.backbones.options import ENCODER_VERSION, EncodeDtype

_TORCH = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

CHANNELS_LAST_FROM: Final = 128
"""Least input side in pixels at which a convolutional tower encodes channels-last, see :func:`channels_last`."""


@contextmanager
def arithmetic(dtype: EncodeDtype, device: torch.device) -> Iterator[None]:
    """Autocast to ``dtype``; for float32 on CUDA switch off the 10-bit mantissas that cuDNN takes by default."""
    if dtype != "float32":
        with torch.autocast(device.type, dtype=_TORCH[dtype]):
            yield
    elif device.type == "cuda":
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    else:
        yield


def cast_matrices(module: nn.Module, dtype: EncodeDtype) -> nn.Module:
    """A copy of a frozen module whose matrices are of a type; autocast would cast those without a gradient each time.

    Vectors (biases, norms) stay as they are: they take part in sums of float32.
    """
    cast = copy.deepcopy(module)
    for parameter in cast.parameters():
        if parameter.ndim > 1:
            parameter.data = parameter.data.to(_TORCH[dtype])
    return cast


def channels_last(dtype: EncodeDtype, device: str, resnet: bool, side: int) -> bool:
    """Whether images go through a tower with their channels innermost in memory.

    In float32 on CPUs where that was measured to be faster: ResNets of released size (docs/explanation/performance.md).
    Features differ from those of the other layout in their last bits. The bundled tower, made for 64 pixels, keeps the
    layout that its committed features were computed in; CUDA was not measured. Other types always had it.

    Args:
        resnet: the tower is one.
        side: of the input that the tower was made for, in pixels, whatever size it is fed.
    """
    return dtype != "float32" or (resnet and side >= CHANNELS_LAST_FROM and torch.device(device).type == "cpu")


def laid_out(images: Tensor, inner_channels: bool) -> Tensor:
    """Images [n, 3, H, W] in the layout that a tower wants; convolutions hand it on, whatever that of their weights."""
    return images.contiguous(memory_format=torch.channels_last) if inner_channels else images


def encoder_revision(inner_channels: bool, library: str) -> str:
    """Version of the encoder's code, layout and library, as cards state it: all that moves the bits of a feature."""
    return f"ltbench-encoder-{ENCODER_VERSION}{' channels-last' if inner_channels else ''} {library}"
