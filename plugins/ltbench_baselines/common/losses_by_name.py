"""Classification losses that a recipe names, built from the counts of the observed labels."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field

from ltbench.losses import (
    AsymmetricLoss,
    BCELoss,
    CircleLoss,
    ClassBalancedLoss,
    DistributionBalancedLoss,
    FocalLoss,
    LDAMLoss,
    LSEPLoss,
    MultiLabelLoss,
    RebalancedBCELoss,
    ReweightedBCELoss,
    ZLPRLoss,
)
from ltbench.method import MethodConfig, Stats

LossName = Literal[
    "bce",
    "rw",
    "focal",
    "cb-focal",
    "r-bce",
    "r-bce-focal",
    "db",
    "db-focal",
    "ldam",
    "asl",
    "mls",
    "lsep",
    "zlpr",
    "circle",
]

LOSSES: tuple[str, ...] = get_args(LossName)
"""All names, in the order of the cards."""

PROPER = frozenset({"bce", "mls", "rw"})
"""Losses whose minimum is at sigmoid(logit) = probability: binary cross-entropy, and what weights both sides of a
class alike."""


class LossConfig(MethodConfig):
    """Which loss, and the constants of all of them; those of other losses than the chosen one change nothing."""

    loss: LossName = Field("bce", description="classification loss, mean over known labels (ranking ones: over images)")
    rw_mode: Literal["inverse", "inverse-sqrt"] = Field(
        "inverse-sqrt", description="weight N/n of a class, or its root; rw only [DB's tables: root]"
    )
    focal_gamma: float = Field(2.0, ge=0, description="focusing exponent of all focal losses [DB's code]")
    focal_factor: float = Field(2.0, gt=0, description="constant before focal elements [DB's ResampleLoss: 2]")
    cb_beta: float = Field(0.9, ge=0, lt=1, description="b of the effective number; cb-focal only [DB's code]")
    cb_mode: Literal["by_class", "average_n", "average_w", "min_n"] = Field(
        "by_class", description="weights by class, or one an image; cb-focal only [DB's code has all four]"
    )
    alpha: float = Field(0.1, ge=0, description="offset of the rebalanced weight; r-bce*, db* [DB's code]")
    beta: float = Field(10.0, ge=0, description="slope of its sigmoid; r-bce*, db* [DB's code]")
    theta: float = Field(
        0.3, ge=0, description="centre of its sigmoid; r-bce*, db* [DB's code: VOC-LT 0.3, COCO-LT 0.2]"
    )
    kappa: float = Field(0.05, ge=0, description="scale of the class bias; db* [DB's code]")
    neg_scale: float = Field(
        5.0, gt=0, description="scale lambda of negative logits; db* [DB's code: VOC-LT 5, COCO-LT 2]"
    )
    ldam_max_margin: float = Field(
        0.5, ge=0, description="margin of the rarest class, in logits; ldam only [LDAM's code]"
    )
    ldam_scale: float = Field(
        1.0, gt=0, description="factor of the logits; ldam only [LDAM's code: 30, on cosines; ours]"
    )
    asl_gamma_neg: float = Field(4.0, ge=0, description="exponent of absent labels; asl only [ASL 4.1]")
    asl_gamma_pos: float = Field(0.0, ge=0, description="exponent of present labels; asl only [ASL 4.1]")
    asl_clip: float = Field(0.05, ge=0, lt=1, description="probability shift of absent labels; asl only [ASL 4.1]")
    lsep_gamma: float = Field(1.0, gt=0, description="scale of the differences; lsep only [DR Eq. 5]")
    ranking_axis: Literal["image", "class"] = Field(
        "image",
        description="compare the classes of an image, or the images of a batch; lsep, zlpr, circle [DR Eq. 3 to 6]",
    )
    circle_margin: float = Field(0.25, ge=0, description="margin m of the scores; circle only [Circle 4.1]")
    circle_gamma: float = Field(80.0, gt=0, description="scale g of the scores; circle only [Circle 4.1: 80 to 256]")
    circle_scale: float = Field(
        10.0, gt=0, description="scores are logits over this; circle only [Circle: cosines; ours, see the card]"
    )


def build_loss(config: LossConfig, stats: Stats, variant: Literal["paper", "code"]) -> MultiLabelLoss:
    """The loss of a configuration.

    Args:
        stats: observed counts of the training rows; N is their number, also where labels are partly unknown.
        variant: which of two published forms, for the losses that have two (db, db-focal, asl).
    """
    name, counts = config.loss, stats.usable_positives
    focal: dict[str, Any] = {"gamma": config.focal_gamma, "focal_factor": config.focal_factor}
    rebalanced: dict[str, Any] = {"alpha": config.alpha, "beta": config.beta, "theta": config.theta}
    if name == "rw":
        return ReweightedBCELoss(counts, stats.rows, mode=config.rw_mode)
    if name == "focal":
        return FocalLoss(gamma=config.focal_gamma, factor=config.focal_factor)
    if name == "cb-focal":
        return ClassBalancedLoss(
            counts, beta=config.cb_beta, mode=config.cb_mode, gamma=config.focal_gamma, factor=config.focal_factor
        )
    if name in ("r-bce", "r-bce-focal"):
        return RebalancedBCELoss(counts, **rebalanced, **({"gamma": None} if name == "r-bce" else focal))
    if name in ("db", "db-focal"):
        return DistributionBalancedLoss(
            counts,
            stats.rows,
            variant=variant,
            kappa=config.kappa,
            neg_scale=config.neg_scale,
            **rebalanced,
            **({"gamma": None} if name == "db" else focal),
        )
    if name == "ldam":
        return LDAMLoss(counts, max_margin=config.ldam_max_margin, scale=config.ldam_scale)
    if name == "asl":
        return AsymmetricLoss(
            gamma_neg=config.asl_gamma_neg,
            gamma_pos=config.asl_gamma_pos,
            clip=config.asl_clip,
            # As both releases train, ASL's and LMPT's; printed is the loss alone, whose powers have a gradient.
            detach_weights=variant == "code",
            variant=variant,
        )
    if name == "lsep":
        return LSEPLoss(gamma=config.lsep_gamma, axis=config.ranking_axis)
    if name == "zlpr":
        return ZLPRLoss(axis=config.ranking_axis)
    if name == "circle":
        return CircleLoss(
            margin=config.circle_margin, gamma=config.circle_gamma, scale=config.circle_scale, axis=config.ranking_axis
        )
    # "bce" and "mls": torch's MultiLabelSoftMarginLoss is the same mean of the same elements.
    return BCELoss()
