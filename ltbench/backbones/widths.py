"""How many numbers an encoder makes of an image, told without building it. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Widths:
    """Sizes of what an encoder gives for one image.

    Attributes:
        dim: numbers of the global feature.
        region_dim: numbers of one region; 0 without regions.
        stride: side in pixels of the square of the image that one region stands for.
        image_size: side of the input in pixels where nobody asks for another.
    """

    dim: int
    region_dim: int
    stride: int
    image_size: int

    def numbers(self, regions: bool, image_size: int | None = None) -> int:
        """Numbers of one image in the feature cache.

        Args:
            regions: the regions as well as the global feature.
            image_size: side of the input in pixels; None takes the encoder's own.
        """
        if not regions:
            return self.dim
        return self.dim + ((image_size or self.image_size) // self.stride) ** 2 * self.region_dim


# As the models' cards say once they are built; a test compares. A tower of residual blocks halves the image five times,
# a transformer cuts it into patches.
_KNOWN = {
    "tiny-clip": Widths(128, 128, 16, 64),
    "clip-rn50": Widths(1024, 1024, 32, 224),
    "clip-rn101": Widths(512, 512, 32, 224),
    "clip-vit-b16": Widths(512, 512, 16, 224),
    "clip-vit-b32": Widths(512, 512, 32, 224),
    "timm:resnet50.tv_in1k": Widths(2048, 0, 32, 224),
    "timm:resnet101.tv_in1k": Widths(2048, 0, 32, 224),
}


def widths_of(backbone: str) -> Widths | None:
    """Sizes of what a backbone gives; None where only the model itself could tell."""
    return _KNOWN.get(backbone)
