"""The toy encoder as DualCoOp needs it."""

from __future__ import annotations

import pytest

from ltbench.backbones.base import Backbone
from tests.plugins.conftest import DIM


@pytest.fixture
def toy(backbone: Backbone) -> Backbone:
    assert backbone.text is not None
    backbone.text.logit_scale = 100.0  # CLIP's, for which the release's constants were chosen
    backbone.card = backbone.card.model_copy(update={"offers": ("global", "region", "text"), "region_dim": DIM})
    return backbone
