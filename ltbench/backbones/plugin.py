"""Registers the encoders, lazily."""

from __future__ import annotations

from ltbench.plugin import BackboneSpec, RowNote, hookimpl

_CLIP_DATA = "OpenAI WIT: 400 million image-text pairs from the web, not public"
_ALL = ("image", "global", "region", "text")


@hookimpl
def ltbench_backbones() -> list[BackboneSpec]:
    """The bundled encoder, OpenAI's CLIP models, and prefixes for whole libraries and files of features."""
    named = [("clip-rn50", "RN50"), ("clip-rn101", "RN101"), ("clip-vit-b16", "ViT-B/16"), ("clip-vit-b32", "ViT-B/32")]
    clips = [
        BackboneSpec(
            name=name,
            target="ltbench.backbones.openclip:open_named_clip",
            summary=f"CLIP {tower}, OpenAI's weights (QuickGELU)",
            offers=_ALL,
            pretraining=_CLIP_DATA,
            image_size=224,
            released="ltbench.backbones.known:released_clip",
        )
        for name, tower in named
    ]
    return [
        BackboneSpec(
            name="tiny-clip",
            target="ltbench.backbones.tiny:open_tiny_clip",
            summary="the bundled CLIP: 2.0 M parameters, 64x64 images, made for the data set shapes",
            offers=_ALL,
            pretraining="rendered scenes and captions disjoint from every part of shapes; saw all 20 class names",
            image_size=64,
            card="tiny_clip/card.md",
            notes=(
                RowNote(
                    words=("without",),
                    text="tiny-clip has no token for the word 'without' of their texts and reads it letter by letter, "
                    "a spelling that it never saw, so that these figures say nothing of the method",
                ),
            ),
        ),
        *clips,
        BackboneSpec(
            name="open_clip",
            target="ltbench.backbones.openclip:open_open_clip",
            summary="any model of open_clip: open_clip:MODEL/TAG, e.g. open_clip:ViT-B-32/laion2b_s34b_b79k",
            offers=_ALL,
            pretraining="as the tag says",
            prefix=True,
            own_size="ltbench.backbones.openclip_names:own_size",
            released="ltbench.backbones.openclip_names:released",
        ),
        BackboneSpec(
            name="timm",
            target="ltbench.backbones.timm_models:open_timm",
            summary="any image model of timm: timm:NAME, e.g. timm:resnet18.a1_in1k",
            offers=("image", "global"),
            pretraining="as the tag says",
            prefix=True,
            own_size="ltbench.backbones.known:size_of_timm",
            released="ltbench.backbones.known:released_timm",
        ),
        BackboneSpec(
            name="precomputed",
            target="ltbench.backbones.precomputed:open_precomputed",
            summary="features from a file: precomputed:FILE.npz with arrays files [N] and features [N, D]",
            offers=("global",),
            pretraining="as the file's author says",
            prefix=True,
        ),
    ]
