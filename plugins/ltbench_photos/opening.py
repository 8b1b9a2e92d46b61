"""Opens the encoders for photographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import timm
import torch
from torch import Tensor, nn

from ltbench.backbones.base import Backbone, BackboneCard
from ltbench.backbones.options import ENCODER_VERSION, BackboneOptions
from ltbench.backbones.precision import arithmetic
from ltbench.backbones.reduced import least_side
from ltbench.backbones.released import Released
from ltbench.backbones.timm_models import TimmBackbone
from ltbench.backbones.tokens import LetterTokens
from ltbench.backbones.weights import load_into, read_checkpoint, state_sha256
from ltbench.data.base import DataRoot
from ltbench.plugin.past import unknown_past
from ltbench_photos.image import STATISTICS, WordedTower, build, content_sha256, in_timm_names, transform_for
from ltbench_photos.names import encoded_names, imagenet_names, names_sha256
from ltbench_photos.text import CONTEXT_LENGTH, VOCABULARY, CentredTower, WordPieces, build_encoder, load_encoder
from ltbench_photos.weights import (
    LITE0_STATE,
    need_text_library,
    released_lite0,
    released_text,
    released_tokens,
)

if TYPE_CHECKING:
    from PIL.Image import Image

Module = TypeVar("Module", bound=nn.Module)

VERSION: Final = 1
"""Raised whenever the same weights and the same image or text would give other features."""
TEMPERATURE: Final = 2.0
"""Of the shares of ImageNet's classes; chosen by ``ltbench_photos.choose``, as are the sentence and the centring."""
SCALE: Final = 7.3
"""What multiplies cosines: the slope of a logistic regression of labels on them, found there too."""

_IMAGENET = "ImageNet-1k with its labels"
_SENTENCES = "MiniLM's pairs of sentences"


class PhotoBackbone(Backbone):
    """Image and text tower in the text tower's space.

    Args:
        card: facts for the record.
        tower: images → embeddings.
        text: the text tower.
        transform: PIL image → float32 [3, H, W].
    """

    def __init__(self, card: BackboneCard, tower: WordedTower, text: CentredTower, transform: Any) -> None:
        super().__init__(card, tower, text, STATISTICS)
        self.tower = tower
        self._transform = transform

    def preprocess(self, image: Image) -> Tensor:
        """One RGB image → float32 [3, H, W]."""
        tensor: Tensor = self._transform(image)
        return tensor

    @property
    def least_side(self) -> int | None:
        """Pixels that both sides of a picture must keep; see :class:`~ltbench.backbones.base.Backbone`."""
        return least_side(self._transform)

    def encode_global(self, images: Tensor) -> Tensor:
        """Images [n, 3, H, W] → embeddings float32 [n, 384], normalised."""
        with arithmetic(self.card.dtype, images.device):
            embedded: Tensor = self.tower(images.contiguous(memory_format=torch.channels_last))
        return embedded.float()

    def encode_regions(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images → embeddings float32 [n, 384] of them and [n, L, 384] of the places of the last map, row by row."""
        with arithmetic(self.card.dtype, images.device):
            whole, places = self.tower.with_places(images.contiguous(memory_format=torch.channels_last))
        return whole.float(), places.float()


def open_lite0(name: str, options: BackboneOptions) -> TimmBackbone:
    """``lite0``: the pooled features of EfficientNet-Lite0, [n, 1280].

    Raises:
        UserError: the weights cannot be had or do not fit.
    """
    model, weights, known = _image_model(name, options, may_miss=("classifier.",))
    transform, size = transform_for(model, options.image_size)
    model.reset_classifier(0)
    card = _card(name, options, model, weights, known, transform, size, offers=("image", "global"), dim=1280)
    return TimmBackbone(card, _placed(model, options), transform, STATISTICS, inner_channels=True)


def open_lite0_minilm(name: str, options: BackboneOptions) -> PhotoBackbone:
    """``lite0-minilm``: image, regions and text in 384 numbers.

    A checkpoint file stands for the image tower's weights; it needs the classifier. The text tower is the released one.

    Raises:
        UserError: the text library is not installed; weights cannot be had or do not fit.
    """
    need_text_library(name)
    model, weights, known = _image_model(name, options, may_miss=())
    text = _text_tower(name, options)
    names = imagenet_names()
    words = text.centred_on(encoded_names(text, names, DataRoot().cache))
    transform, size = transform_for(model, options.image_size)
    tower = WordedTower(model, words, TEMPERATURE)
    card = _card(
        name,
        options,
        nn.ModuleDict({"image": tower, "text": text}),
        weights,
        known,
        transform,
        size,
        offers=("image", "global", "region", "text"),
        dim=384,
        joined=f" T={TEMPERATURE:g} names-{names_sha256(names)[:8]}",
    )
    return PhotoBackbone(card, _placed(tower, options), _frozen(text).to(options.device), transform)


def _image_model(name: str, options: BackboneOptions, may_miss: tuple[str, ...]) -> tuple[Any, str, bool]:
    """EfficientNet-Lite0 with its classifier, what its weights are called, and whether they are the pinned ones."""
    path = Path(options.file) if options.file else None
    if not options.random and path is None:
        path = _bring(released_lite0(name), options)
    model = build(options.seed)
    if path is None:
        return model, "random", False
    load_into(model, in_timm_names(read_checkpoint(path)), name, may_miss=may_miss)
    known = content_sha256(model.state_dict()) == LITE0_STATE
    if options.file:
        return model, f"file {path.name}", True
    return model, "released" if known else "timm in1k", known


def _text_tower(name: str, options: BackboneOptions) -> CentredTower:
    if not options.random:
        tokenizer = WordPieces(_bring(released_tokens(name), options))
        return _frozen(CentredTower(load_encoder(_bring(released_text(name), options), name), tokenizer, SCALE))
    # Random weights read any tokens; nothing is fetched for them.
    near = released_tokens(name)
    path = near.here(DataRoot(offline=True))
    letters = LetterTokens(VOCABULARY, CONTEXT_LENGTH, end=WordPieces.end, padding=WordPieces.padding)
    return _frozen(CentredTower(build_encoder(options.seed), WordPieces(path) if path else letters, SCALE))


def _bring(file: Released, options: BackboneOptions) -> Path:
    return file.bring(DataRoot(offline=options.offline))


def _frozen(module: Module) -> Module:
    module.eval().requires_grad_(False)
    return module


def _placed(model: Any, options: BackboneOptions) -> Any:
    return _frozen(model).to(options.device).to(memory_format=torch.channels_last)


def _card(
    name: str,
    options: BackboneOptions,
    module: nn.Module,
    weights: str,
    known: bool,
    transform: Any,
    size: int,
    *,
    offers: tuple[Any, ...],
    dim: int,
    joined: str = "",
) -> BackboneCard:
    seen = f"images: {_IMAGENET}; texts: {_SENTENCES}; no image with its text" if "text" in offers else _IMAGENET
    if options.file:
        seen = unknown_past("local", Path(options.file).name)
    library = f"ltbench-encoder-{ENCODER_VERSION} ltbench-photos-{VERSION} timm-{timm.__version__}"
    return BackboneCard(
        name=name,
        offers=offers,
        dim=dim,
        region_dim=dim if "region" in offers else None,
        image_size=size,
        weights=weights,
        weights_sha256=state_sha256(module),
        transform="; ".join(repr(step) for step in transform.transforms),
        revision=library + joined,
        pretraining="none: random weights" if options.random else seen,
        dtype=options.dtype,
        ranked=known,
        licence="Apache-2.0",
    )
