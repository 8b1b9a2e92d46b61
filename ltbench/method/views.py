"""Fine-tuning on whole pictures: what an image goes through before a tower that is trained sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from ltbench.backbones.base import Backbone
from ltbench.method.fine_tune import FineTuneConfig, FineTuned, Tower
from ltbench.method.method import Context
from ltbench.method.stages import Augment, GradientStage, ParamGroup, Sampler
from ltbench.nn import DistortedCrop, FixedViews, canvas_for


class ViewedConfig(FineTuneConfig):
    """Options of fine-tuning that also say how an image is squared, and which random views training sees.

    Without them a recipe trains on mirrored images behind the backbone's own preprocessing, which cuts the border of a
    picture off. A method hands :attr:`images` and :attr:`input` on in its ``needs()``. Sources in brackets: DB and DR
    as in :class:`~ltbench.method.FineTuneConfig`.

    A configuration with ``tower=trained`` does not state that option, so that its runs have the key of those that were
    made before there was a choice. One with ``tower=frozen`` does not state what then decides nothing.
    """

    #: Options that say how a tower is trained.
    of_tower: ClassVar[frozenset[str]] = frozenset({"lr", "batch_norm", "freeze"})

    tower: Tower = Field(
        "trained", description="train the image tower, or only what lies behind its cached features [all: trained]"
    )
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

    @model_validator(mode="after")
    def _cached(self) -> ViewedConfig:
        if self.tower == "frozen" and self.augment == "live":
            raise ValueError("tower=frozen keeps features, and augment=live has none to keep: add -o augment=flip")
        return self

    def unstated(self) -> frozenset[str]:
        """What decides nothing; the tower, where it is trained, as before there was a choice."""
        return self.idle() if self.tower == "frozen" else frozenset({"tower"})

    def idle(self) -> frozenset[str]:
        """How a tower is trained, where none is."""
        return self.of_tower if self.tower == "frozen" else frozenset()

    @property
    def input(self) -> Literal["image", "global"]:
        """What batches carry: images, or features of the tower that is left as it is."""
        return "global" if self.tower == "frozen" else "image"

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
