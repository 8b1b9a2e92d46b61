"""A toy encoder with both towers, single positive labels, and HSPNet on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ltbench.backbones.base import Backbone, BackboneCard, TextTower
from ltbench.method import Batch, Context, GradientStage, Stats
from ltbench.method.config import build_config
from ltbench_hspnet.method import HSPNet
from ltbench_hspnet.plugin import ltbench_methods
from tests.plugins.conftest import ToyTextTower
from tests.plugins.two_stream_toys import DIM, NAMES, ROWS, context_of, encoder, make_trainable

SPECS = {spec.name: spec for spec in ltbench_methods()}
GROUPS = {"animal": ("cat", "dog"), "vehicle": ("tram", "bus"), "toy": ("kite",)}


def single_positive() -> npt.NDArray[np.int8]:
    """40 rows with at most one label known to be present, one of them with none; the last class is never seen."""
    labels = np.zeros((ROWS, len(NAMES)), dtype=np.int8)
    labels[np.arange(1, ROWS), np.arange(1, ROWS) % (len(NAMES) - 1)] = 1
    return labels


def towers() -> Backbone:
    """The toy image tower with a toy text tower of its size."""
    backbone = encoder()
    torch.manual_seed(3)
    text = ToyTextTower()
    text.projection = torch.nn.Linear(text.width, DIM, bias=False)
    backbone.text = text.eval().requires_grad_(False)
    return backbone


def context(labels: npt.NDArray[np.int8] | None = None, variant: Any = "code", groups: Any = GROUPS) -> Context:
    shown = single_positive() if labels is None else labels
    return replace(context_of(shown, towers(), variant), label_groups=groups)


def config_of(recipe: str = "hspnet", **options: Any) -> HSPNet.Config:
    config = build_config(HSPNet.Config, recipe, SPECS[recipe].config, options)
    assert isinstance(config, HSPNet.Config)
    return config


def build(where: Context, recipe: str = "hspnet", **options: Any) -> tuple[GradientStage, Any]:
    torch.manual_seed(7)
    (stage,) = HSPNet(config_of(recipe, **options)).stages(where)
    assert isinstance(stage, GradientStage)
    make_trainable(stage)
    module: Any = stage.module.train()
    module.on_epoch_start(0, lambda: iter(()))
    return stage, module


def features_of(labels: npt.NDArray[np.int8]) -> Batch:
    inputs = torch.randn(len(labels), DIM, generator=torch.Generator().manual_seed(4))
    return Batch(torch.arange(len(labels)), inputs, torch.from_numpy(labels))


class GivenTower(TextTower):
    """Texts stand for rows of given features and token embeddings; a prompt's feature is a toy function of its tokens.

    Args:
        features: of texts, by text.
        tokens: embeddings of the start and of all that follows the context [L, W], by label prompt "name.".
        weight: a prompt of embeddings E has the feature tanh(mean(E) weight).
    """

    def __init__(self, features: dict[str, Tensor], tokens: dict[str, Tensor], weight: Tensor) -> None:
        super().__init__()
        self.features, self.sentences = features, list(tokens)
        stacked = torch.stack(list(tokens.values()))
        self.tail = stacked.shape[1]
        self.table = nn.Parameter(stacked.flatten(0, 1), requires_grad=False)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.context_length, self.width, self.logit_scale = 77, stacked.shape[-1], 10.0

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        rows = torch.zeros(len(texts), 77, dtype=torch.int64)
        for row, text in enumerate(texts):
            at = self.sentences.index(text if text.endswith(".") else f"{text}.") * self.tail
            count = self.tail if text.endswith(".") else self.tail - 1
            rows[row, :count] = torch.arange(at, at + count)
        return rows

    def end_positions(self, tokens: Tensor) -> Tensor:
        return tokens.argmax(dim=1)

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        return self.table[tokens]

    def encode_embeddings(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        return torch.tanh(embeddings.mean(dim=1) @ self.weight)

    def unknown_parts(self, names: Sequence[str]) -> dict[str, str]:
        return {}

    def encode(self, texts: Sequence[str], chunk: int = 256) -> Tensor:
        return torch.stack([self.features[text] for text in texts])


class GivenBackbone(Backbone):
    """Features come ready-made."""

    def preprocess(self, image: Any) -> Tensor:
        raise NotImplementedError

    def encode_global(self, images: Tensor) -> Tensor:
        raise NotImplementedError


def context_for(
    tower: TextTower, names: tuple[str, ...], groups: dict[str, tuple[str, ...]], dim: int, variant: Any = "code"
) -> Context:
    card = BackboneCard(
        name="given",
        offers=("global", "text"),
        dim=dim,
        weights="random",
        weights_sha256="0" * 64,
        transform="none",
        revision="1",
        pretraining="nothing",
    )
    stats = Stats.of(np.eye(len(names), dtype=np.int8))
    return Context(
        names, stats, GivenBackbone(card, text=tower), torch.device("cpu"), 0, variant=variant, label_groups=groups
    )


def texts(prefix: str, features: np.ndarray) -> dict[str, Tensor]:
    names = [f"a photo of a {prefix}{row}." for row in range(len(features))]
    return dict(zip(names, torch.from_numpy(features), strict=True))


def tower_of(labels: np.ndarray, groups: np.ndarray) -> GivenTower:
    """A tower of which only the features of labels and groups matter."""
    rng = np.random.default_rng(0)
    tokens = {f"l{row}.": torch.from_numpy(rng.normal(size=(5, 5))) for row in range(len(labels))}
    return GivenTower(texts("l", labels) | texts("g", groups), tokens, torch.from_numpy(rng.normal(size=(5, 8))))
