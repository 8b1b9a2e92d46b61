"""Training state on disk: written to a temporary file, synced, renamed; the previous one is kept.

State holds tensors, numbers, strings, lists and dicts only, so that it is read back with ``weights_only=True``: a
checkpoint can never run code. Each carries the hash of its bytes, because torch compares no checksum: a flipped bit
would become a weight.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ltbench.backbones.base import Backbone
from ltbench.plugin.errors import Damaged
from ltbench.plugin.reading import one_line
from ltbench.plugin.sealed import read_sealed, write_sealed
from ltbench.plugin.system import link_or_copy

State = dict[str, Any]


def check_plain(value: object, where: str = "") -> None:
    """Refuse what ``weights_only=True`` would refuse to read back; a run must not learn that when it resumes.

    Raises:
        TypeError: names the place and the type.
    """
    if value is None or type(value) in (bool, int, float, str) or isinstance(value, Tensor):
        return
    if isinstance(value, Mapping):
        for key, part in value.items():
            check_plain(key, f"a key of {where or 'the state'}")
            check_plain(part, f"{where}.{key}" if where else str(key))
        return
    if type(value) in (list, tuple):
        for number, part in enumerate(cast(Sequence[object], value)):
            check_plain(part, f"{where}[{number}]")
        return
    kind = type(value)
    raise TypeError(
        f"training state {where} is a {kind.__module__}.{kind.__qualname__}; tensors, numbers, strings, lists and "
        "dicts can be saved safely"
    )


def save(path: Path, state: State) -> None:
    """Write a checkpoint; the previous one stays beside it as ``<name>.previous``.

    Raises:
        TypeError: the state holds what could not be read back safely; nothing is written.
    """
    check_plain(state)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    if path.exists():
        previous = _previous(path)
        spare = path.with_suffix(path.suffix + ".spare")
        # A second name keeps the current file in place until the new one replaces it.
        spare.unlink(missing_ok=True)
        link_or_copy(path, spare)
        os.replace(spare, previous)
    write_sealed(path, buffer.getvalue())


def read(path: Path) -> State:
    """Read one checkpoint.

    Raises:
        Damaged: its bytes are not those that were written.
        OSError: it cannot be read.
    """
    content = read_sealed(path)
    try:
        state: State = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # written by another torch, or by somebody else: each in its own way
        raise Damaged(path.name, one_line(error)) from error
    return state


def load(path: Path, say: Callable[[str], None] = lambda text: None) -> State | None:
    """Read a checkpoint, or its predecessor when it is damaged; None when there is neither.

    Args:
        say: told of each that is damaged, and what is done instead.

    Raises:
        OSError: one is there and the system cannot read it, which is no damage.
    """
    for candidate in (path, _previous(path)):
        try:
            return read(candidate)
        except FileNotFoundError:
            continue
        except Damaged as error:
            instead = "the one before is taken" if candidate == path else "it is left out"
            say(f"checkpoint {error.message}: {instead}")
    return None


def _previous(path: Path) -> Path:
    return path.with_suffix(path.suffix + ".previous")


def frozen_towers(backbone: Backbone, trained: set[int]) -> list[nn.Module]:
    """Towers that nobody trains: their weights are already on disk as the backbone's.

    Args:
        trained: ``data_ptr`` of every parameter that any stage trains.
    """
    towers = [tower for tower in (backbone.visual, backbone.text) if tower is not None]
    return [tower for tower in towers if not any(p.data_ptr() in trained for p in tower.parameters())]


def _frozen_tensors(backbone: Backbone, trained: set[int]) -> set[int]:
    """Storage addresses of the frozen towers."""
    towers = frozen_towers(backbone, trained)
    return {t.data_ptr() for tower in towers for t in (*tower.parameters(), *tower.buffers()) if t.numel()}


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
