"""Zero-shot classification with a CLIP-like backbone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn.functional import normalize

from ltbench.backbones.base import TextTower
from ltbench.method import Batch, Context, FitStage, Method, MethodConfig, Needs, Stage

OPENAI_80 = "openai-80"


class ZeroShotHead(nn.Module):
    """``logits = scale cos(x, t_c)`` with t_c the text feature of class c.

    One template: t_c is the feature of the filled template. Several: each is encoded and L2-normalised, and the mean is
    normalised again. Text features are computed when the classes are named, once.

    Args:
        tower: the frozen text tower.
        names: class names.
        templates: texts with one ``{}``.
    """

    text: Tensor

    def __init__(self, tower: TextTower, names: Sequence[str], templates: Sequence[str]) -> None:
        super().__init__()
        self.tower = tower
        self.templates = tuple(templates)
        # No state: the features follow from the names and the frozen tower.
        self.register_buffer("text", torch.zeros(0, 0), persistent=False)
        self.set_classes(names)

    def set_classes(self, names: Sequence[str]) -> None:
        """Answer for these classes from now on."""
        filled = [template.replace("{}", name) for template in self.templates for name in names]
        with torch.no_grad():
            each = normalize(self.tower.encode(filled).float(), dim=-1)
            self.text = normalize(each.view(len(self.templates), len(names), -1).mean(dim=0), dim=-1)

    def logits(self, batch: Batch) -> Tensor:
        """Logits [n, C]."""
        features = batch.input[0] if isinstance(batch.input, tuple) else batch.input
        similarity = normalize(features.float(), dim=-1) @ self.text.to(features.device).T
        return self.tower.logit_scale * similarity


class ZeroShot(Method):
    """Learns nothing: compares the image with a text that names the class.

    Source: Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021, section
    3.1. Ensembles of templates are averaged in the space of normalised text features, as there (section 3.1.4).
    """

    class Config(MethodConfig):
        """Options of ``zero-shot``."""

        templates: tuple[str, ...] = Field(
            ("a photo of a {}",),
            min_length=1,
            description=f"texts with one {{}} for the class name; several are an ensemble; {OPENAI_80!r} stands for "
            "OpenAI's 80 ImageNet templates",
        )

        @field_validator("templates")
        @classmethod
        def _one_place_each(cls, value: tuple[str, ...]) -> tuple[str, ...]:
            for template in value:
                if template != OPENAI_80 and template.count("{}") != 1:
                    raise ValueError(f"template {template!r} must hold {{}} once, or be {OPENAI_80!r}")
            return value

    config: Config

    def needs(self) -> Needs:
        """A text tower. Logits rank images; they are no probabilities. Labels are not used, so no policy matters."""
        return Needs(input="global", text=True, classes="open", calibrated=False)

    def stages(self, context: Context) -> Sequence[Stage]:
        """One stage with nothing to fit."""
        assert context.backbone.text is not None
        return [FitStage("name-classes", ZeroShotHead(context.backbone.text, context.class_names, self._templates()))]

    def _templates(self) -> list[str]:
        return [text for entry in self.config.templates for text in (openai_80() if entry == OPENAI_80 else [entry])]


def openai_80() -> list[str]:
    """The 80 ImageNet templates of the CLIP release, with ``{}`` for the class name."""
    from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

    return [str(fill("{}")) for fill in OPENAI_IMAGENET_TEMPLATES]
