"""Image models of timm: pooled features before the classifier."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import timm
import torch
from timm.data.config import resolve_model_data_config
from timm.data.transforms_factory import create_transform
from timm.models.resnet import ResNet
from torch import Tensor, nn

from ltbench.backbones.base import Backbone, BackboneCard, Statistics
from ltbench.backbones.options import BackboneOptions
from ltbench.backbones.precision import arithmetic, channels_last, encoder_revision, folded, folds, laid_out
from ltbench.backbones.reduced import least_side
from ltbench.backbones.registry import unresizable
from ltbench.backbones.released import Released, hub_files, released_of, web_file
from ltbench.backbones.weights import load_into, read_checkpoint, seeded, state_sha256, unfit
from ltbench.data.base import DataRoot
from ltbench.data.getting.sources import Source
from ltbench.plugin.errors import UnknownName, UserError
from ltbench.plugin.past import unknown_past

if TYPE_CHECKING:
    from PIL.Image import Image


class TimmBackbone(Backbone):
    """An image model without its classifier.

    Args:
        card: facts for the record.
        visual: the model, [n, 3, H, W] → [n, dim].
        transform: timm's evaluation transform for it.
        statistics: mean and deviation that the transform normalises by.
        inner_channels: images are encoded channels-last.
    """

    def __init__(
        self,
        card: BackboneCard,
        visual: nn.Module,
        transform: Any,
        statistics: Statistics,
        inner_channels: bool = False,
    ) -> None:
        super().__init__(card, visual, None, statistics)
        self._inner_channels = inner_channels
        self.tower = visual
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
        """Images [n, 3, H, W] → pooled features float32 [n, dim], not normalised."""
        with arithmetic(self.card.dtype, images.device):
            features: Tensor = self.tower(laid_out(images, self._inner_channels))
        return features.float()

    def encode_regions(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images [n, 3, H, W] → pooled features [n, dim] and the last feature map, row by row [n, L, R], float32.

        Of models that end in a map [n, R, h, w]. Cards do not offer it, so that nothing is cached: a map of ResNet-101
        at 448 pixels takes 1.6 MB an image. It serves methods that train the tower.

        Raises:
            TypeError: the model ends in tokens, or in several maps.
        """
        with arithmetic(self.card.dtype, images.device):
            tower: Any = self.tower
            last = tower.forward_features(laid_out(images, self._inner_channels))
            if not isinstance(last, Tensor) or last.ndim != 4 or last.shape[1] != tower.num_features:
                return super().encode_regions(images)
            pooled: Tensor = tower.forward_head(last)
        return pooled.float(), last.flatten(2).transpose(1, 2).float()

    def for_encoding(self) -> TimmBackbone:
        """With batch norms folded where it encodes channels-last in float32; see :class:`Backbone`."""
        if not folds(self.card.dtype, self._inner_channels, self.tower):
            return self
        quick = copy.copy(self)
        quick.tower = folded(self.tower)
        return quick


def open_timm(name: str, options: BackboneOptions) -> TimmBackbone:
    """``timm:NAME``.

    Raises:
        UnknownName: timm has no such model or no such tag.
        UserError: the weights cannot be had or do not fit, or the model takes no images of the size that is asked for.
    """
    wanted = options.argument
    architecture, _, tag = wanted.partition(".")
    if not timm.is_model(architecture):
        raise UnknownName("timm model", architecture, timm.list_models(), "timm:NAME, e.g. timm:resnet18.a1_in1k")
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise UnknownName(f"tag of {architecture}", tag, tags, f"one of {', '.join(tags)}")
    if options.weights is None and not tags:
        raise UserError(f"timm has no released weights of {architecture}", "--weights random, or --weights FILE")
    path = Path(options.file) if options.file else None
    state = read_checkpoint(path) if path else None
    model = _build(wanted, options)
    config: dict[str, Any] = resolve_model_data_config(model)  # type: ignore[no-untyped-call]
    card_of: Any = model.pretrained_cfg
    weights = str(card_of.get("tag") or "released")
    pretraining = f"timm weights {weights}"
    if options.random:
        weights, pretraining = "random", "none: random weights"
    if state is not None and path is not None:
        # Features come from before the classifier, so that a checkpoint may have any, or none.
        head = card_of.get("classifier") or ()
        heads = (head,) if isinstance(head, str) else tuple(head)
        load_into(model, state, name, may_miss=tuple(f"{h}." for h in heads))
        weights, pretraining = f"file {path.name}", unknown_past("local", path.name)
    model.eval().requires_grad_(False)
    # Before positions are resized: the weights are the same at any size.
    digest = state_sha256(model)
    own = int(config["input_size"][-1])
    size = options.image_size or own
    config["input_size"] = (3, size, size)
    transform = create_transform(**config, is_training=False)
    dim = _width(model, size) if size == own else _resized(model, name, size, own)
    model.to(options.device)
    inner = channels_last(options.dtype, options.device, isinstance(model, ResNet), own)
    card = BackboneCard(
        name=name,
        offers=("image", "global"),
        dim=dim,
        image_size=size,
        weights=weights,
        weights_sha256=digest,
        transform=_words(transform),
        revision=encoder_revision(f"timm-{timm.__version__}", inner, folds(options.dtype, inner, model)),
        pretraining=pretraining,
        dtype=options.dtype,
        ranked=not options.random,
        licence=str(card_of.get("license") or ""),
    )
    return TimmBackbone(card, model, transform, (tuple(config["mean"]), tuple(config["std"])), inner)


