"""Image models of timm: pooled features before the classifier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import timm
import torch
from timm.data.config import resolve_model_data_config
from timm.data.transforms_factory import create_transform
from torch import Tensor, nn

from ltbench.backbones.base import Backbone, BackboneCard, Statistics
from ltbench.backbones.options import ENCODER_VERSION, BackboneOptions
from ltbench.backbones.precision import arithmetic
from ltbench.backbones.released import Released, hub_files, released_of, web_file
from ltbench.backbones.weights import load_into, read_checkpoint, seeded, state_sha256, unfit
from ltbench.data.base import DataRoot
from ltbench.data.getting.sources import Source
from ltbench.plugin.errors import UnknownName, UserError

if TYPE_CHECKING:
    from PIL.Image import Image


class TimmBackbone(Backbone):
    """An image model without its classifier.

    Args:
        card: facts for the record.
        visual: the model, [n, 3, H, W] → [n, dim].
        transform: timm's evaluation transform for it.
        statistics: mean and deviation that the transform normalises by.
    """

    def __init__(self, card: BackboneCard, visual: nn.Module, transform: Any, statistics: Statistics) -> None:
        super().__init__(card, visual, None, statistics)
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
            TypeError: the model ends in tokens, or in several maps.
        """
        with arithmetic(self.card.dtype, images.device):
            if self.card.dtype != "float32":
                images = images.contiguous(memory_format=torch.channels_last)
            tower: Any = self.tower
            last = tower.forward_features(images)
            if not isinstance(last, Tensor) or last.ndim != 4 or last.shape[1] != tower.num_features:
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
        licence=str(card_of.get("license") or ""),
    )
    return TimmBackbone(card, model, transform, (tuple(config["mean"]), tuple(config["std"])))


def _build(wanted: str, options: BackboneOptions) -> nn.Module:
    plain: dict[str, Any] = {}
    sized: dict[str, Any] = {} if options.image_size is None else {"img_size": options.image_size}
    path: Path | None = None
    if options.weights is None:
        file = released_of(f"timm:{wanted}")
        if file is None:
            raise UserError(f"timm names no place to download weights of {wanted} from", "--weights FILE")
        path = file.bring(DataRoot(offline=options.offline))
        sized["pretrained_cfg_overlay"] = {"file": str(path)}
        plain["pretrained_cfg_overlay"] = {"file": str(path)}
    for extra in (sized, plain):
        try:
            with seeded(options.seed):
                model: nn.Module = timm.create_model(wanted, pretrained=path is not None, num_classes=0, **extra)
                if path is not None:
                    _check_file(model, path, wanted, extra)
        except TypeError as error:
            # Convolutional models take any size and therefore know no "img_size".
            if extra is sized and "img_size" in str(error):
                continue
            raise
        except Exception as error:  # each format of weights fails in its own way
            if path is not None:
                raise unfit(path, f"timm:{wanted}", error) from error
            raise UserError(f"timm cannot build {wanted} ({error})", "another model") from error
        return model
    raise UserError(f"timm cannot build {wanted} for images of {options.image_size} pixels", "another model")


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
