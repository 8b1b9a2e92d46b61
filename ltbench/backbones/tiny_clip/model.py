"""The architecture of tiny-clip: open_clip's CLIP with a ModifiedResNet and a causal text tower."""

from __future__ import annotations

from typing import Final

import torch
from open_clip.model import CLIP
from torch import Tensor, nn

from ltbench.backbones.tiny_clip.tokenizer import CONTEXT_LENGTH, TinyTokenizer

IMAGE_SIZE: Final = 64
MEAN: Final = (0.5, 0.5, 0.5)
STD: Final = (0.25, 0.25, 0.25)
"""Preprocessing: RGB in [0, 1] minus MEAN, over STD."""


def build_model() -> CLIP:
    """A freshly initialised tiny-clip (2.0 M parameters), for images [n, 3, 64, 64] and tokens [n, 32].

    The last stage of the image tower keeps its resolution, so that the attention pool sees a 4 x 4 grid of 512
    channels; open_clip sizes the pool's positions by ``image_size // 32``, hence the 128 given to it.
    """
    model = CLIP(
        embed_dim=128,
        vision_cfg={"layers": [1, 1, 1, 1], "width": 16, "image_size": 2 * IMAGE_SIZE},
        text_cfg={
            "context_length": CONTEXT_LENGTH,
            "vocab_size": TinyTokenizer().vocab_size,
            "width": 128,
            "heads": 4,
            "layers": 3,
        },
    )
    visual = model.visual
    last = visual.layer4[0]
    last.avgpool = nn.Identity()
    last.downsample[0] = nn.Identity()
    visual.image_size = (IMAGE_SIZE, IMAGE_SIZE)
    # open_clip starts residual branches at zero; four blocks from scratch learn faster with them open.
    for stage in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
        for block in stage:
            nn.init.constant_(block.bn3.weight, 0.7)
    return model


def preprocess(images: Tensor) -> Tensor:
    """uint8 [n, 64, 64, 3] to float32 [n, 3, 64, 64] as the image tower expects it."""
    planes = images.permute(0, 3, 1, 2).to(torch.float32) / 255.0
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    return (planes - mean) / std
