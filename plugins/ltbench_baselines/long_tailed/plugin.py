"""Registers the methods for long-tailed labels. Imports no torch."""

from __future__ import annotations

from ltbench.plugin import MethodSpec, RowNote, hookimpl

EVERY_FAMILY = frozenset({"ltml", "plt", "spml", "partial"})
BOTH_FORMS = ("paper", "code")
FROZEN = RowNote(
    text="the image tower was left as it is and its features were cached; the published training learns the tower",
    config={"tower": "frozen"},
    mark="frozen",
)


def _visual(
    name: str, loss: str, summary: str, class_aware: bool = False, variants: tuple[str, ...] = ("paper",)
) -> MethodSpec:
    """A recipe of the trainer that fine-tunes the image tower."""
    return MethodSpec(
        name=name,
        target="ltbench_baselines.long_tailed.fine_tuning:FineTune",
        summary=f"fine-tunes the image tower: {summary}",
        families=EVERY_FAMILY,
        config={"loss": loss, "sampler": "class-aware"} if class_aware else {"loss": loss},
        variants=variants,
        card="cards/visual.md",
        presets="presets.yaml",
        notes=(FROZEN,),
    )


@hookimpl
def ltbench_methods() -> list[MethodSpec]:
    """The recipes of this subject."""
    return [
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
            target="ltbench_baselines.long_tailed.lws:LWS",
            summary="fine-tunes the image tower, then learns one factor a class on class-aware rows",
            families=EVERY_FAMILY,
            variants=BOTH_FORMS,
            card="cards/lws.md",
            presets="presets_lws.yaml",
            notes=(FROZEN,),
        ),
        MethodSpec(
            name="ml-gcn",
            target="ltbench_baselines.long_tailed.ml_gcn:MLGCN",
            summary="fine-tunes the image tower with classifiers from graph convolutions over class names (ML-GCN)",
            families=EVERY_FAMILY,
            variants=BOTH_FORMS,
            card="cards/ml-gcn.md",
            presets="presets_ml_gcn.yaml",
            notes=(FROZEN,),
        ),
        MethodSpec(
            name="balpoe",
            target="ltbench_baselines.long_tailed.balpoe:BalPoE",
            summary="fine-tunes the image tower with experts for several shares of positives, averaged (BalPoE)",
            families=EVERY_FAMILY,
            card="cards/balpoe.md",
            presets="presets_balpoe.yaml",
            notes=(FROZEN,),
        ),
        MethodSpec(
            name="bbn",
            target="ltbench_baselines.long_tailed.bbn:BBN",
            summary="two ends of one image tower, rows drawn evenly and by reversed frequency, mixed (BBN)",
            families=EVERY_FAMILY,
            variants=BOTH_FORMS,
            card="cards/bbn.md",
            presets="presets_bbn.yaml",
            notes=(FROZEN,),
        ),
        MethodSpec(
            name="ltml",
            target="ltbench_baselines.long_tailed.ltml:LTML",
            summary="two ends of one image tower, rows drawn evenly and class by class, kept consistent (LTML)",
            families=EVERY_FAMILY,
            card="cards/ltml.md",
            presets="presets_ltml.yaml",
            notes=(FROZEN,),
        ),
        MethodSpec(
            name="oltr",
            target="ltbench_baselines.long_tailed.oltr:OLTR",
            summary="image features and a memory of class centroids, read by a cosine classifier (OLTR)",
            families=EVERY_FAMILY,
            card="cards/oltr.md",
            presets="presets_oltr.yaml",
            notes=(FROZEN,),
        ),
    ]
