"""Reading, fingerprinting and drawing weights."""

from __future__ import annotations

import hashlib
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from ltbench.backbones import torchscript
from ltbench.plugin.errors import UserError

# OpenAI's archives carry three integers next to the weights; traced modules also list their causal mask, a constant.
_OPENAI = ("input_resolution", "context_length", "vocab_size")
_NOT_WEIGHTS = (*_OPENAI, "attn_mask")


def state_sha256(module: nn.Module) -> str:
    """Hash of a module's state; see :func:`tensors_sha256`."""
    return tensors_sha256(module.state_dict())


def tensors_sha256(state: Mapping[str, Tensor]) -> str:
    """Hash of named tensors: for each key, sorted, its name, dtype, shape and bytes."""
    digest = hashlib.sha256()
    for key, value in sorted(state.items()):
        array = value.detach().cpu().contiguous()
        digest.update(f"{key} {array.dtype} {tuple(array.shape)}\n".encode())
        digest.update(array.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run with torch's CPU generator seeded; the global state is put back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def unfit(path: Path, what: str, error: Exception) -> UserError:
    """The error for a file of released weights that does not load: it is damaged, or another model's."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(
        f"the released weights of {what} in {path} do not load ({type(error).__name__}: {reason[:400]})",
        f"remove or replace {path}; or --weights FILE",
    )


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive, as OpenAI's CLIP files are."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except Exception:
        # zipfile raises what it likes of bytes that are no archive; whoever reads them says what is wrong.
        return False


_WRAPPERS = ("state_dict", "model", "model_state_dict", "model_ema", "ema", "module")
_PREFIXES = ("_orig_mod.", "module.")
"""What torch.compile and DistributedDataParallel put before each key, in any order and number."""


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read a state dict from .safetensors, a torch file (tensors only, no pickled code) or OpenAI's TorchScript files.

    It may lie under a key of the file (``state_dict``, ``model``, ``model_state_dict``, ``model_ema``), and its keys
    may begin as torch.compile, DistributedDataParallel or Lightning write them.

    Raises:
        UserError: the file is missing, damaged, holds pickled or scripted code, or holds no state dict.
    """
    return {key: value for key, value in read_tensors(path).items() if key not in _NOT_WEIGHTS}


def from_openai(path: Path) -> bool:
    """Whether a file is one of OpenAI's, as their TorchScript archive or as its state dict with three integers beside.

    Raises:
        UserError: as :func:`read_checkpoint`.
    """
    return is_torchscript(path) or set(_OPENAI) <= read_tensors(path).keys()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """What :func:`read_checkpoint` reads, and whatever else lies beside the weights.

    Raises:
        UserError: as :func:`read_checkpoint`.
    """
    if not path.is_file():
        raise UserError(f"weights file {path.name} does not exist", "--weights FILE")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: object = load_file(path)
        elif is_torchscript(path):
            if file_sha256(path) not in torchscript.PUBLISHED:
                raise UserError(
                    f"weights file {path.name} is a TorchScript archive, whose code would run when it is opened; only "
                    "the files that OpenAI published are opened",
                    "save its state dict as .safetensors",
                )
            with warnings.catch_warnings():
                # torch wants such files exported anew; those of OpenAI are what they are.
                warnings.simplefilter("ignore", FutureWarning)
                found = torch.jit.load(path, map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"weights file {path.name} is damaged or holds pickled code, which is never run",
            "save its state dict as .safetensors",
        ) from error
    except (UserError, MemoryError):
        raise
    except Exception as error:  # of damaged bytes, each format raises what it likes
        raise UserError(f"weights file {path.name} cannot be read ({_line(error)})", "--weights FILE") from error
    for wrapper in _WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(wrapper), dict):
            found = found[wrapper]
    if not isinstance(found, Mapping) or not found or not all(isinstance(v, Tensor) for v in found.values()):
        raise UserError(f"weights file {path.name} holds no state dict", "--weights FILE")
    return _plain_keys(found)


def _plain_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict by the keys of the model alone."""
    keys = [str(key) for key in state]
    found = list(keys)
    for at, key in enumerate(found):
        while key.startswith(_PREFIXES):
            key = key.partition(".")[2]
        found[at] = key
    # Lightning's; a model may have a part of that name, but hardly nothing else.
    if all(key.startswith("model.") for key in found):
        found = [key.removeprefix("model.") for key in found]
    return dict(zip(found, state.values(), strict=True))


def load_into(module: nn.Module, state: Mapping[str, Tensor], what: str, may_miss: tuple[str, ...] = ()) -> None:
    """Load a state dict, strictly; counters of batches, which old files lack, stay as they are.

    Args:
        module: receives the weights.
        state: the weights.
        what: the architecture, for the error.
        may_miss: prefixes of keys that the state may lack, and that it may hold beyond the module's.

    Raises:
        UserError: keys or shapes do not match; the first difference and the count are named.
    """
    own = module.state_dict()
    state = {**{k: v for k, v in own.items() if k.endswith("num_batches_tracked")}, **state}
    missing = [k for k in own if k not in state and not k.startswith(may_miss or "\0")]
    extra = [k for k in state if k not in own and not k.startswith(may_miss or "\0")]
    shapes = [k for k in own if k in state and own[k].shape != state[k].shape]
    problems = [
        *(f"{key} is missing" for key in missing),
        *(f"{key} is unknown" for key in extra),
        *(f"{key} has shape {list(state[key].shape)}, expected {list(own[key].shape)}" for key in shapes),
    ]
    if problems:
        more = f" (and {len(problems) - 1} more differences)" if len(problems) > 1 else ""
        raise UserError(f"the weights do not fit {what}: {problems[0]}{more}", "--weights FILE of that architecture")
    module.load_state_dict(state, strict=not may_miss)


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]
