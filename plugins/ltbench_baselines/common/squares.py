"""Fine-tuning that may see whole images, for recipes that had no choice of images before."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ltbench.method import FineTuneConfig


class SquaredConfig(FineTuneConfig):
    """Options of fine-tuning that also say how an image is squared.

    A method hands :attr:`images` on in its ``needs()``. A configuration with ``images=backbone`` does not state that
    option, so that its runs have the key of those that were made before there was a choice. Random views of the whole
    image are those of ``ltbench.method.ViewedConfig``.
    """

    images: Literal["backbone", "square"] = Field(
        "backbone",
        description="the backbone's own preprocessing, or the whole image as a square, normalised by ImageNet [DB, DR]",
    )

    def unstated(self) -> frozenset[str]:
        """The backbone's own preprocessing, as before there was a choice."""
        return frozenset({"images"} if self.images == "backbone" else ())
