"""An encoder with a map of places, and small graphs on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ltbench.backbones.base import Backbone
from ltbench.method import Batch, Context, GradientStage, Stats
from ltbench.method.config import build_config
from ltbench_baselines.partial.graph_recipes import partial_graph_recipes
from ltbench_baselines.partial.semantic_graph import SemanticGraphModule

SPECS = {spec.name: spec for spec in partial_graph_recipes()}
REGIONS, PLACES = 6, 4
SMALL = {"hidden": 5, "output": 7, "tower": "frozen"}


class MapTower(nn.Module):
    """One convolution to a map of 2 x 2 places, and a part that can be frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 3, 1)
        self.last = nn.Conv2d(3, REGIONS, 4, stride=4)

    def forward(self, images: Tensor) -> Tensor:
        mapped: Tensor = self.last(self.stem(images))
        return mapped


class MapEncoder(Backbone):
    def preprocess(self, image: Any) -> Tensor:
        raise NotImplementedError

    def encode_global(self, images: Tensor) -> Tensor:
        raise NotImplementedError

    def encode_regions(self, images: Tensor) -> tuple[Tensor, Tensor]:
        assert self.visual is not None
        regions = self.visual(images).flatten(2).transpose(1, 2)
        return regions.mean(dim=1), regions


def build(
    recipe: str, encoder: Backbone, labels: npt.NDArray[np.int8], variant: Any = "paper", **options: Any
) -> tuple[GradientStage, Any]:
    names = ("cat", "dog", "traffic light", "person", "bus")[: labels.shape[1]]
    observed = torch.from_numpy(labels)
    device = torch.device("cpu")
    context = Context(names, Stats.of(labels), encoder, device, 0, variant=variant, observed=observed)
    spec = SPECS[recipe]
    method = spec.load()
    small = SMALL if recipe in ("ssgrl", "kggr") else {**SMALL, "channels": 8}
    torch.manual_seed(0)
    (stage,) = method(build_config(method.Config, recipe, spec.config, {**small, **options})).stages(context)
    assert isinstance(stage, GradientStage)
    assert isinstance(stage.module, SemanticGraphModule)
    return stage, stage.module


def batch_of(labels: npt.NDArray[np.int8]) -> Batch:
    regions = torch.randn(len(labels), PLACES, REGIONS, generator=torch.Generator().manual_seed(4))
    return Batch(torch.arange(len(labels)), (regions.mean(dim=1), regions), torch.from_numpy(labels))


def scan_of(batch: Batch, rows: int = 16) -> Any:
    def scan() -> Iterator[Batch]:
        assert isinstance(batch.input, tuple)
        for start in range(0, len(batch.rows), rows):
            cut = slice(start, start + rows)
            yield Batch(batch.rows[cut], (batch.input[0][cut], batch.input[1][cut]), batch.observed[cut])

    return scan


def total(module: SemanticGraphModule, batch: Batch) -> Tensor:
    return torch.stack(list(module.loss(batch).values())).sum()
