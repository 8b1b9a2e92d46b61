"""From open_clip's names and addresses to an architecture, its preprocessing and its files of weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import open_clip
from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

from ltbench.backbones.released import Released, hub_files, places_of
from ltbench.plugin.errors import UnknownName, UserError
from ltbench.plugin.reading import read_json

QUICK: Final = "-quickgelu"
CONFIG: Final = "open_clip_config.json"
WEIGHTS: Final = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
HUB: Final = "hf-hub:"
FOLDER: Final = "local-dir:"
_PREPROCESSING: Final = ("size", "mode", "mean", "std", "interpolation", "resize_mode", "fill_color")


@dataclass(frozen=True)
class Source:
    """Architecture and released weights of an open_clip name.

    Attributes:
        model: architecture, ending in ``-quickgelu`` where that is its activation; or an address.
        tag: released weights; empty when none were named.
        config: open_clip's entry of the tag; without a tag, the preprocessing that all tags of the architecture share.
        folder: of an address, where ``open_clip_config.json`` lies.
    """

    model: str
    tag: str
    config: dict[str, Any]
    folder: Path | None = None

    @property
    def architecture(self) -> dict[str, Any]:
        """open_clip's configuration of the model.

        Raises:
            UserError: the folder of an address has none.
        """
        if self.folder is None:
            return open_clip.get_model_config(self.model) or {}
        return folder_config(self.folder)["model_cfg"]  # type: ignore[no-any-return]

    @property
    def repository(self) -> str:
        """``owner/name`` of an address on the hub; empty for others."""
        return self.model.removeprefix(HUB) if self.model.startswith(HUB) else ""

    @property
    def quick_gelu(self) -> bool:
        """Whether the activation is QuickGELU."""
        return bool(self.architecture.get("quick_gelu", False))

    @property
    def preprocessing(self) -> dict[str, Any]:
        """What is known of the evaluation transform, to be laid over the model's own."""
        known = self.config if self.folder is None else folder_config(self.folder).get("preprocess_cfg", {})
        return {key: known[key] for key in _PREPROCESSING if known.get(key) is not None}


def resolve(argument: str) -> Source:
    """Architecture and tag of ``MODEL/TAG`` or ``MODEL``, or an address; the activation follows the tag.

    Weights trained with QuickGELU but loaded into a GELU model lose accuracy silently, so ``RN50/openai`` means
    the architecture ``RN50-quickgelu``. Addresses are ``hf-hub:OWNER/NAME`` and ``local-dir:FOLDER``, as in open_clip.

    Raises:
        UnknownName: open_clip has no such architecture, or no such tag for it.
        UserError: a QuickGELU architecture was named for weights trained without it; an address names no place.
    """
    if argument.startswith(HUB):
        if len(list(filter(None, argument.removeprefix(HUB).split("/")))) != 2:
            raise UserError(f"{argument!r} names no repository", f"open_clip:{HUB}OWNER/NAME")
        return Source(argument, "", {})
    if argument.startswith(FOLDER):
        folder = Path(argument.removeprefix(FOLDER)).expanduser()
        folder_config(folder)
        return Source(argument, "", {}, folder)
    model, _, tag = argument.partition("/")
    models = open_clip.list_models()
    if model not in models:
        raise UnknownName("open_clip model", model, models, "open_clip:MODEL/TAG, e.g. open_clip:RN50/openai")
    if not tag:
        return Source(model, "", _shared(model))
    config = get_pretrained_cfg(model, tag)
    plain = model.removesuffix(QUICK)
    if not config and model != plain and get_pretrained_cfg(plain, tag):
        raise UserError(
            f"the weights {tag!r} were trained without QuickGELU, which {model} uses", f"open_clip:{plain}/{tag}"
        )
    if not config:
        tags = list_pretrained_tags_by_model(model)
        raise UnknownName(f"tag of {model}", tag, tags, f"one of {', '.join(tags) or 'none: --weights FILE'}")
    if config.get("quick_gelu", False) and not (open_clip.get_model_config(model) or {}).get("quick_gelu", False):
        if model + QUICK not in models:
            raise UserError(f"the weights {tag!r} need QuickGELU and open_clip has no {model}{QUICK}", "another tag")
        model += QUICK
    return Source(model, tag, config)


def _shared(model: str) -> dict[str, Any]:
    """Preprocessing that all released weights of an architecture have in common; empty where they differ.

    SigLIP's architectures say nothing of theirs, and each has one tag, which does.
    """
    found = [
        {key: value for key, value in get_pretrained_cfg(model, tag).items() if key in _PREPROCESSING}
        for tag in list_pretrained_tags_by_model(model)
    ]
    return found[0] if found and all(each == found[0] for each in found) else {}


def folder_config(folder: Path) -> dict[str, Any]:
    """open_clip's configuration of a folder: ``model_cfg``, and often ``preprocess_cfg``.

    Raises:
        UserError: there is none.
    """
    path = folder / CONFIG
    try:
        found = read_json(path)
        found["model_cfg"]["vision_cfg"], found["model_cfg"]["text_cfg"]
    except OSError as error:
        raise UserError(f"{folder} holds no {CONFIG}", f"open_clip:{FOLDER}FOLDER, as open_clip saves it") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no configuration of open_clip", f"open_clip:{FOLDER}FOLDER") from error
    return found  # type: ignore[no-any-return]


def folder_weights(folder: Path) -> Path:
    """The file of weights of a folder.

    Raises:
        UserError: there is none.
    """
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise UserError(f"{folder} holds no weights ({' or '.join(WEIGHTS)})", "--weights FILE")


def released(backbone: str) -> Released | tuple[Released, ...] | None:
    """Files of ``open_clip:MODEL/TAG``, or of an address on the hub: configuration, weights; None without a tag.

    Raises:
        UnknownName: as :func:`resolve`.
    """
    source = resolve(backbone.partition(":")[2])
    if source.repository:
        return hub_config(backbone, source.repository), Released(backbone, hub_files(f"{source.repository}/", *WEIGHTS))
    places = places_of(source.config)
    return Released(backbone, places) if places else None


def hub_config(backbone: str, repository: str) -> Released:
    """The configuration of a model on the hub."""
    return Released(backbone, hub_files(f"{repository}/", CONFIG))


def own_size(backbone: str) -> int | None:
    """Side in pixels of the images that ``open_clip:MODEL/TAG`` takes; None where the model does not say, or a hub
    would have to be asked.

    Raises:
        UnknownName, UserError: as :func:`resolve`.
    """
    source = resolve(backbone.partition(":")[2])
    if source.repository:
        return None
    said = source.preprocessing.get("size") or source.architecture.get("vision_cfg", {})
    size = said.get("image_size", 224) if isinstance(said, dict) else said
    return int(size[0] if isinstance(size, list | tuple) else size)
