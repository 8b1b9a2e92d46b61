"""Zero-shot classification with a CLIP-like backbone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import Field, field_validator
from torch import Tensor, nn

from ltbench.method import Batch, Choice, Context, FitStage, Method, MethodConfig, Needs, SearchSpace, Stage
from ltbench.nn import TEMPLATES, CosineHead, Score, Shared, Tower, answer, ensemble_features, imagenet_templates

OPENAI_80 = "openai-80"
SETS = (*TEMPLATES, OPENAI_80)

Template = str | Callable[[str], str]


class ZeroShotHead(nn.Module):
    """``logits = scale cos(x, t_c)`` with t_c the text feature of class c.

    One template: t_c is the feature of the filled template. Several: each is encoded and L2-normalised, and the mean is
    normalised again. Text features are computed when the classes are named, once.

    Args:
        tower: the frozen text tower; used, not owned.
        names: class names.
        templates: texts with one ``{}``, or functions of the class name.
        score: hand in logits, or log p of their softmax over classes.
    """

    text: Tensor

    def __init__(
        self, tower: Tower, names: Sequence[str], templates: Sequence[Template], score: Score = "logits"
    ) -> None:
        super().__init__()
        self.score = score
        self._shared = Shared(tower)
        self.templates = tuple(templates)
        self.head = CosineHead(tower.logit_scale)
        # No state: the features follow from the names and the frozen tower.
        self.register_buffer("text", None, persistent=False)
        self.set_classes(names)

    def set_classes(self, names: Sequence[str]) -> None:
        """Answer for these classes from now on."""
        self.text = ensemble_features(self._shared.tower, names, self.templates)

    def logits(self, batch: Batch) -> Tensor:
        """The answer [n, C]: logits, or log p of their softmax over classes."""
        features = batch.input[0] if isinstance(batch.input, tuple) else batch.input
        return answer(self.head(features.float(), self.text), self.score)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        self._shared.apply(fn)
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]


class ZeroShot(Method):
    """Learns nothing: compares the image with a text that names the class.

    Source: Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021, section
    3.1. Ensembles of templates are averaged in the space of normalised text features, as there (section 3.1.4).
    """

    class Config(MethodConfig):
        """Options of ``zero-shot``."""

        templates: tuple[str, ...] = Field(
            ("a photo of a {}.",),
            min_length=1,
            description="texts with one {} for the class name; several are an ensemble; a name stands for a set: "
            + ", ".join(SETS),
        )
        score: Score = Field(
            "logits",
            description="what images are ranked by: logits, or log p of the softmax over classes [CLIP 3.1: softmax]",
        )

        @field_validator("templates")
        @classmethod
        def _one_place_each(cls, value: tuple[str, ...]) -> tuple[str, ...]:
            for entry in value:
                if entry not in SETS and entry.count("{}") != 1:
                    raise ValueError(f"template {entry!r} must hold {{}} once, or be one of {', '.join(SETS)}")
            return value

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Which texts stand for a class."""
        return {"templates": Choice((("single",), ("ensemble",), ("openai-80",)))}

    def needs(self) -> Needs:
        """A text tower. Logits rank images; they are no probabilities. Labels are not used, so no policy matters."""
        return Needs(input="global", text=True, classes="open", calibrated=False)

    def stages(self, context: Context) -> Sequence[Stage]:
        """One stage with nothing to fit."""
        assert context.backbone.text is not None
        text, score = context.backbone.text, self.config.score
        return [FitStage("name-classes", ZeroShotHead(text, context.class_names, self._templates(), score))]

    def _templates(self) -> list[Template]:
        found: list[Template] = []
        for entry in self.config.templates:
            found.extend(imagenet_templates() if entry == OPENAI_80 else TEMPLATES.get(entry, (entry,)))
        return found
