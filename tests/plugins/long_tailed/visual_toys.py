"""A tower with batch normalisation, and the visual baselines on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ltbench.backbones.base import Backbone
from ltbench.method import Context
from ltbench.method.config import build_config
from ltbench_baselines.common.fine_tune import FineTune
from ltbench_baselines.long_tailed.plugin import ltbench_methods
from tests.plugins import two_stream_toys as toys
from tests.plugins.toy_cards import toy_card
from tests.plugins.two_stream_toys import (
    DIM,
    SIDE,
    ToyEncoder,
)

SPECS = {spec.name: spec for spec in ltbench_methods() if spec.card == "cards/visual.md"}


class ToyTower(nn.Module):
    """Two convolutions with batch normalisation, and a mean over the image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.layer1 = nn.Sequential(nn.Conv2d(4, DIM, 3, padding=1, bias=False), nn.BatchNorm2d(DIM))

    def forward(self, images: Tensor) -> Tensor:
        hidden: Tensor = self.layer1(self.bn1(self.conv1(images)).relu())
        return hidden.mean(dim=(2, 3))


def encoder(visual: bool = True) -> ToyEncoder:
    torch.manual_seed(2)
    card = toy_card(*(("image", "global") if visual else ("global",)), dim=DIM, image_size=SIDE)
    tower = ToyTower().eval().requires_grad_(False) if visual else None
    return ToyEncoder(card=card, visual=tower)


def context_of(labels: npt.NDArray[np.int8], backbone: Backbone | None = None) -> Context:
    return toys.context_of(labels, backbone or encoder())


def method_of(recipe: str, **options: Any) -> FineTune:
    spec = SPECS[recipe]
    config = build_config(FineTune.Config, recipe, spec.config, options)
    return FineTune(config)


def statistics(module: nn.Module) -> list[Tensor]:
    return [buffer.clone() for name, buffer in module.named_buffers() if "running_" in name]
