"""Encoders of open_clip: architecture and weights by name, with the activation the weights were trained with."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import open_clip
import torch
from open_clip.convert import convert_state_dict
from open_clip.model import convert_to_custom_text_state_dict, resize_pos_embed
from open_clip.pretrained import list_pretrained_tags_by_model
from torch import nn

from ltbench.backbones.clip_backbone import ClipBackbone, Facts, Preprocessing, assemble
from ltbench.backbones.openclip_names import (
    FOLDER,
    QUICK,
    Source,
    folder_weights,
    hub_config,
    resolve,
)
from ltbench.backbones.openclip_tokens import tokenizer_of
from ltbench.backbones.options import BackboneOptions
from ltbench.backbones.regions import region_kind
from ltbench.backbones.registry import unresizable
from ltbench.backbones.released import released_files
from ltbench.backbones.weights import (
    file_sha256,
    from_openai,
    is_torchscript,
    load_into,
    read_checkpoint,
    seeded,
    state_sha256,
    unfit,
)
from ltbench.data.base import DataRoot
from ltbench.plugin.errors import UserError
from ltbench.plugin.past import unknown_past

_NAMED: Final = {
    "clip-rn50": "RN50-quickgelu",
    "clip-rn101": "RN101-quickgelu",
    "clip-vit-b16": "ViT-B-16-quickgelu",
    "clip-vit-b32": "ViT-B-32-quickgelu",
}
_OPENAI_DATA: Final = "OpenAI WIT: 400 million image-text pairs from the web, not public"


def open_named_clip(name: str, options: BackboneOptions) -> ClipBackbone:
    """``clip-rn50``, ``clip-rn101``, ``clip-vit-b16`` or ``clip-vit-b32`` with OpenAI's weights."""
    return _open(name, resolve(f"{_NAMED[name]}/openai"), options)


def open_open_clip(name: str, options: BackboneOptions) -> ClipBackbone:
    """``open_clip:MODEL/TAG``, ``open_clip:hf-hub:OWNER/NAME`` or ``open_clip:local-dir:FOLDER``.

    A model without a tag only with ``--weights``.
    """
    source = resolve(options.argument)
    if source.repository:
        config = hub_config(name, source.repository).bring(DataRoot(offline=options.offline))
        return _open(name, replace(source, folder=config.parent), options)
    if source.folder is None and not source.tag and options.weights is None:
        tags = list_pretrained_tags_by_model(source.model)
        raise UserError(
            f"{name} names no weights",
            f"open_clip:{source.model}/{tags[0]}" if tags else "--weights FILE (none were released)",
        )
    return _open(name, source, options)


def _open(name: str, source: Source, options: BackboneOptions) -> ClipBackbone:
    # Look for the weights first: a missing file should not cost the time of building the model.
    path = Path(options.file) if options.file else None
    state = read_checkpoint(path) if path else None
    file = _released(name, source, options.offline) if options.weights is None else None
    if path and not source.quick_gelu and from_openai(path):
        raise UserError(
            f"{path.name} is of OpenAI, trained with QuickGELU, which {source.model} does not use",
            f"open_clip:{source.model}{QUICK}",
        )
    model = _build(source, options)
    digest = None
    weights, pretraining = options.weights or source.tag or "released", _pretraining(source)
    if state is not None and path is not None:
        _load_state(model, state, name)
        weights, pretraining = _origin(path, source)
    elif file is not None:
        if is_torchscript(file):
            _load_state(model, read_checkpoint(file), name)
        else:
            try:
                open_clip.load_checkpoint(model, str(file), strict=True, weights_only=True)
            except Exception as error:  # each format of weights fails in its own way
                raise unfit(file, name, error) from error
    facts = Facts(
        name=name,
        dim=int(source.architecture["embed_dim"]),
        weights=weights,
        pretraining="none: random weights" if options.random else pretraining,
        library=f"open_clip-{open_clip.__version__}",
        licence=str(source.config.get("license", "MIT" if weights == "openai" else "")),
    )
    preprocessing = _preprocessing(model)
    own, size = preprocessing.size, options.image_size
    if size not in (None, own):
        # Before positions are resized: the weights are the same at any size.
        digest = state_sha256(model)
        _resize(model, name, size, own)
        preprocessing = replace(preprocessing, size=size)
    return assemble(model, tokenizer_of(source, options), preprocessing, facts, options, digest)


