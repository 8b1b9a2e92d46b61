"""Fine-tuning on whole pictures: what an image goes through before a tower that is trained sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from ltbench.backbones.base import Backbone
from ltbench.method.fine_tune import FineTuneConfig, FineTuned
from ltbench.method.method import Context
from ltbench.method.stages import Augment, GradientStage, ParamGroup, Sampler
from ltbench.nn import DistortedCrop, FixedViews, canvas_for


class ViewedConfig(FineTuneConfig):
    """Options of fine-tuning that also say how an image is squared, and which random views training sees.

    Without them a recipe trains on mirrored images behind the backbone's own preprocessing, which cuts the border of a
    picture off. A method hands :attr:`images` on in its ``needs()``. Sources in brackets: DB and DR as in
    :class:`~ltbench.method.FineTuneConfig`.
    """

    images: Literal["backbone", "square"] = Field(
        "backbone",
        description="the backbone's own preprocessing, or the whole image as a square, normalised by ImageNet [DB, DR]",
    )
    # Wider than the base's choice: the releases' own augmentation, fresh each time or as k views.
    augment: Literal["live", "views", "flip", "none"] = Field(  # type: ignore[assignment]
        "flip",
        description="distorted crops, fresh or k fixed ones an image; mirrored images; none [DB, DR: live]",
    )
    views_k: int = Field(8, ge=1, description="number of fixed views; augment=views only [ours]")

    def views(self, backbone: Backbone) -> Augment:
        """What the option ``augment`` asks for, as views that reach the tower whole."""
        if self.augment in ("flip", "none"):
            return Augment(self.augment)
        size = backbone.card.image_size or 224
        canvas = canvas_for(backbone.preprocess, size)
        crop = DistortedCrop(size, canvas=canvas if canvas > size else None)
        if self.augment == "live":
            return Augment("live", transform=crop, name=crop.name)
        fixed = FixedViews(crop, self.views_k)
        return Augment("views", k=self.views_k, transform=fixed, name=fixed.name)

    def fine_tuning(
        self,
        name: str,
        module: FineTuned,
        context: Context,
        *,
        groups: Sequence[ParamGroup] | None = None,
        sampler: Sampler | None = None,
        augment: Augment | None = None,
        epochs: int | None = None,
    ) -> GradientStage:
        """The stage of these options, on the views that they ask for; see the base."""
        return super().fine_tuning(
            name,
            module,
            context,
            groups=groups,
            sampler=sampler,
            augment=self.views(context.backbone) if augment is None else augment,
            epochs=epochs,
        )