def _width(model: nn.Module, size: int) -> int:
    with torch.no_grad():
        return int(model(torch.zeros(1, 3, size, size)).shape[1])


def _resized(model: Any, name: str, size: int, own: int) -> int:
    """Make the model take images of another size; size of its features.

    Convolutional models take any. Those with positions or windows have timm's own ``set_input_size``, which resizes
    them; one without it refuses the images.
    """
    try:
        if hasattr(model, "set_input_size"):
            model.set_input_size(img_size=size)
        return _width(model, size)
    except Exception as error:  # each model fails in its own way
        raise unresizable(name, size, own, f"{type(error).__name__}: {error}") from error


def _build(wanted: str, options: BackboneOptions) -> nn.Module:
    extra: dict[str, Any] = {}
    path: Path | None = None
    if options.weights is None:
        file = released_of(f"timm:{wanted}")
        if file is None:
            raise UserError(f"timm names no place to download weights of {wanted} from", "--weights FILE")
        path = file.bring(DataRoot(offline=options.offline))
        extra["pretrained_cfg_overlay"] = {"file": str(path)}
    try:
        with seeded(options.seed):
            model: nn.Module = timm.create_model(wanted, pretrained=path is not None, num_classes=0, **extra)
            if path is not None:
                _check_file(model, path, wanted, extra)
    except Exception as error:  # each format of weights fails in its own way
        if path is not None:
            raise unfit(path, f"timm:{wanted}", error) from error
        raise UserError(f"timm cannot build {wanted} ({error})", "another model") from error
    return model


def _check_file(model: nn.Module, path: Path, wanted: str, extra: dict[str, Any]) -> None:
    """Refuse another model's file, which timm takes for one whose classifier differs: what it lacks would stay random.

    Raises:
        RuntimeError: it lacks something.
    """
    try:
        whole = model.state_dict().keys() <= read_checkpoint(path).keys()
    except UserError:
        whole = False  # a format that timm can read
    if not whole:
        # Names of old files are translated by timm. With the classifier that the file has it leaves nothing out.
        timm.create_model(wanted, pretrained=True, **extra)


def own_size(name: str) -> int | None:
    """Side in pixels of the images that a model of timm is evaluated on; None where timm has no such model."""
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    return None if config is None else int(config.input_size[-1])


def released(backbone: str, name: str) -> Released | None:
    """File of the released weights of a model of timm; None where it says no place, or has a format of its own."""
    config = timm.get_pretrained_cfg(name)
    if config is None:
        return None
    licence = str(config.license or "")
    places: tuple[Source, ...] = ()
    if config.hf_hub_id:
        own = config.hf_hub_filename
        names = (own,) if own else ("model.safetensors", "pytorch_model.bin")
        places = hub_files(f"{config.hf_hub_id}/", *names, licence=licence)
    elif isinstance(config.url, str) and config.url and not config.custom_load:
        places = (web_file(config.url, licence or "as the model's authors say"),)
    return Released(backbone, places) if places else None


def _words(transform: Any) -> str:
    """timm's transform in words; its steps print themselves, and their parameters decide the features."""
    return "; ".join(repr(step) for step in transform.transforms)
