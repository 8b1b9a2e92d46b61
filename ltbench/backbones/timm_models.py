"""Image models of timm: pooled features before the classifier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import timm
import torch
from timm.data.config import resolve_model_data_config
from timm.data.transforms_factory import create_transform
from torch import Tensor, nn

from ltbench.backbones.base import Backbone, BackboneCard
from ltbench.backbones.options import ENCODER_VERSION, BackboneOptions
from ltbench.backbones.precision import arithmetic
from ltbench.backbones.weights import load_into, read_checkpoint, seeded, state_sha256, unavailable
from ltbench.plugin.errors import UnknownName, UserError

if TYPE_CHECKING:
    from PIL.Image import Image


class TimmBackbone(Backbone):
    """An image model without its classifier.

    Args:
        card: facts for the record.
        visual: the model, [n, 3, H, W] → [n, dim].
        transform: timm's evaluation transform for it.
    """

    def __init__(self, card: BackboneCard, visual: nn.Module, transform: Any) -> None:
        super().__init__(card, visual, None)
        self.tower = visual
        self._transform = transform

    def preprocess(self, image: Image) -> Tensor:
        """One RGB image → float32 [3, H, W]."""
        tensor: Tensor = self._transform(image)
        return tensor

    def encode_global(self, images: Tensor) -> Tensor:
        """Images [n, 3, H, W] → pooled features float32 [n, dim], not normalised."""
        with arithmetic(self.card.dtype, images.device):
            if self.card.dtype != "float32":
                images = images.contiguous(memory_format=torch.channels_last)
            features: Tensor = self.tower(images)
        return features.float()

    def encode_regions(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images [n, 3, H, W] → pooled features [n, dim] and the last feature map, row by row [n, L, R], float32.

        Of models that end in a map [n, R, h, w]. Cards do not offer it, so that nothing is cached: a map of ResNet-101
        at 448 pixels takes 1.6 MB an image. It serves methods that train the tower.

        Raises:
            TypeError: the model ends in tokens.
        """
        with arithmetic(self.card.dtype, images.device):
            if self.card.dtype != "float32":
                images = images.contiguous(memory_format=torch.channels_last)
            tower: Any = self.tower
            last: Tensor = tower.forward_features(images)
            if last.ndim != 4 or last.shape[1] != tower.num_features:
                return super().encode_regions(images)
            pooled: Tensor = tower.forward_head(last)
        return pooled.float(), last.flatten(2).transpose(1, 2).float()


def open_timm(name: str, options: BackboneOptions) -> TimmBackbone:
    """``timm:NAME``.

    Raises:
        UnknownName: timm has no such model or no such tag.
        UserError: the weights cannot be had or do not fit.
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
    released: Any = model.pretrained_cfg
    weights = str(released.get("tag") or "released")
    pretraining = f"timm weights {weights}"
    if options.random:
        weights, pretraining = "random", "none: random weights"
    if state is not None and path is not None:
        # Features come from before the classifier, so that a checkpoint may have any, or none.
        head = released.get("classifier") or ()
        heads = (head,) if isinstance(head, str) else tuple(head)
        load_into(model, state, name, may_miss=tuple(f"{h}." for h in heads))
        weights, pretraining = f"file {path.name}", f"unknown (local file {path.name})"
    model.eval().requires_grad_(False)
    size = options.image_size or config["input_size"][-1]
    config["input_size"] = (3, size, size)
    transform = create_transform(**config, is_training=False)
    with torch.no_grad():
        dim = int(model(torch.zeros(1, 3, size, size)).shape[1])
    digest = state_sha256(model)
    model.to(options.device)
    if options.dtype != "float32":
        model.to(memory_format=torch.channels_last)
    card = BackboneCard(
        name=name,
        offers=("image", "global"),
        dim=dim,
        image_size=size,
        weights=weights,
        weights_sha256=digest,
        transform=_words(transform),
        revision=f"ltbench-encoder-{ENCODER_VERSION} timm-{timm.__version__}",
        pretraining=pretraining,
        dtype=options.dtype,
        ranked=not options.random and options.dtype == "float32",
        licence=str(released.get("license") or ""),
    )
    return TimmBackbone(card, model, transform)


def _build(wanted: str, options: BackboneOptions) -> nn.Module:
    released = options.weights is None
    sized: dict[str, Any] = {} if options.image_size is None else {"img_size": options.image_size}
    if released and options.offline:
        require_cached(wanted)
    for extra in (sized, {}):
        try:
            with seeded(options.seed):
                model: nn.Module = timm.create_model(wanted, pretrained=released, num_classes=0, **extra)
        except TypeError as error:
            # Convolutional models take any size and therefore know no "img_size".
            if extra and "img_size" in str(error):
                continue
            raise
        except Exception as error:  # every network library has errors of its own
            if released:
                raise unavailable(f"timm:{wanted}", error) from error
            raise UserError(f"timm cannot build {wanted} ({error})", "another model") from error
        return model
    raise UserError(f"timm cannot build {wanted} for images of {options.image_size} pixels", "another model")


def require_cached(wanted: str) -> None:
    """Refuse a model whose released weights are not on this machine.

    Raises:
        UserError: they are not.
    """
    from huggingface_hub import try_to_load_from_cache

    config = timm.get_pretrained_cfg(wanted)
    repository = config.hf_hub_id if config and config.hf_hub_id else ""
    for filename in ("model.safetensors", "pytorch_model.bin"):
        if repository and isinstance(try_to_load_from_cache(repository, filename), str):
            return
    raise UserError(
        f"the released weights of timm:{wanted} are not on this machine",
        "run once without --offline, or --weights FILE",
    )


def _words(transform: Any) -> str:
    """timm's transform in words; its steps print themselves, and their parameters decide the features."""
    return "; ".join(repr(step) for step in transform.transforms)
