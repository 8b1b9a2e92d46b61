"""The objectives of the DR paper's tables: rankings along images or classes, losses of single labels, sums of both."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field
from torch import Tensor, nn

from ltbench.losses import (
    AsymmetricLoss,
    BCELoss,
    CircleLoss,
    DistributionallyRobustLoss,
    DistributionBalancedLoss,
    LSEPLoss,
    MultiLabelLoss,
    ZLPRLoss,
)
from ltbench.method import MethodConfig, Stats

Objective = Literal[
    "dr",
    "lsep",
    "c-lsep",
    "zlpr",
    "c-zlpr",
    "pgc",
    "gc",
    "bce",
    "db-focal",
    "asl",
    "circle",
    "bce+c-lsep",
    "c-lsep+db-focal",
    "bce+dr",
    "dr+db-focal",
]

OBJECTIVES: tuple[str, ...] = get_args(Objective)
"""All of them; what stands on either side of a plus is added."""

BCE_BASED = frozenset({"bce", "db-focal"})
"""Parts that `db_weight` multiplies in a sum."""

_CONSTRAINTS: dict[str, Literal["negative", "positive", "both"]] = {"dr": "negative", "pgc": "positive", "gc": "both"}


class ObjectiveConfig(MethodConfig):
    """Which objective, and the constants of all; those of other objectives than the chosen one change nothing."""

    objective: Objective = Field("dr", description="loss, or a sum of two [DR Tables 1 to 6]")
    gamma1: float = Field(5.0, gt=0, description="scale of differences: lsep, c-lsep, dr, pgc, gc [DR 4.3, Table 2: 5]")
    gamma2: float = Field(7.0, gt=0, description="scale of the constraint: dr, pgc, gc [DR 4.3: VOC-LT 7, COCO-LT 10]")
    db_weight: float = Field(
        1.0, gt=0, description="factor of bce or db-focal in a sum [no paper and no code states one: 1, a plain sum]"
    )
    alpha: float = Field(0.1, ge=0, description="offset of the rebalanced weight; db-focal [DB's code]")
    beta: float = Field(10.0, ge=0, description="slope of its sigmoid; db-focal [DB's code]")
    theta: float = Field(0.3, ge=0, description="centre of its sigmoid; db-focal [DB's code: VOC-LT 0.3, COCO-LT 0.2]")
    kappa: float = Field(0.05, ge=0, description="scale of the class bias; db-focal [DB's code]")
    neg_scale: float = Field(
        5.0, gt=0, description="scale lambda of negative logits; db-focal [DB's code: VOC-LT 5, COCO-LT 2]"
    )
    focal_gamma: float = Field(2.0, ge=0, description="focusing exponent; db-focal [DB's code]")
    focal_factor: float = Field(2.0, gt=0, description="constant before focal elements; db-focal [DB's code]")
    asl_gamma_neg: float = Field(4.0, ge=0, description="exponent of absent labels; asl [ASL 4.1]")
    asl_gamma_pos: float = Field(0.0, ge=0, description="exponent of present labels; asl [ASL 4.1]")
    asl_clip: float = Field(0.05, ge=0, lt=1, description="probability shift of absent labels; asl [ASL 4.1]")
    circle_margin: float = Field(0.25, ge=0, description="margin m of the scores; circle [Circle 4.1]")
    circle_gamma: float = Field(80.0, gt=0, description="scale g of the scores; circle [Circle 4.1: 80 to 256]")
    circle_scale: float = Field(10.0, gt=0, description="scores are logits over this; circle [ours]")


class WeightedSum(nn.Module):
    """Losses of the same logits and labels, each with a factor.

    Args:
        parts: losses by name.
        weights: their factors; 1 where a name is missing.
    """

    def __init__(self, parts: dict[str, MultiLabelLoss], weights: dict[str, float]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(parts)
        self.weights = {name: weights.get(name, 1.0) for name in parts}

    def terms(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Scalar terms by name, factors included."""
        return {name: self.weights[name] * part(logits, labels) for name, part in self.parts.items()}

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Their sum, a scalar."""
        total: Tensor = sum(self.terms(logits, labels).values(), start=logits.new_zeros(()))
        return total


def build_objective(config: ObjectiveConfig, stats: Stats, variant: Literal["paper", "code"]) -> WeightedSum:
    """The objective of a configuration.

    Args:
        stats: observed counts of the training rows.
        variant: ``code`` takes the mean over classes (lsep, zlpr, circle: images), ``paper`` the sum, as Eq. 5 and 6
            print; bce, db-focal and asl are means over labels either way; the class bias of db-focal, and whether the
            powers of asl have a gradient, go with the variant.
    """
    parts = {name: _part(name, config, stats, variant) for name in config.objective.split("+")}
    weights = dict.fromkeys(BCE_BASED, config.db_weight) if len(parts) > 1 else {}
    return WeightedSum(parts, weights)


def _part(name: str, config: ObjectiveConfig, stats: Stats, variant: Literal["paper", "code"]) -> MultiLabelLoss:
    reduction: Literal["mean", "sum"] = "mean" if variant == "code" else "sum"
    if name in ("lsep", "c-lsep"):
        axis: Literal["image", "class"] = "image" if name == "lsep" else "class"
        return LSEPLoss(gamma=config.gamma1, axis=axis, reduction=reduction)
    if name in ("zlpr", "c-zlpr"):
        return ZLPRLoss(axis="image" if name == "zlpr" else "class", reduction=reduction)
    if name in _CONSTRAINTS:
        return DistributionallyRobustLoss(
            gamma1=config.gamma1, gamma2=config.gamma2, constraint=_CONSTRAINTS[name], reduction=reduction
        )
    if name == "circle":
        return CircleLoss(
            margin=config.circle_margin, gamma=config.circle_gamma, scale=config.circle_scale, reduction=reduction
        )
    if name == "asl":
        return AsymmetricLoss(
            gamma_neg=config.asl_gamma_neg,
            gamma_pos=config.asl_gamma_pos,
            clip=config.asl_clip,
            detach_weights=variant == "code",
            variant=variant,
        )
    if name == "db-focal":
        return DistributionBalancedLoss(
            stats.usable_positives,
            stats.rows,
            variant=variant,
            alpha=config.alpha,
            beta=config.beta,
            theta=config.theta,
            kappa=config.kappa,
            neg_scale=config.neg_scale,
            gamma=config.focal_gamma,
            focal_factor=config.focal_factor,
        )
    return BCELoss()
