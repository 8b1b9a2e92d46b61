"""Registers what stands on CLIP alone. Imports no torch."""

from __future__ import annotations

from ltbench.plugin import MethodSpec, hookimpl

EVERY_FAMILY = frozenset({"ltml", "plt", "spml", "partial"})
BOTH_FORMS = ("paper", "code")


@hookimpl
def ltbench_methods() -> list[MethodSpec]:
    """The recipes of this subject."""
    return [
        MethodSpec(
            name="zero-shot",
            target="ltbench_baselines.clip.zero_shot:ZeroShot",
            summary="cosine of the image with the text 'a photo of a …' of each class; learns nothing",
            families=EVERY_FAMILY | {"zero-shot"},
            deterministic=True,
            card="cards/zero-shot.md",
            presets="presets.yaml",
        ),
        MethodSpec(
            name="zero-shot-ensemble",
            target="ltbench_baselines.clip.zero_shot:ZeroShot",
            summary="cosine of the image with the mean text of 80 sentences for each class; learns nothing",
            families=EVERY_FAMILY | {"zero-shot"},
            config={"templates": ["openai-80"]},
            deterministic=True,
            card="cards/zero-shot-ensemble.md",
            presets="presets.yaml",
        ),
        MethodSpec(
            name="linear-probe",
            target="ltbench_baselines.clip.linear:LinearProbe",
            summary="one logistic regression a class on frozen features, by gradient descent",
            families=EVERY_FAMILY,
            card="cards/linear-probe.md",
            presets="presets.yaml",
        ),
        MethodSpec(
            name="linear-probe-lbfgs",
            target="ltbench_baselines.clip.linear:LinearProbe",
            summary="one logistic regression a class on frozen features, by L-BFGS, C by cross-validation",
            families=EVERY_FAMILY,
            config={"solver": "lbfgs"},
            deterministic=True,
            card="cards/linear-probe.md",
            presets="presets.yaml",
        ),
        MethodSpec(
            name="coop",
            target="ltbench_baselines.clip.coop:CoOp",
            summary="learns the context words of the class prompts (CoOp), for several labels",
            families=EVERY_FAMILY | {"zero-shot"},
            card="cards/coop.md",
            presets="presets.yaml",
        ),
        MethodSpec(
            name="cocoop",
            target="ltbench_baselines.clip.cocoop:CoCoOp",
            summary="learns context words that depend on the image (CoCoOp), for several labels",
            families=EVERY_FAMILY | {"zero-shot"},
            card="cards/cocoop.md",
            presets="presets.yaml",
        ),
        MethodSpec(
            name="tai-dpt",
            target="ltbench_baselines.clip.tai_dpt:TaIDPT",
            summary="learns global and local prompts from captions in place of images (TaI-DPT)",
            families=EVERY_FAMILY,
            card="cards/tai-dpt.md",
            presets="presets.yaml",
        ),
        MethodSpec(
            name="full-fine-tuning",
            target="ltbench_baselines.clip.fine_tuning:CLIPFineTuning",
            summary="fine-tunes CLIP's whole image tower with a linear head, as LMPT's comparison does",
            families=EVERY_FAMILY,
            config={
                "loss": "db-focal",
                "lr": 1e-4,
                "head_lr": 1e-4,
                "weight_decay": 1e-5,
                "epochs": 30,
                "batch_size": 16,
                "batch_norm": "train",
                "schedule": "constant",
            },
            variants=BOTH_FORMS,
            card="cards/full-fine-tuning.md",
            presets="presets.yaml",
        ),
    ]
