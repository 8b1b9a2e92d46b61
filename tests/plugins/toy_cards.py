"""Cards of encoders that exist in a test only."""

from __future__ import annotations

from typing import Any

from ltbench.backbones.base import BackboneCard


def toy_card(*offers: str, dim: int, **more: Any) -> BackboneCard:
    """A card with random weights, which never rank."""
    given: dict[str, Any] = {
        "name": "toy",
        "weights": "random",
        "weights_sha256": "0" * 64,
        "transform": "none",
        "revision": "1",
        "pretraining": "nothing",
        "ranked": False,
    }
    return BackboneCard(**given | {"offers": offers, "dim": dim} | more)
