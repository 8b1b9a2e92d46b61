"""The encoders for photographs, with random weights of the true architecture and, where they are, the released ones."""

from __future__ import annotations

import pytest

from ltbench.backbones.options import BackboneOptions
from ltbench_photos.opening import PhotoBackbone, open_lite0_minilm
from tests.plugins.photos.photo_needs import NAME, need_library, need_weights


@pytest.fixture(scope="module")
def random() -> PhotoBackbone:
    """Random weights of the true architecture."""
    need_library()
    return open_lite0_minilm(NAME, BackboneOptions(weights="random"))


@pytest.fixture(scope="module")
def released() -> PhotoBackbone:
    """The released weights."""
    need_weights()
    return open_lite0_minilm(NAME, BackboneOptions(offline=True))
