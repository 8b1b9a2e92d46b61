"""What the tests of the zero-shot baselines share: an encoder with regions, recipes on it, batches, golden vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ltbench.backbones.base import Backbone
from ltbench.method import Batch, Context, GradientStage, Stats
from ltbench.method.config import build_config
from ltbench_baselines.unseen.plugin import ltbench_methods

NAMES = ("cat", "dog", "traffic light", "person", "bus")
UNSEEN = ("zebra", "red umbrella")
PLACES, REGION = 9, 10
SPECS = {spec.name: spec for spec in ltbench_methods()}
WRITTEN = ("class-names", "dual-templates")
LEARNED = sorted(set(SPECS) - set(WRITTEN))
SMALL: dict[str, dict[str, Any]] = {"biam": {"channels": 8, "heads": 2, "largest": 4}, "lesa": {"attentions": 3}}

MakeContext = Callable[..., Context]


def with_regions(backbone: Backbone, dim: int = REGION) -> Backbone:
    """The toy encoder, offering regions of some size too."""
    offers = ("global", "region", "text")
    backbone.card = backbone.card.model_copy(update={"offers": offers, "region_dim": dim})
    return backbone


def build(backbone: Backbone, name: str, labels: npt.NDArray[np.int8], **options: Any) -> GradientStage:
    """The one stage of a learned recipe for the toy classes."""
    spec = SPECS[name]
    method = spec.load()
    config = build_config(method.Config, name, spec.config, SMALL.get(name, {}), options)
    torch.manual_seed(0)
    observed = torch.from_numpy(labels.copy())
    context = Context(NAMES, Stats.of(labels), with_regions(backbone), torch.device("cpu"), 0, observed=observed)
    (stage,) = method(config).stages(context)
    assert isinstance(stage, GradientStage)
    return stage


def batch_of(labels: npt.NDArray[np.int8], dim: int = 16, seed: int = 4) -> Batch:
    """Random global and region features for labels."""
    generator = torch.Generator().manual_seed(seed)
    pooled = torch.randn(len(labels), dim, generator=generator)
    places = torch.randn(len(labels), PLACES, REGION, generator=generator)
    return Batch(torch.arange(len(labels)), (pooled, places), torch.from_numpy(np.ascontiguousarray(labels)))
