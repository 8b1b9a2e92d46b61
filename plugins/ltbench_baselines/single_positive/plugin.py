"""Registers the recipes for single positive labels: each loss on a tower, a head, and prompts. Imports no torch."""

from __future__ import annotations

from ltbench.plugin import MethodSpec, hookimpl

LOSSES = {
    "an": "binary cross-entropy with all unknown labels read as absent (AN)",
    "lsan": "AN with smoothed labels (LSAN)",
    "wan": "AN with the assumed absences of an image weighing as much as its one label (WAN)",
    "epr": "observed labels and a pull towards the expected number of positives (EPR)",
    "em": "observed labels and the largest entropy of the unknown ones (EM)",
    "em-apl": "EM with soft labels for the least probable unknown ones (EM+APL)",
    "role": "classifier and free labels of each image that teach each other (ROLE)",
    "ll-r": "AN without the unknown labels of largest loss (LargeLoss, rejection)",
    "ll-ct": "AN with the unknown labels of largest loss turned for the moment (LargeLoss, temporary correction)",
    "ll-cp": "AN with the unknown labels of largest loss turned for good (LargeLoss, permanent correction)",
    "hill": "Hill loss, which forgives confident unknown labels",
    "splc": "focal loss with confident unknown labels read as present (SPLC)",
}
"""Loss → what it does, in the order of the card."""

ONE_FORM = ("hill", "splc")
"""Losses whose paper and release compute the same."""

TRAINERS = {
    "": ("OnTower", "fine-tunes the image tower"),
    "-linear": ("OnLinear", "linear classifiers on frozen features"),
    "-prompts": ("OnPrompts", "one learned context for all class names"),
}
"""Suffix of a recipe → class that trains it, and what it learns."""


@hookimpl
def ltbench_methods() -> list[MethodSpec]:
    """Twelve losses on three trainers."""
    return [
        MethodSpec(
            name=f"{loss}{suffix}",
            target=f"ltbench_baselines.single_positive.trainers:{trainer}",
            summary=f"{learns}: {does}",
            families=frozenset({"spml", "plt", "partial"}),
            config={"loss": loss},
            variants=("paper",) if loss in ONE_FORM else ("paper", "code"),
            card="cards/single-positive.md",
            presets="presets.yaml",
        )
        for suffix, (trainer, learns) in TRAINERS.items()
        for loss, does in LOSSES.items()
    ]
