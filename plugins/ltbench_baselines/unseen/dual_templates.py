"""Hand-written texts compared with the places of an image: learns nothing, aggregates as DualCoOp does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from ltbench.backbones.base import Backbone
from ltbench.method import Batch, Context, FitStage, Method, MethodConfig, Needs, Places, Stage
from ltbench.nn import RegionAggregation, Shared, ensemble_features


class WrittenTexts(nn.Module):
    """``z_c = scale (S+_c - S-_c)``, or ``scale S+_c`` without a negative text.

    S is the cosine of a text with the places of an image, aggregated by the positive text. The sigmoid of z is the
    two-way softmax of both.

    Args:
        backbone: whose frozen text tower is used, not owned.
        names: class names.
        templates: texts with one ``{}``, the negative one first, or the positive one alone.
        pool: from places to one number a class.
        scale: of cosines.
        mean_token: see :class:`ltbench.method.Places`.
    """

    texts: Tensor

    def __init__(
        self,
        backbone: Backbone,
        names: Sequence[str],
        templates: Sequence[str],
        pool: RegionAggregation,
        scale: float,
        mean_token: bool,
    ) -> None:
        super().__init__()
        assert backbone.text is not None, "the needs of the method ask for a text tower"
        self._shared = Shared(backbone.text)
        self._places = Places(backbone, mean_token)
        self.templates = tuple(templates)
        self.pool = pool
        self.scale = scale
        # No state: the features follow from the names and the frozen tower.
        self.register_buffer("texts", None, persistent=False)
        self.set_classes(names)

    def set_classes(self, names: Sequence[str]) -> None:
        """Answer for these classes from now on."""
        tower = self._shared.tower
        self.texts = torch.stack([ensemble_features(tower, names, (template,)) for template in self.templates])

    def logits(self, batch: Batch) -> Tensor:
        """Logits [n, C]."""
        assert isinstance(batch.input, tuple), "the needs of the method ask for regions"
        cosines: Tensor = self.scale * self.pool(self._places(batch.input), self.texts)
        return cosines[:, -1] - cosines[:, 0] if len(self.templates) > 1 else cosines[:, 0]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        self._shared.apply(fn)
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]


class HandWritten(Method):
    """A text for presence and one for absence of each class, or its plain name; nothing is trained.

    Source: DualCoOp (Sun et al., NeurIPS 2022), Table 5, M1 (two templates) and M0 (class names).
    """

    class Config(MethodConfig):
        """Options of ``dual-templates`` and ``class-names``."""

        positive: str = Field("a photo of a {}", description="text of presence, {} for the name [section 4.3]")
        negative: str = Field(
            "a photo without a {}", description="text of absence, {} for the name; empty: none [section 4.3]"
        )
        sharpness: float | None = Field(
            None, gt=0, description="of the softmax over places; None: 1 (paper), 20 (code) [Eq. 5; release]"
        )
        scale: float = Field(100.0, gt=0, description="of cosines in the two-way softmax [release: 20 * 5]")
        mean_token: bool = Field(
            True, description="the mean token of the attention pool is a place, too, where there is one [release]"
        )
        images: Literal["squeezed", "backbone"] = Field(
            "squeezed", description="whole images squeezed to a square, or the encoder's preprocessing [release]"
        )

        @field_validator("positive", "negative")
        @classmethod
        def _one_place(cls, value: str) -> str:
            if value and value.count("{}") != 1:
                raise ValueError(f"text {value!r} must hold {{}} once")
            return value

        @field_validator("positive")
        @classmethod
        def _given(cls, value: str) -> str:
            if not value:
                raise ValueError("a text of presence is needed")
            return value

    config: Config

    def needs(self) -> Needs:
        """Regions and a text tower. Two texts give probabilities, one ranks. Labels are not used."""
        config = self.config
        return Needs(input="region", text=True, classes="open", images=config.images, calibrated=bool(config.negative))

    def stages(self, context: Context) -> Sequence[Stage]:
        """One stage with nothing to fit."""
        config = self.config
        sharpness = config.sharpness or (1.0 if context.variant == "paper" else 20.0)
        templates = [text for text in (config.negative, config.positive) if text]
        pool = RegionAggregation("softmax", sharpness)
        module = WrittenTexts(context.backbone, context.class_names, templates, pool, config.scale, config.mean_token)
        return [FitStage("name-classes", module)]
