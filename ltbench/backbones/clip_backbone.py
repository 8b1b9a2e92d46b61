"""A CLIP model as a backbone: its two towers, its preprocessing, its card."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn

from ltbench.backbones.base import Backbone, BackboneCard, TextTower
from ltbench.backbones.masked_text import MaskedTextTower
from ltbench.backbones.options import BackboneOptions, EncodeDtype
from ltbench.backbones.precision import arithmetic, channels_last, encoder_revision, folded, folds, laid_out
from ltbench.backbones.reduced import GAP
from ltbench.backbones.regions import attention_pool, fitted, mean_token_offset, region_kind, token_regions, trunk
from ltbench.backbones.text import ClipTextTower, text_part
from ltbench.backbones.weights import state_sha256
from ltbench.backbones.whole_text import WholeTextTower, is_whole

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Preprocessing:
    """open_clip's evaluation transform.

    Attributes:
        size: side of the square output in pixels.
        resize_mode: ``shortest`` side then centre crop, ``squash``, or ``longest`` side then padding with ``fill``.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"
    fill: int = 0

    @cached_property
    def transform(self) -> Any:
        """The transform, PIL image → float32 [3, size, size]."""
        # Imported where an image is at hand: who finds all features in the cache waits for no torchvision.
        from open_clip.transform import image_transform

        return image_transform(
            image_size=self.size,
            is_train=False,
            mean=self.mean,
            std=self.std,
            interpolation=self.interpolation,
            resize_mode=self.resize_mode,
            fill_color=self.fill,
        )

    @property
    def least_side(self) -> int:
        """Pixels that both sides of a picture must keep; see :class:`~ltbench.backbones.base.Backbone`."""
        return GAP * self.size

    def words(self) -> str:
        """The transform in words, for the record."""
        how = {
            "shortest": f"shortest side to {self.size} ({self.interpolation}, antialias), centre crop",
            "squash": f"both sides to {self.size} ({self.interpolation}, antialias)",
            "longest": f"longest side to {self.size} ({self.interpolation}, antialias), padded with {self.fill}",
        }[self.resize_mode]
        mean, std = (", ".join(f"{v:.8g}" for v in values) for values in (self.mean, self.std))
        return f"{how}, {self.size}x{self.size} RGB in [0, 1], minus ({mean}), over ({std})"


@dataclass(frozen=True)
class Facts:
    """What the opener knows and the model does not."""

    name: str
    dim: int
    weights: str
    pretraining: str
    library: str
    licence: str = ""


