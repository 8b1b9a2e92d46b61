"""Registers the baselines. Imports no torch."""

from __future__ import annotations

from ltbench.plugin import MethodSpec, hookimpl

EVERY_FAMILY = frozenset({"ltml", "plt", "spml", "partial"})


@hookimpl
def ltbench_methods() -> list[MethodSpec]:
    """The recipes of this package."""
    return [
        MethodSpec(
            name="zero-shot",
            target="ltbench_baselines.zero_shot:ZeroShot",
            summary="cosine of the image with the text 'a photo of a …' of each class; learns nothing",
            families=EVERY_FAMILY | {"zero-shot"},
            deterministic=True,
            card="cards/zero-shot.md",
            presets="presets.yaml",
        ),
        MethodSpec(
            name="linear-probe",
            target="ltbench_baselines.linear:LinearProbe",
            summary="one logistic regression a class on frozen features, by gradient descent",
            families=EVERY_FAMILY,
            card="cards/linear-probe.md",
            presets="presets.yaml",
        ),
        MethodSpec(
            name="linear-probe-lbfgs",
            target="ltbench_baselines.linear:LinearProbe",
            summary="one logistic regression a class on frozen features, by L-BFGS, C by cross-validation",
            families=EVERY_FAMILY,
            config={"solver": "lbfgs"},
            deterministic=True,
            card="cards/linear-probe.md",
            presets="presets.yaml",
        ),
        MethodSpec(
            name="coop",
            target="ltbench_baselines.coop:CoOp",
            summary="learns the context words of the class prompts (CoOp), for several labels",
            families=EVERY_FAMILY | {"zero-shot"},
            card="cards/coop.md",
            presets="presets.yaml",
        ),
    ]
