"""The architecture of tiny-clip: CLIP with a ModifiedResNet and a causal text tower, at its size."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from ltbench.backbones.tiny_clip.tokenizer import CONTEXT_LENGTH, TinyTokenizer
from ltbench.backbones.tiny_clip.towers import Bottleneck, ModifiedResNet, TinyClip

IMAGE_SIZE: Final = 64
MEAN: Final = (0.5, 0.5, 0.5)
STD: Final = (0.25, 0.25, 0.25)
"""Preprocessing: RGB in [0, 1] minus MEAN, over STD."""


def build_model() -> TinyClip:
    """A freshly initialised tiny-clip (2.0 M parameters), for images [n, 3, 64, 64] and tokens [n, 32].

    The last stage of the image tower keeps its resolution, so that the attention pool sees a 4 x 4 grid of 512
    channels.
    """
    visual = ModifiedResNet(width=16, dim=128, side=4, image_size=IMAGE_SIZE)
    for block in visual.modules():
        if isinstance(block, Bottleneck):
            # CLIP starts residual branches at zero; four blocks from scratch learn faster with them open.
            nn.init.constant_(block.bn3.weight, 0.7)
    (last,) = visual.layer4
    assert isinstance(last, Bottleneck)
    assert last.downsample is not None
    last.avgpool = nn.Identity()
    last.downsample[0] = nn.Identity()
    vocabulary = TinyTokenizer().vocab_size
    return TinyClip(visual, 128, CONTEXT_LENGTH, vocabulary, width=128, layers=3, heads=4)


def preprocess(images: Tensor) -> Tensor:
    """uint8 [n, 64, 64, 3] to float32 [n, 3, 64, 64] as the image tower expects it."""
    planes = images.permute(0, 3, 1, 2).to(torch.float32) / 255.0
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    return (planes - mean) / std
