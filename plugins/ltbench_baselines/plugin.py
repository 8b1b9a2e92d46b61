"""Registers the baselines. Imports no torch."""

from __future__ import annotations

from ltbench.plugin import MethodSpec, hookimpl
from ltbench_baselines.partial_graph_recipes import partial_graph_recipes
from ltbench_baselines.partial_recipes import partial_label_recipes
from ltbench_baselines.spml_recipes import single_positive_recipes
from ltbench_baselines.zsl_recipes import zero_shot_recipes

EVERY_FAMILY = frozenset({"ltml", "plt", "spml", "partial"})
BOTH_FORMS = ("paper", "code")


def _visual(
    name: str, loss: str, summary: str, class_aware: bool = False, variants: tuple[str, ...] = ("paper",)
) -> MethodSpec:
    """A recipe of the trainer that fine-tunes the image tower."""
    return MethodSpec(
        name=name,
        target="ltbench_baselines.visual:FineTune",
        summary=f"fine-tunes the image tower: {summary}",
        families=EVERY_FAMILY,
        config={"loss": loss, "sampler": "class-aware"} if class_aware else {"loss": loss},
        variants=variants,
        card="cards/visual.md",
        presets="presets.yaml",
    )


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
            name="zero-shot-ensemble",
            target="ltbench_baselines.zero_shot:ZeroShot",
            summary="cosine of the image with the mean text of 80 sentences for each class; learns nothing",
            families=EVERY_FAMILY | {"zero-shot"},
            config={"templates": ["openai-80"]},
            deterministic=True,
            card="cards/zero-shot-ensemble.md",
            presets="presets_clip.yaml",
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
        MethodSpec(
            name="cocoop",
            target="ltbench_baselines.cocoop:CoCoOp",
            summary="learns context words that depend on the image (CoCoOp), for several labels",
            families=EVERY_FAMILY | {"zero-shot"},
            card="cards/cocoop.md",
            presets="presets_clip.yaml",
        ),
        MethodSpec(
            name="tai-dpt",
            target="ltbench_baselines.tai_dpt:TaIDPT",
            summary="learns global and local prompts from captions in place of images (TaI-DPT)",
            families=EVERY_FAMILY | {"zero-shot"},
            card="cards/tai-dpt.md",
            presets="presets_clip.yaml",
        ),
        MethodSpec(
            name="full-fine-tuning",
            target="ltbench_baselines.visual:FineTune",
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
            presets="presets_clip.yaml",
        ),
        _visual("erm", "bce", "binary cross-entropy, rows drawn evenly"),
        _visual("rw", "rw", "binary cross-entropy weighted by the inverse square root of class frequency"),
        _visual("rs", "bce", "binary cross-entropy on rows drawn class by class", class_aware=True),
        _visual("focal", "focal", "focal loss"),
        _visual("cb-focal", "cb-focal", "focal loss weighted by the effective number of images"),
        _visual("r-bce-focal", "r-bce-focal", "focal loss with rebalanced weights, class-aware rows", class_aware=True),
        _visual("db", "db", "distribution-balanced loss, class-aware rows", class_aware=True, variants=BOTH_FORMS),
        _visual(
            "db-focal",
            "db-focal",
            "distribution-balanced focal loss, class-aware rows",
            class_aware=True,
            variants=BOTH_FORMS,
        ),
        _visual("ldam", "ldam", "binary cross-entropy with larger margins for rarer classes"),
        _visual("asl", "asl", "asymmetric loss", variants=BOTH_FORMS),
        _visual("mls", "mls", "multi-label soft margin loss, which is binary cross-entropy by another name"),
        _visual("lsep", "lsep", "log-sum-exp pairwise ranking loss"),
        _visual("zlpr", "zlpr", "zero-bounded log-sum-exp pairwise ranking loss"),
        _visual("circle", "circle", "Circle loss over the pairs of a present and an absent class of an image"),
        MethodSpec(
            name="lws",
            target="ltbench_baselines.lws:LWS",
            summary="fine-tunes the image tower, then learns one factor a class on class-aware rows",
            families=EVERY_FAMILY,
            variants=BOTH_FORMS,
            card="cards/lws.md",
            presets="presets_lws.yaml",
        ),
        MethodSpec(
            name="ml-gcn",
            target="ltbench_baselines.ml_gcn:MLGCN",
            summary="fine-tunes the image tower with classifiers from graph convolutions over class names (ML-GCN)",
            families=EVERY_FAMILY,
            variants=BOTH_FORMS,
            card="cards/ml-gcn.md",
            presets="presets_ml_gcn.yaml",
        ),
        MethodSpec(
            name="balpoe",
            target="ltbench_baselines.balpoe:BalPoE",
            summary="fine-tunes the image tower with experts for several shares of positives, averaged (BalPoE)",
            families=EVERY_FAMILY,
            card="cards/balpoe.md",
            presets="presets_balpoe.yaml",
        ),
        MethodSpec(
            name="bbn",
            target="ltbench_baselines.bbn:BBN",
            summary="two ends of one image tower, rows drawn evenly and by reversed frequency, mixed (BBN)",
            families=EVERY_FAMILY,
            variants=BOTH_FORMS,
            card="cards/bbn.md",
            presets="presets_bbn.yaml",
        ),
        MethodSpec(
            name="ltml",
            target="ltbench_baselines.ltml:LTML",
            summary="two ends of one image tower, rows drawn evenly and class by class, kept consistent (LTML)",
            families=EVERY_FAMILY,
            card="cards/ltml.md",
            presets="presets_ltml.yaml",
        ),
        MethodSpec(
            name="oltr",
            target="ltbench_baselines.oltr:OLTR",
            summary="image features and a memory of class centroids, read by a cosine classifier (OLTR)",
            families=EVERY_FAMILY,
            card="cards/oltr.md",
            presets="presets_oltr.yaml",
        ),
        *single_positive_recipes(),
        *partial_label_recipes(),
        *partial_graph_recipes(),
        *zero_shot_recipes(),
    ]
