"""The recipes for partial labels that differ in the loss. Imports no torch."""

from __future__ import annotations

from ltbench.plugin import MethodSpec

LOSSES = {
    "partial-bce": "binary cross-entropy of known labels, weighted by their share in the image",
    "curriculum": "the same, unknown labels that the model is sure of counting as known (curriculum labelling)",
    "p-asl": "asymmetric loss that reads unknown labels as absent but the likeliest (P-ASL)",
}
"""Loss → what it does, in the order of the card."""

TRAINERS = {
    "": ("PartialOnTower", "fine-tunes the image tower"),
    "-linear": ("PartialOnLinear", "linear classifiers on frozen features"),
}
"""Suffix of a recipe → class that trains it, and what it learns."""


def partial_label_recipes() -> list[MethodSpec]:
    """Three losses on two trainers."""
    return [
        MethodSpec(
            name=f"{loss}{suffix}",
            target=f"ltbench_baselines.partial.trainers:{trainer}",
            summary=f"{learns}: {does}",
            families=frozenset({"partial"}),
            config={"loss": loss},
            variants=("paper", "code") if loss == "p-asl" else ("paper",),
            card="cards/partial-labels.md",
            presets="presets.yaml",
        )
        for suffix, (trainer, learns) in TRAINERS.items()
        for loss, does in LOSSES.items()
    ]
