"""The baselines beside COMIC. Imports no torch."""

from __future__ import annotations

from ltbench.plugin import MethodSpec

LOSSES = {
    "bce": "binary cross-entropy",
    "focal": "focal loss",
    "asl": "asymmetric loss",
    "db": "distribution-balanced loss",
    "db-focal": "distribution-balanced focal loss",
    "hill": "Hill loss",
    "p-asl": "asymmetric loss that leaves out the likeliest unknown labels (P-ASL)",
}
"""Loss → what it is, in the order of the card."""

TWO_FORMS = frozenset({"asl", "db", "db-focal", "p-asl"})
"""Losses whose paper and release differ."""

BOTH_FORMS = ("paper", "code")

OTHERS = {
    "lws": ("plain_heads:PlainLWS", "binary cross-entropy, then one factor a class on class-aware rows", ("paper",)),
    "pseudo-labels": ("plain:PlainPseudoLabels", "labels that the model finds itself count as present", ("paper",)),
    "ml-gcn": ("plain_heads:PlainGraph", "class vectors from graph convolutions over class names", BOTH_FORMS),
}
"""Recipes with a class of their own → where it is, what it does, and its forms."""


def plain_recipes() -> list[MethodSpec]:
    """Ten comparisons of COMIC's Table 1 on its trainer."""
    found: list[tuple[str, str, str, tuple[str, ...], dict[str, str]]] = [
        (loss, "plain:Plain", does, BOTH_FORMS if loss in TWO_FORMS else ("paper",), {"loss": loss})
        for loss, does in LOSSES.items()
    ]
    found += [(name, target, does, forms, {}) for name, (target, does, forms) in OTHERS.items()]
    return [
        MethodSpec(
            name=f"plt-{name}",
            target=f"ltbench_comic.{target}",
            summary=f"COMIC's layers on frozen features: {does}",
            families={"plt"},
            config=config,
            variants=forms,
            card="cards/plain.md",
            presets="presets_plain.yaml",
        )
        for name, target, does, forms, config in found
    ]
