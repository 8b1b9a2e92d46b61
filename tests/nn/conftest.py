"""A small causal text tower of open_clip with CLIP's own tokenizer."""

from __future__ import annotations

import pytest
import torch
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer

from ltbench.backbones.text import ClipTextTower

VISION = {"layers": 1, "width": 16, "head_width": 16, "patch_size": 16, "image_size": 32}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 2}


@pytest.fixture
def tower() -> ClipTextTower:
    torch.manual_seed(0)
    model = CLIP(embed_dim=24, vision_cfg=VISION, text_cfg=TEXT).eval().requires_grad_(False)
    return ClipTextTower(model, SimpleTokenizer())
