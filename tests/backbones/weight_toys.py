"""A small architecture and its weights."""

from __future__ import annotations

import pytest
import torch


def small_architecture(monkeypatch: pytest.MonkeyPatch) -> torch.nn.Module:
    """Register a miniature architecture, with and without QuickGELU, and build it with."""
    from open_clip import factory
    from open_clip.model import CLIP

    from .conftest import TEXT

    config = {
        "embed_dim": 24,
        "vision_cfg": {"layers": 1, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 64},
        "text_cfg": TEXT,
    }
    monkeypatch.setitem(factory._MODEL_CONFIGS, "small", config)
    monkeypatch.setitem(factory._MODEL_CONFIGS, "small-quickgelu", {**config, "quick_gelu": True})
    torch.manual_seed(0)
    return CLIP(**config, quick_gelu=True)
