"""ImageNet's class names as the text tower reads them, kept in the cache: a thousand texts take some seconds."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from ltbench.backbones.weights import state_sha256
from ltbench.plugin.errors import UserError
from ltbench.plugin.files import write_with
from ltbench_photos.text import CentredTower

TEMPLATE: Final = "a photo of a {}."
"""Around the names."""


def imagenet_names() -> tuple[str, ...]:
    """The 1,000 names as open_clip has them, in the order of the classifier."""
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    return tuple(IMAGENET_CLASSNAMES)


def names_sha256(names: Sequence[str]) -> str:
    """Fingerprint of a list of names."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def encoded_names(tower: CentredTower, names: Sequence[str], cache: Path) -> Tensor:
    """Features [n, D] of the names in their sentence, before any centring; normalised.

    Args:
        tower: not centred yet.
        cache: folder of kept files; one that cannot be written keeps nothing.
    """
    facts = (state_sha256(tower), type(tower.tokenizer).__name__, TEMPLATE, names_sha256(names))
    path = cache / "lite0-minilm" / f"{hashlib.sha256(' '.join(facts).encode()).hexdigest()[:16]}.safetensors"
    # A file that is not there, or was cut short, is made.
    with contextlib.suppress(OSError, SafetensorError, KeyError):
        found = load_file(path)["names"]
        if found.shape == (len(names), tower.width):
            return found
    features = tower.encode([TEMPLATE.format(name) for name in names]).cpu()
    content = save({"names": features})
    with contextlib.suppress(UserError):
        write_with(path, lambda file: _write(file, content))
    return features


def _write(file: BinaryIO, content: bytes) -> None:
    file.write(content)
