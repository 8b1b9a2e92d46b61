"""The losses of the baselines beside COMIC, by name."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import nn

from ltbench.losses import (
    AsymmetricLoss,
    BCELoss,
    DistributionBalancedLoss,
    FocalLoss,
    HillLoss,
    SelectiveAsymmetricLoss,
)
from ltbench.method import MethodConfig, Stats

PlainLossName = Literal["bce", "focal", "asl", "db", "db-focal", "hill", "p-asl"]

OWN_UNKNOWN = frozenset({"hill", "p-asl"})
"""Losses that read unknown labels themselves; to the others they are what the task says, absent on a long tail."""


class PlainLossConfig(MethodConfig):
    """Which loss, and the constants of all of them; those of other losses than the chosen one change nothing.

    "release" is COMIC's repository, "upstream" that of the loss.
    """

    loss: PlainLossName = Field("bce", description="classification loss; see the card")
    reduction: Literal["mean", "sum"] = Field(
        "sum", description="over images and classes [release: sum, bce mean; as COMIC's losses]"
    )
    focal_gamma: float = Field(2.0, ge=0, description="focusing exponent; focal, db-focal [release]")
    focal_factor: float = Field(0.25, gt=0, description="constant before focal elements; focal only [release]")
    asl_gamma_neg: float = Field(4.0, ge=0, description="exponent of absent labels; asl [release]; p-asl [upstream]")
    asl_gamma_pos: float = Field(0.0, ge=0, description="exponent of present labels; asl [release]; p-asl [upstream]")
    asl_clip: float = Field(0.05, ge=0, lt=1, description="probability shift of absent labels; asl [release]")
    alpha: float = Field(0.1, ge=0, description="offset of the rebalanced weight; db* [upstream]")
    beta: float = Field(10.0, ge=0, description="slope of its sigmoid; db* [upstream]")
    theta: float = Field(0.2, ge=0, description="centre of its sigmoid; db* [upstream: COCO 0.2, VOC 0.3]")
    kappa: float = Field(0.05, ge=0, description="scale of the class bias; db* [upstream]")
    neg_scale: float = Field(2.0, gt=0, description="scale of negative logits; db* [upstream: COCO 2, VOC 5]")
    hill_lambda: float = Field(1.5, ge=1, description="height of the hill; hill only [release]")
    hill_margin: float = Field(1.0, ge=0, description="margin of present labels, in logits; hill only [release]")
    hill_gamma: float = Field(2.0, ge=0, description="exponent of present labels; hill only [release]")
    unknown_gamma: float = Field(4.0, ge=0, description="exponent of unknown labels; p-asl only [upstream: 4, or 2]")
    unknown_clip: float = Field(0.0, ge=0, lt=1, description="probability shift; p-asl only [upstream]")
    top_k: int = Field(5, ge=0, description="likeliest unknown labels of an image left out; p-asl only [upstream]")


def build_plain_loss(config: PlainLossConfig, stats: Stats, variant: Literal["paper", "code"]) -> nn.Module:
    """The loss of a configuration, of logits [B, C] and labels [B, C] in {-1, 0, +1}.

    Args:
        stats: observed counts of the training rows.
        variant: which of two published forms, for the losses that have two (asl, db, db-focal, p-asl).
    """
    name, reduction = config.loss, config.reduction
    if name == "focal":
        return FocalLoss(gamma=config.focal_gamma, factor=config.focal_factor, reduction=reduction)
    if name == "asl":
        return AsymmetricLoss(
            gamma_neg=config.asl_gamma_neg,
            gamma_pos=config.asl_gamma_pos,
            clip=config.asl_clip,
            # Both forms: the paper prints no gradient, and the release's training command switches it off.
            detach_weights=True,
            variant=variant,
            reduction=reduction,
        )
    if name in ("db", "db-focal"):
        return DistributionBalancedLoss(
            stats.usable_positives,
            stats.rows,
            variant=variant,
            alpha=config.alpha,
            beta=config.beta,
            theta=config.theta,
            kappa=config.kappa,
            neg_scale=config.neg_scale,
            gamma=None if name == "db" else config.focal_gamma,
            reduction=reduction,
        )
    if name == "hill":
        return HillLoss(lam=config.hill_lambda, margin=config.hill_margin, gamma=config.hill_gamma, reduction=reduction)
    if name == "p-asl":
        # No prior: it would come from known absent labels, of which a long tail with missing labels has none.
        return SelectiveAsymmetricLoss(
            gamma_pos=config.asl_gamma_pos,
            gamma_neg=config.asl_gamma_neg,
            gamma_unknown=config.unknown_gamma,
            clip=config.unknown_clip,
            top_k=config.top_k,
            variant=variant,
            reduction=reduction,
        )
    return BCELoss(reduction=reduction)
