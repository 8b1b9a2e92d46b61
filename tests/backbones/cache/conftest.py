"""Images and a feature cache in a folder of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ltbench.backbones.cache import FeatureCache
from ltbench.data.base import ArrayImages

from ..conftest import noise_image
from .cache_toys import N


@pytest.fixture
def images(tmp_path: Path) -> ArrayImages:
    path = tmp_path / "images.npy"
    np.save(path, np.stack([np.asarray(noise_image(k)) for k in range(N)]))
    return ArrayImages(path)


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "cache")
