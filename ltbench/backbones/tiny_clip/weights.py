"""The bundled weights of tiny-clip."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Final

import torch
from safetensors.torch import load

from ltbench.backbones.tiny_clip.model import build_model
from ltbench.backbones.tiny_clip.tokenizer import TinyTokenizer
from ltbench.backbones.tiny_clip.towers import TinyClip
from ltbench.plugin.errors import UserError

WEIGHTS_FILE: Final = "weights.safetensors"
WEIGHTS_SHA256: Final = "20f0e8b2e9b7c58ba9ff2757ce37547cafcf308ef9b56736989a685b9ea36ff6"
"""Of the file as shipped (float16)."""


def load_pretrained() -> tuple[TinyClip, TinyTokenizer]:
    """tiny-clip with its bundled weights, float32, in evaluation mode, and its tokenizer.

    Global random state is left alone. Raises UserError if the installed file is not the published one.
    """
    data = files(__package__).joinpath(WEIGHTS_FILE).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != WEIGHTS_SHA256:
        raise UserError(
            f"the bundled weights of tiny-clip are damaged (sha256 {found[:12]}, published {WEIGHTS_SHA256[:12]})",
            "pip install --force-reinstall ltbench",
        )
    with torch.random.fork_rng(devices=[]):
        model = build_model()
    model.load_state_dict(
        {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in load(data).items()}
    )
    return model.eval(), TinyTokenizer()