def _resize(model: Any, name: str, size: int, own: int) -> None:
    """Make the image tower take images of another size.

    Raises:
        UserError: it cannot.
    """
    visual = model.visual
    if region_kind(visual) == "attnpool":
        # Keeps its own positions and resizes them while encoding (regions.pool_positions).
        return
    try:
        if hasattr(visual, "trunk"):
            if hasattr(visual.trunk, "set_input_size"):
                visual.set_input_size(size)
        else:
            patch = visual.patch_size[0]
            if size % patch:
                raise ValueError(f"no multiple of its patches of {patch}")
            visual.image_size, visual.grid_size = (size, size), (size // patch, size // patch)
            state = {"visual.positional_embedding": visual.positional_embedding.detach()}
            resize_pos_embed(state, model)
            visual.positional_embedding = nn.Parameter(state["visual.positional_embedding"])
        with torch.no_grad():
            visual.eval()(torch.zeros(1, 3, size, size))
    except Exception as error:  # each tower fails in its own way
        raise unresizable(name, size, own, str(error)) from error


def _build(source: Source, options: BackboneOptions) -> nn.Module:
    try:
        with seeded(options.seed), _quiet():
            model: nn.Module = open_clip.create_model(
                source.model if source.folder is None else f"{FOLDER}{source.folder}",
                pretrained=None,
                load_weights=False,
                precision="fp32",
                force_preprocess_cfg=source.preprocessing,
                pretrained_text=False,
            )
    except (OSError, RuntimeError, ImportError, ValueError) as error:
        raise UserError(f"open_clip cannot build {source.model} ({error})", "another model") from error
    return model


def _load_state(model: nn.Module, state: dict[str, torch.Tensor], name: str) -> None:
    state = convert_state_dict(model, state)
    if "positional_embedding" in state and not hasattr(model, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)
    for key in ("logit_scale", "logit_bias"):
        if key in state and getattr(model, key, None) is not None:
            state[key] = state[key].reshape(getattr(model, key).shape)
    load_into(model, state, name)


def _released(name: str, source: Source, offline: bool) -> Path:
    """The released weights, brought when allowed.

    Raises:
        UserError: they cannot be had, or nobody says from where.
    """
    if source.folder is not None and not source.repository:
        return folder_weights(source.folder)
    files = released_files(name)
    if not files:
        raise UserError(
            f"open_clip names no place to download weights of {name} ({source.model}, {source.tag}) from",
            "--weights FILE",
        )
    return files[-1].bring(DataRoot(offline=offline))


def _origin(path: Path, source: Source) -> tuple[str, str]:
    """Weights tag and pre-training data of a local file: the tag's own when it is, byte for byte, the released file."""
    published = str(source.config.get("url", ""))
    if "openaipublic" in published and published.split("/")[-2] == file_sha256(path):
        return source.tag, _pretraining(source)
    return f"file {path.name}", unknown_past("local", path.name)


def _pretraining(source: Source) -> str:
    if source.folder is not None:
        return f"as {source.model} says"
    return _OPENAI_DATA if source.tag == "openai" else f"open_clip tag {source.tag}" if source.tag else "unknown"


def _preprocessing(model: nn.Module) -> Preprocessing:
    config = open_clip.get_model_preprocess_cfg(model)
    size = config["size"]
    side = int(size[0] if isinstance(size, (tuple, list)) else size)
    return Preprocessing(
        size=side,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=config["interpolation"],
        resize_mode=config["resize_mode"],
        fill=int(config.get("fill_color", 0)),
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence open_clip's log lines ("No pretrained weights loaded"): ltbench loads and reports the weights itself."""
    root = logging.getLogger()
    before = root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
