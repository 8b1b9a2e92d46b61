"""What is said of encoders without building them is what they are."""

from __future__ import annotations

import pytest

from ltbench.backbones.encode import Encoder
from ltbench.backbones.registry import open_backbone
from ltbench.backbones.widths import _KNOWN, widths_of


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(_KNOWN))
def test_widths_are_those_of_the_model(name: str) -> None:
    widths = widths_of(name)
    assert widths is not None
    backbone = open_backbone(name, weights=None if name == "tiny-clip" else "random")
    card, regions = backbone.card, "region" in backbone.card.offers
    assert (widths.dim, widths.region_dim, widths.image_size) == (card.dim, card.region_dim or 0, card.image_size)
    encoder = Encoder(backbone, "region" if regions else "global", None, 32, 1)
    assert widths.numbers(regions) == encoder.width(encoder.regions() if regions else 0)
