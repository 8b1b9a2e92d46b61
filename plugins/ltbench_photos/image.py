"""The image tower: EfficientNet-Lite0 and, from its own classifier, an embedding among texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import timm
import torch
from timm.data.config import resolve_model_data_config
from timm.data.transforms_factory import create_transform
from torch import Tensor, nn
from torch.nn.functional import normalize

from ltbench.backbones.weights import seeded, tensors_sha256

ARCHITECTURE: Final = "tf_efficientnet_lite0"
STATISTICS: Final = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""Mean and deviation that the weights were trained with, as timm's transform takes them."""
_STAGES: Final = (1, 2, 2, 3, 3, 4, 1)
"""Blocks of each stage; the file numbers them through, timm stage by stage."""

_OUTER: Final = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_FIRST: Final = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_INNER: Final = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_BLOCK: Final = re.compile(r"^_blocks\.(\d+)\.([^.]+)\.(.+)$")


def build(seed: int) -> Any:
    """The architecture with random weights and its classifier of 1,000 classes."""
    with seeded(seed):
        return timm.create_model(ARCHITECTURE, pretrained=False)


def in_timm_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict by timm's names; those of the package's file are translated, others stay."""
    return {_timm_name(key): value for key, value in state.items()}


def _timm_name(key: str) -> str:
    block = _BLOCK.match(key)
    if block is None:
        part, _, rest = key.partition(".")
        return f"{_OUTER.get(part, part)}.{rest}"
    number, part, rest = int(block[1]), block[2], block[3]
    names = _INNER if number else _FIRST
    stage = 0
    while stage < len(_STAGES) - 1 and number >= _STAGES[stage]:
        number -= _STAGES[stage]
        stage += 1
    return f"blocks.{stage}.{number}.{names.get(part, part)}.{rest}"


def content_sha256(state: Mapping[str, Tensor]) -> str:
    """Hash of a state's tensors but for counters of batches, which say nothing of what it computes."""
    return tensors_sha256({key: value for key, value in state.items() if not key.endswith("num_batches_tracked")})


def transform_for(model: nn.Module, image_size: int | None) -> tuple[Any, int]:
    """timm's evaluation transform for the weights, PIL image → float32 [3, size, size], and its size."""
    config: dict[str, Any] = resolve_model_data_config(model)  # type: ignore[no-untyped-call]
    size = int(image_size or config["input_size"][-1])
    config["input_size"] = (3, size, size)
    return create_transform(**config, is_training=False), size


class WordedTower(nn.Module):
    """Images → embeddings among texts, as ConSE joins them.

    With the tower's own classifier, ``P = softmax(logits / T)`` over its K classes, and the embedding is
    ``normalise(sum_k P_k words_k)``. The classifier is linear, so that it commutes with the mean over places: a place
    of the last map is embedded in the same way. The parts have timm's names.

    Source: Norouzi et al., Zero-Shot Learning by Convex Combination of Semantic Embeddings, ICLR 2014, Eq. 2, with all
    classes in place of the best few, and a temperature.

    Args:
        trunk: a model of timm with the parts of an EfficientNet; its parts are taken over.
        words: embedding of each of its classes, [K, D].
        temperature: T.
    """

    words: Tensor
    classifier: nn.Linear

    def __init__(self, trunk: nn.Module, words: Tensor, temperature: float) -> None:
        super().__init__()
        for name in ("conv_stem", "bn1", "blocks", "conv_head", "bn2", "classifier"):
            self.add_module(name, trunk.get_submodule(name))
        # Computed from frozen weights, so it is no state of its own.
        self.register_buffer("words", words, persistent=False)
        self.temperature = temperature

    def map(self, images: Tensor) -> Tensor:
        """Images [n, 3, H, W] → the last map [n, R, h, w]."""
        parts = self._modules
        x = images
        for name in ("conv_stem", "bn1", "blocks", "conv_head", "bn2"):
            part = parts[name]
            assert part is not None
            x = part(x)
        return x

    def embed(self, features: Tensor) -> Tensor:
        """Features [..., R] before the classifier → embeddings float32 [..., D], normalised."""
        logits: Tensor = self.classifier(features)
        shares = torch.softmax(logits.float() / self.temperature, dim=-1)
        return normalize(shares @ self.words, dim=-1)

    def forward(self, images: Tensor) -> Tensor:
        """Images [n, 3, H, W] → embeddings [n, D]."""
        return self.embed(self.map(images).mean(dim=(2, 3)))

    def with_places(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings [n, D] of the images, and [n, h * w, D] of the places of their maps, row by row."""
        places = self.map(images).flatten(2).transpose(1, 2)
        return self.embed(places.mean(dim=1)), self.embed(places)
