"""An encoder with a map of places."""

from __future__ import annotations

import pytest
import torch

from ltbench.backbones.base import Backbone
from tests.plugins.partial.graph_toys import REGIONS, MapEncoder, MapTower


@pytest.fixture
def encoder(backbone: Backbone) -> MapEncoder:
    card = backbone.card.model_copy(update={"region_dim": REGIONS, "image_size": 8})
    torch.manual_seed(1)
    return MapEncoder(card=card, visual=MapTower(), text=backbone.text)
