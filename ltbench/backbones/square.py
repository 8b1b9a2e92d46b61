"""An encoder behind another preprocessing than its own: whole images squeezed into a square."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from torch import Tensor

from ltbench.backbones.base import Backbone
from ltbench.backbones.clip_backbone import Preprocessing
from ltbench.plugin.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)


class SquareImages(Backbone):
    """The towers of an encoder, fed with images of which both sides were resized to its image size.

    Bilinear with smoothing, the aspect is lost, no pixel is cut off; normalised by ImageNet's mean and deviation
    whatever the encoder was trained with. The card states the preprocessing, so that features, keys and records are
    others than those of the encoder behind its own.

    Args:
        inner: the encoder; its towers are shared, not copied.

    Raises:
        UserError: the encoder gives ready-made features and sees no image.
    """

    def __init__(self, inner: Backbone) -> None:
        size = inner.card.image_size
        if inner.visual is None or size is None:
            raise UserError(
                f"the method resizes images to a square itself, and backbone {inner.card.name} sees no images",
                "ltbench list backbones",
            )
        preprocessing = Preprocessing(size, IMAGENET_MEAN, IMAGENET_STD, "bilinear", "squash")
        super().__init__(inner.card.model_copy(update={"transform": preprocessing.words()}), inner.visual, inner.text)
        self._inner = inner
        self._transform = preprocessing.build()

    def preprocess(self, image: Image) -> Tensor:
        """One RGB image → float32 [3, size, size]."""
        tensor: Tensor = self._transform(image)
        return tensor

    def encode_global(self, images: Tensor) -> Tensor:
        """Images [n, 3, H, W] → global features [n, dim], not normalised."""
        return self._inner.encode_global(images)

    def encode_regions(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images [n, 3, H, W] → global and region features, see :class:`~ltbench.backbones.base.Backbone`."""
        return self._inner.encode_regions(images)
