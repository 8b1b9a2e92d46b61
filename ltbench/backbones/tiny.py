"""The bundled encoder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor

from ltbench.backbones.clip_backbone import ClipBackbone, Facts, Preprocessing, assemble
from ltbench.backbones.options import BackboneOptions
from ltbench.backbones.tiny_clip.model import IMAGE_SIZE, MEAN, STD, build_model
from ltbench.backbones.tiny_clip.tokenizer import TinyTokenizer
from ltbench.backbones.weights import load_into, read_checkpoint, seeded
from ltbench.plugin.past import unknown_past

if TYPE_CHECKING:
    from PIL.Image import Image

AS_IN: Final = "open_clip-3.3.0"
"""The library whose operations the towers are to the bit (``tiny_clip/towers.py``), whatever is installed."""
_PRETRAINING = "rendered scenes and captions disjoint from every part of shapes; saw all 20 class names"


@dataclass(frozen=True)
class TinyPreprocessing(Preprocessing):
    """open_clip's evaluation transform to the bit, for ``shortest`` and ``bicubic``, without importing open_clip."""

    @cached_property
    def transform(self) -> Any:
        """The transform, PIL image → float32 [3, size, size]."""
        return self._transformed

    def _transformed(self, image: Image) -> Tensor:
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (self.mean, self.std))
        pixels = np.array(_square(image, self.size).convert("RGB"))
        planes = torch.from_numpy(pixels).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
        return planes.sub_(mean).div_(std)


def _square(image: Image, side: int) -> Image:
    """The image with its shortest side resized, and the centre cut out of it."""
    from PIL.Image import Resampling

    short, long = sorted(image.size)
    other = int(side * long / short)
    size = (side, other) if image.width <= image.height else (other, side)
    if image.size != size:
        image = image.resize(size, Resampling.BICUBIC)
    left, top = (round((length - side) / 2) for length in size)
    return image if size == (side, side) else image.crop((left, top, left + side, top + side))


def open_tiny_clip(name: str, options: BackboneOptions) -> ClipBackbone:
    """``tiny-clip`` with the weights of the package, random ones, or those of a file."""
    weights, pretraining = "bundled", _PRETRAINING
    if options.weights is None:
        from ltbench.backbones.tiny_clip import load_pretrained

        model, tokenizer = load_pretrained()
    else:
        path = Path(options.file) if options.file else None
        state = read_checkpoint(path) if path else None
        with seeded(options.seed):
            model, tokenizer = build_model(), TinyTokenizer()
        weights, pretraining = "random", "none: random weights"
        if state is not None and path is not None:
            load_into(model, state, name)
            weights, pretraining = f"file {path.name}", unknown_past("local", path.name)
    facts = Facts(
        name=name,
        dim=int(model.text_projection.shape[1]),
        weights=weights,
        pretraining=pretraining,
        library=AS_IN,
        licence="MIT",
    )
    preprocessing = TinyPreprocessing(size=options.image_size or IMAGE_SIZE, mean=MEAN, std=STD)
    return assemble(model, tokenizer, preprocessing, facts, options)
