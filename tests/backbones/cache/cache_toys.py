"""What tests of the feature cache share."""

from __future__ import annotations

from pathlib import Path

from ltbench.backbones.cache import FeatureCache

N = 11
IDS = [f"img{k}" for k in range(N)]


def shards(cache: FeatureCache) -> list[Path]:
    return sorted(cache.root.rglob("*.npy"))
