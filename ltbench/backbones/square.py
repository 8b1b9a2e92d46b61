"""An encoder behind another preprocessing than its own: whole images squeezed into a square."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Final

from torch import Tensor

from ltbench.backbones.base import Backbone
from ltbench.backbones.clip_backbone import ClipBackbone, Preprocessing
from ltbench.plugin.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGENET_MEAN: Final[tuple[float, ...]] = (0.485, 0.456, 0.406)
IMAGENET_STD: Final[tuple[float, ...]] = (0.229, 0.224, 0.225)


class SquareImages(Backbone):
    """The towers of an encoder, fed with images of which both sides were resized to one size.

    Bilinear with smoothing, the aspect is lost, no pixel is cut off; normalised by ImageNet's mean and deviation, or by
    what the encoder was trained with. The card states the preprocessing, so that features, keys and records are others
    than those of the encoder behind its own.

    Args:
        inner: the encoder; its towers are shared, not copied.
        size: side of the input in pixels; None takes the encoder's.
        own_statistics: mean and deviation of the encoder instead of ImageNet's.
        fit_map: global features of a map that is resized to what the attention pool of a ResNet of CLIP's has positions
            for, where the positions are resized otherwise.

    Raises:
        UserError: the encoder gives ready-made features and sees no image, takes images of its own size only, does
            not say by what it normalises, or has no attention pool to fit a map to.
    """

    def __init__(
        self, inner: Backbone, size: int | None = None, own_statistics: bool = False, fit_map: bool = False
    ) -> None:
        size = size or inner.card.image_size
        if inner.visual is None or size is None:
            raise UserError(
                f"the method resizes images to a square itself, and backbone {inner.card.name} sees no images",
                "ltbench list backbones",
            )
        resizes = isinstance(inner, ClipBackbone) and inner.any_size
        if size != inner.card.image_size and not resizes:
            raise UserError(
                f"the method resizes images to {size} pixels, and backbone {inner.card.name} takes"
                f" {inner.card.image_size} only",
                "a ResNet of CLIP's, or the size of the backbone: ltbench list backbones",
            )
        mean, std = IMAGENET_MEAN, IMAGENET_STD
        if own_statistics:
            if inner.statistics is None:
                raise UserError(
                    f"the method normalises images as backbone {inner.card.name} does, which does not say how",
                    "a CLIP or timm backbone: ltbench list backbones",
                )
            mean, std = inner.statistics
        preprocessing = Preprocessing(size, mean, std, "bilinear", "squash")
        if fit_map and not (isinstance(inner, ClipBackbone) and inner.any_size):
            raise UserError(
                f"the method resizes the map before an attention pool, and backbone {inner.card.name} has none",
                "a ResNet of CLIP's: ltbench list backbones",
            )
        words = preprocessing.words() + (", map resized to the grid of the attention pool" if fit_map else "")
        card = inner.card.model_copy(update={"transform": words, "image_size": size})
        super().__init__(card, inner.visual, inner.text, (mean, std))
        self._inner = inner
        self._fitted = inner if fit_map and isinstance(inner, ClipBackbone) else None
        self._preprocessing = preprocessing

    def preprocess(self, image: Image) -> Tensor:
        """One RGB image → float32 [3, size, size]."""
        tensor: Tensor = self._preprocessing.transform(image)
        return tensor

    @property
    def least_side(self) -> int | None:
        """Pixels that both sides of a picture must keep; see :class:`~ltbench.backbones.base.Backbone`."""
        return self._preprocessing.least_side

    def encode_global(self, images: Tensor) -> Tensor:
        """Images [n, 3, H, W] → global features [n, dim], not normalised."""
        return self._inner.encode_global(images) if self._fitted is None else self._fitted.encode_fitted(images)

    def encode_regions(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images [n, 3, H, W] → global and region features, see :class:`~ltbench.backbones.base.Backbone`."""
        pooled, regions = self._inner.encode_regions(images)
        return (pooled if self._fitted is None else self._fitted.encode_fitted(images)), regions

    def for_encoding(self) -> SquareImages:
        """With the towers of the encoder that it stands before; see :class:`~ltbench.backbones.base.Backbone`."""
        quick = copy.copy(self)
        quick._inner = self._inner.for_encoding()
        quick._fitted = quick._inner if self._fitted is not None and isinstance(quick._inner, ClipBackbone) else None
        return quick

    def mean_token(self, regions: Tensor) -> Tensor | None:
        """Regions [n, L, R] → the mean token's feature [n, R]; see :class:`~ltbench.backbones.base.Backbone`."""
        return self._inner.mean_token(regions)
