"""Training state on disk: written to a temporary file, synced, renamed; the previous one is kept.

State holds tensors, numbers, strings, lists and dicts only, so that it is read back with ``weights_only=True``: a
checkpoint can never run code.
"""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ltbench.backbones.base import Backbone
from ltbench.plugin.files import write_atomic

State = dict[str, Any]


def save(path: Path, state: State) -> None:
    """Write a checkpoint; the previous one stays beside it as ``<name>.previous``."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    if path.exists():
        previous = path.with_suffix(path.suffix + ".previous")
        spare = path.with_suffix(path.suffix + ".spare")
        # A hard link keeps the current file in place until the new one replaces it.
        spare.unlink(missing_ok=True)
        os.link(path, spare)
        os.replace(spare, previous)
    write_atomic(path, buffer.getvalue())


def load(path: Path) -> State | None:
    """Read a checkpoint, or its predecessor when it is damaged; None when there is neither."""
    for candidate in (path, path.with_suffix(path.suffix + ".previous")):
        if not candidate.exists():
            continue
        try:
            state: State = torch.load(candidate, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, zipfile.BadZipFile, KeyError):
            continue
        return state
    return None


def _frozen_tensors(backbone: Backbone, trained: set[int]) -> set[int]:
    """Storage addresses of towers that nobody trains: their weights are already on disk as the backbone's."""
    addresses: set[int] = set()
    for tower in (backbone.visual, backbone.text):
        if tower is None:
            continue
        tensors = [*tower.parameters(), *tower.buffers()]
        if not any(t.data_ptr() in trained for t in tensors):
            addresses.update(t.data_ptr() for t in tensors if t.numel())
    return addresses


def own_state(module: nn.Module, backbone: Backbone, trained: set[int]) -> dict[str, Tensor]:
    """State of a module without the frozen towers it refers to.

    Args:
        trained: ``data_ptr`` of every parameter that any stage trains.
    """
    frozen = _frozen_tensors(backbone, trained)
    return {
        name: tensor.detach().cpu().clone()
        for name, tensor in module.state_dict().items()
        if isinstance(tensor, Tensor) and not (tensor.numel() and tensor.data_ptr() in frozen)
    }


def load_own_state(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Put back what :func:`own_state` took.

    Raises:
        RuntimeError: the state names a tensor that the module does not have.
    """
    answer = module.load_state_dict(state, strict=False)
    if answer.unexpected_keys:
        raise RuntimeError(f"checkpoint holds tensors that the module does not have: {answer.unexpected_keys[:3]}")