class ClipBackbone(Backbone):
    """A CLIP model. Global features, regions and texts share one space.

    Args:
        card: facts for the record.
        visual: image tower.
        text: text tower, or None.
        preprocessing: the evaluation transform.
        inner_channels: images are encoded channels-last.

    Attributes:
        any_size: the image tower takes squares of any size (a ResNet, whose pool resizes its positions).
    """

    def __init__(
        self,
        card: BackboneCard,
        visual: nn.Module,
        text: TextTower | None,
        preprocessing: Preprocessing,
        inner_channels: bool = False,
    ):
        super().__init__(card, visual, text, (preprocessing.mean, preprocessing.std))
        self._inner_channels = inner_channels
        self.tower = visual
        self.preprocessing = preprocessing
        self._kind = region_kind(visual)
        self.any_size = self._kind == "attnpool"
        self._side = native_side(visual, preprocessing.size)

    def preprocess(self, image: Image) -> Tensor:
        """One RGB image → float32 [3, H, W]."""
        tensor: Tensor = self.preprocessing.transform(image)
        return tensor

    @property
    def least_side(self) -> int | None:
        """Pixels that both sides of a picture must keep; see :class:`~ltbench.backbones.base.Backbone`."""
        return self.preprocessing.least_side

    def encode_global(self, images: Tensor) -> Tensor:
        """Images [n, 3, H, W] → global features float32 [n, dim], not normalised."""
        if self._kind == "attnpool" and images.shape[-1] != self._side:
            return self.encode_regions(images)[0]
        with arithmetic(self.card.dtype, images.device):
            features = self.tower(laid_out(images, self._inner_channels))
        pooled: Tensor = features[0] if isinstance(features, tuple) else features
        return pooled.float()

    def encode_regions(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images → global features float32 [n, dim] and regions float32 [n, L, dim], row by row, not normalised.

        ModifiedResNet: value and output projection of the attention pool at each location (DualCoOp);
        VisionTransformer: patch tokens of the last block through the final layer norm and projection.
        See ``ltbench.backbones.regions``.
        """
        if not self._kind:
            return super().encode_regions(images)
        with arithmetic(self.card.dtype, images.device):
            images = laid_out(images, self._inner_channels)
            if self._kind == "tokens":
                pooled, regions = token_regions(self.tower, images)
            else:
                pooled, regions = attention_pool(self.tower.attnpool, trunk(self.tower, images))
        return pooled.float(), regions.float()

    def encode_fitted(self, images: Tensor) -> Tensor:
        """Images → global features float32 [n, dim], the map resized to the attention pool's own grid.

        For a ResNet of CLIP's alone (``any_size``); :meth:`encode_global` resizes the positions instead.
        """
        with arithmetic(self.card.dtype, images.device):
            pool = self.tower.attnpool
            pooled, _ = attention_pool(pool, fitted(pool, trunk(self.tower, laid_out(images, self._inner_channels))))
        return pooled.float()

    def for_encoding(self) -> ClipBackbone:
        """With batch norms folded where it encodes channels-last in float32; see :class:`Backbone`."""
        if not folds(self.card.dtype, self._inner_channels, self.tower):
            return self
        quick = copy.copy(self)
        quick.tower = folded(self.tower)
        return quick

    def mean_token(self, regions: Tensor) -> Tensor | None:
        """Regions [n, L, dim] of a square map → the feature [n, dim] of the attention pool's mean token.

        None for a VisionTransformer, whose pool has none.

        Raises:
            ValueError: L is no square.
        """
        if self._kind != "attnpool":
            return None
        side = round(regions.shape[1] ** 0.5)
        if side**2 != regions.shape[1]:
            raise ValueError(f"expected regions of a square map, got {regions.shape[1]}")
        offset = mean_token_offset(self.tower.attnpool, side, side).detach()
        return regions.mean(dim=1) + offset.to(regions)


def native_side(visual: nn.Module, otherwise: int) -> int:
    """Side in pixels of the input that an image tower was made for."""
    native = getattr(visual, "image_size", otherwise)
    side: int = native[0] if isinstance(native, (tuple, list)) else native
    return side


def _text_tower(model: Any, tokenizer: Any, dtype: EncodeDtype) -> TextTower | None:
    """The text tower of an open_clip model, as its kind wants it; None where it starts from tokens alone."""
    if text_part(model) is not None:
        return ClipTextTower(model, tokenizer, dtype)
    # What comes here is a model of open_clip, which is imported by now.
    from open_clip.hf_model import HFTextEncoder

    part = getattr(model, "text", model)
    if isinstance(part, HFTextEncoder):
        length, scale = tokenizer.context_length, float(model.logit_scale.detach().exp())
        return MaskedTextTower(part.transformer, tokenizer, length, scale, part.pooler, part.proj, dtype)
    return WholeTextTower(model, tokenizer, dtype) if is_whole(part) else None


def assemble(
    model: Any,
    tokenizer: Any | None,
    preprocessing: Preprocessing,
    facts: Facts,
    options: BackboneOptions,
    digest: str | None = None,
) -> ClipBackbone:
    """Freeze an open_clip model, move it to the device and write its card.

    Args:
        digest: hash of the weights before positions were resized; None where none were.
    """
    model.eval().requires_grad_(False)
    visual: nn.Module = model.visual
    text = _text_tower(model, tokenizer, options.dtype) if tokenizer is not None else None
    digest = digest or state_sha256(model)
    visual.to(options.device)
    resnet, side = region_kind(visual) == "attnpool", native_side(visual, preprocessing.size)
    inner = channels_last(options.dtype, options.device, resnet, side)
    if text is not None:
        text.to(options.device).eval()
    offers: list[Literal["image", "global", "region", "text"]] = ["image", "global"]
    if region_kind(visual):
        offers.append("region")
    if text is not None:
        offers.append("text")
    card = BackboneCard(
        name=facts.name,
        offers=tuple(offers),
        dim=facts.dim,
        region_dim=facts.dim if "region" in offers else None,
        image_size=preprocessing.size,
        weights=facts.weights,
        weights_sha256=digest,
        transform=preprocessing.words(),
        revision=encoder_revision(
            facts.library,
            inner_channels=inner,
            folds=folds(options.dtype, inner, visual),
            shares=isinstance(text, ClipTextTower) and text.shares,
        ),
        pretraining=facts.pretraining,
        dtype=options.dtype,
        ranked=not options.random,
        licence=facts.licence,
    )
    return ClipBackbone(card, visual, text, preprocessing, inner)
