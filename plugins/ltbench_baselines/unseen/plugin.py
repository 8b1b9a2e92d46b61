"""Registers the recipes of zero-shot recognition by word vectors and by hand-written texts. Imports no torch."""

from __future__ import annotations

from typing import Any

from ltbench.plugin import MethodSpec, hookimpl

_CARD, _PRESETS = "cards/zero-shot-baselines.md", "presets.yaml"


def _learned(name: str, target: str, summary: str, **config: Any) -> MethodSpec:
    return MethodSpec(
        name=name,
        target=f"ltbench_baselines.unseen.{target}",
        summary=summary,
        families=frozenset({"zero-shot"}),
        config=config,
        card=_CARD,
        presets=_PRESETS,
    )


def _written(name: str, summary: str, **config: Any) -> MethodSpec:
    return MethodSpec(
        name=name,
        target="ltbench_baselines.unseen.dual_templates:HandWritten",
        summary=summary,
        families=frozenset({"zero-shot"}),
        config=config,
        variants=("paper", "code"),
        deterministic=True,
        card=_CARD,
        presets=_PRESETS,
    )


@hookimpl
def ltbench_methods() -> list[MethodSpec]:
    """Recipes that answer for classes no training image shows."""
    return [
        _written("dual-templates", "a text for presence and one for absence, compared with places; learns nothing"),
        _written("class-names", "plain class names, compared with places; learns nothing", positive="{}", negative=""),
        _learned("conse", "conse:ConSE", "scores a class by the seen classes whose names are like its own (CONSE)"),
        _learned(
            "label-em",
            "directions:PrincipalDirections",
            "bilinear compatibility of image and class name, weighted ranking loss (LabelEM)",
            loss="rank-weighted",
        ),
        _learned(
            "fast0tag",
            "directions:PrincipalDirections",
            "one direction in word space along which an image's labels rank (Fast0Tag)",
        ),
        _learned(
            "deep0tag",
            "directions:Deep0Tag",
            "a direction in word space for each place of an image, scores pooled over places (Deep0Tag)",
        ),
        _learned(
            "one-attention-per-label",
            "attentions:OneAttentionPerLabel",
            "each label's word vector attends to the places of an image",
        ),
        _learned("lesa", "attentions:LESA", "attentions to places of an image that all labels share (LESA)"),
        _learned(
            "biam", "attentions:BiAM", "places of an image with the context of region and scene, a few a label (BiAM)"
        ),
        _learned(
            "sdl",
            "directions:PrincipalDirections",
            "several directions in word space, trained for labels that differ in meaning (SDL)",
            loss="diversity",
            directions=2,
        ),
    ]
