"""Arithmetic and memory layout of the towers while they encode."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

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

    In float32 on CPUs ResNets of released size, of which CLIP's RN50 was measured to be faster so
    (docs/explanation/performance.md).
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


def foldable(tower: nn.Module) -> list[tuple[nn.Module, str, str]]:
    """Convolutions that a batch norm stands right behind: the module that holds both, and their names in it.

    Plain ones of torch only, since other classes do more than convolve and normalise. In ResNets (of open_clip and of
    timm) modules run in the order that they are held in.
    """
    found = []
    for part in tower.modules():
        children = list(part.named_children())
        for (name, one), (following, other) in itertools.pairwise(children):
            if type(one) is nn.Conv2d and type(other) is nn.BatchNorm2d:
                found.append((part, name, following))
    return found


def folds(dtype: EncodeDtype, inner_channels: bool, tower: nn.Module) -> bool:
    """Whether a tower encodes with its batch norms folded: in float32 where it does so channels-last.

    So the bundled tower keeps the bits of its committed features. Other types and CUDA were not measured.
    """
    return dtype == "float32" and inner_channels and bool(foldable(tower))


def folded(tower: nn.Module) -> nn.Module:
    """A copy of a frozen tower with batch norms folded into the convolutions in front of them.

    In evaluation mode a batch norm is an affine map of each channel, which is what it leaves in weights and bias of the
    convolution (``torch.nn.utils.fusion``). Features are the same up to rounding. The copy is for encoding alone; all
    tensors but those of its convolutions are the tower's own.
    """
    own = {id(tensor): tensor for tensor in (*tower.parameters(), *tower.buffers())}
    copied = copy.deepcopy(tower, own).eval()
    for part, name, following in foldable(copied):
        setattr(part, name, fuse_conv_bn_eval(getattr(part, name), getattr(part, following)))
        setattr(part, following, nn.Identity())
    return copied


def encoder_revision(library: str, inner_channels: bool = False, folds: bool = False, shares: bool = False) -> str:
    """Version of the encoder's code, layout and library, as cards state it: all that moves the bits of a feature.

    Args:
        library: that the model is of, with its version.
        inner_channels: images are encoded channels-last.
        folds: with batch norms folded into convolutions.
        shares: prompts go through the text tower with what they begin with computed once.
    """
    ways = {"channels-last": inner_channels, "folded-norms": folds, "shared-prefix": shares}
    return " ".join([f"ltbench-encoder-{ENCODER_VERSION}", *(way for way, taken in ways.items() if taken), library])
