"""Small encoders with random weights: open_clip's own classes, a few thousand parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import open_clip
import pytest
import torch
from open_clip.model import CLIP
from PIL import Image

from ltbench.backbones.clip_backbone import ClipBackbone, Facts, Preprocessing, assemble
from ltbench.backbones.options import BackboneOptions
from ltbench.data.progress import Advance

SIDE = 64
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 3}


def small_resnet(**changes: object) -> CLIP:
    """A CLIP whose image tower is a ModifiedResNet with attention pooling (2 x 2 places on 64 pixels)."""
    torch.manual_seed(0)
    vision = {"layers": [1, 1, 1, 1], "width": 8, "image_size": SIDE, "head_width": 16}
    model = CLIP(embed_dim=24, vision_cfg=vision, text_cfg=TEXT, **changes)
    for name, parameter in model.visual.named_parameters():
        # The branches start at zero; open them so that every weight matters.
        if name.endswith("bn3.weight"):
            torch.nn.init.constant_(parameter, 0.5)
    for module in model.visual.modules():
        # Without training the signal fades from layer to layer, until all images look alike.
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.fill_(0.1)
    return model.eval()


def small_vit(**vision: object) -> CLIP:
    """A CLIP whose image tower is a VisionTransformer (4 x 4 patches on 64 pixels)."""
    torch.manual_seed(0)
    config = {"layers": 2, "width": 32, "head_width": 16, "patch_size": 16, "image_size": SIDE, **vision}
    return CLIP(embed_dim=24, vision_cfg=config, text_cfg=TEXT).eval()


def as_backbone(model: CLIP, name: str = "small", side: int = SIDE, **options: object) -> ClipBackbone:
    facts = Facts(name=name, dim=24, weights="random", pretraining="none", library="test")
    preprocessing = Preprocessing(size=side, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    tokenizer = open_clip.get_tokenizer("RN50")
    return assemble(model, tokenizer, preprocessing, facts, BackboneOptions(weights="random", **options))


@pytest.fixture(scope="session")
def resnet() -> ClipBackbone:
    return as_backbone(small_resnet())


@pytest.fixture(scope="session")
def vit() -> ClipBackbone:
    return as_backbone(small_vit())


def noise_image(seed: int, side: int = SIDE) -> Image.Image:
    """Coarse coloured squares: they differ from each other more than fine noise does."""
    squares = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(squares).resize((side, side), Image.Resampling.NEAREST)


class Lines:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.done = 0

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Advance]:
        def advance(n: int) -> None:
            self.done += n

        yield advance

    def line(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def lines() -> Lines:
    return Lines()
