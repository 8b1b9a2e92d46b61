"""Sentences around a class name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ltbench.nn.text import Tower

Template = str | Callable[[str], str]

SINGLE: Final[tuple[str, ...]] = ("a photo of a {}.",)
ENSEMBLE: Final[tuple[str, ...]] = (
    "a photo of a {}.",
    "a picture of a {}.",
    "an image with a {} in it.",
    "there is a {} here.",
    "a small {} among other things.",
    "a scene with a large {}.",
    "a {} seen from nearby.",
)

TEMPLATES: Final[dict[str, tuple[str, ...]]] = {"single": SINGLE, "ensemble": ENSEMBLE}
"""Named sets of templates: CLIP's usual one, and a few of ours for images that show several things."""


def imagenet_templates() -> tuple[Callable[[str], str], ...]:
    """The 80 templates that OpenAI tuned on ImageNet, from open_clip."""
    from open_clip import OPENAI_IMAGENET_TEMPLATES

    return tuple(OPENAI_IMAGENET_TEMPLATES)


def fill(template: Template, name: str) -> str:
    """The template with a class name in place of ``{}``; underscores in the name become blanks.

    Raises:
        ValueError: a template string has no ``{}``.
    """
    plain = name.replace("_", " ")
    if not isinstance(template, str):
        return template(plain)
    if "{}" not in template:
        raise ValueError(f"template {template!r} has no {{}} for the class name")
    return template.replace("{}", plain)


def ensemble_features(tower: Tower, class_names: Sequence[str], templates: Sequence[Template] = SINGLE) -> Tensor:
    """Class features [C, D] from several sentences: each normalised, averaged over the templates, normalised again.

    Source: CLIP (Radford et al. 2021, section 3.1.4). One template gives its normalised feature. No gradients.

    Raises:
        ValueError: no templates.
    """
    if not templates:
        raise ValueError("no templates")
    total: Tensor | None = None
    for template in templates:
        features = normalize(tower.encode([fill(template, name) for name in class_names]), dim=-1)
        total = features if total is None else total + features
    assert total is not None
    with torch.no_grad():
        return normalize(total / len(templates), dim=-1)
