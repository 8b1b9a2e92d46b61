"""Arithmetic of the image tower while it encodes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ltbench.backbones.options import EncodeDtype

_TORCH = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


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
