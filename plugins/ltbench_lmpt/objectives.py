"""The classification losses of LMPT by name, as printed and as released; its embedding loss with switchable parts."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from ltbench.losses import (
    AsymmetricLoss,
    BCELoss,
    ClassBalancedLoss,
    ClassSpecificEmbeddingLoss,
    DistributionBalancedLoss,
    FocalLoss,
    MultiLabelLoss,
    Over,
    RebalancedBCELoss,
)
from ltbench.method import Stats
from ltbench.plugin.errors import UserError

LossName: TypeAlias = Literal["db-focal", "db", "r-bce-focal", "r-bce", "cb-focal", "focal", "asl", "bce", "mls"]
Variant: TypeAlias = Literal["paper", "code"]
WeightSum: TypeAlias = Literal["one", "classes"]
CALIBRATED: frozenset[LossName] = frozenset({"bce", "mls"})
RELEASED: tuple[LossName, ...] = ("db-focal", "db", "asl", "bce", "mls")
"""Losses that the released training script can reach, and DB without focal modulation, an option of its class."""


class PerImage(nn.Module):
    """Sum over classes, mean over images, of a loss's elements: how LMPT prints its reduction.

    Args:
        loss: a loss with reduction "none" that gives [B, C].
    """

    reduction = "mean"

    def __init__(self, loss: MultiLabelLoss) -> None:
        super().__init__()
        self.loss = loss
        # Elements of each image are summed, whatever they would be divided by.
        self.over: Over = "batch" if loss.over == "batch" else "rows"

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of logits [B, C] against labels [B, C] in {-1, 0, +1}."""
        elements: Tensor = self.loss(logits, labels)
        return elements.sum() / max(1, len(elements))


def classification_loss(
    name: LossName,
    stats: Stats,
    *,
    variant: Variant = "paper",
    reduction: Literal["per-image", "mean"] | None = None,
    focal_gamma: float = 2.0,
    alpha: float = 0.1,
    beta: float = 10.0,
    theta: float = 0.3,
    kappa: float = 0.05,
    neg_scale: float = 5.0,
    normalise: Literal["all", "present"] | None = None,
) -> nn.Module:
    """A classification loss of LMPT's Table 2, on logits [B, C] and labels [B, C] in {-1, 0, +1}.

    Variant "paper": ``db-focal`` is Eq. 8 to 10: weights ``alpha + sigmoid(beta (r - theta))`` with r normalised over
    all classes, bias ``kappa ln(N / n - 1)``, focal modulation element by element, no constant in front. ``db`` is the
    same without the modulation. The constant in front of every focal element is 1, as Table 8 prints it. ``mls`` equals
    ``bce``.

    Variant "code": ``db-focal`` as released, with r normalised over the classes present, kappa / neg_scale, and one
    focal factor for the whole batch; ``asl`` without a gradient through its focusing weights and with bounded
    logarithms. Golden keys: lmpt_dbl_focal, lmpt_dbl_nofocal, lmpt_asl, lmpt_bce, lmpt_mls.

    Args:
        reduction: ``per-image`` sums over classes and averages over images, as printed (the sum is implied);
            ``mean`` divides by the number of known labels, as released. None: as the variant does.
        focal_gamma: exponent of ``db-focal``, ``r-bce-focal``, ``cb-focal`` and ``focal``.
        alpha, beta, theta: rebalanced weight of the ``db`` and ``r-bce`` losses.
        kappa, neg_scale: negative-tolerant regularisation of the ``db`` losses (neg_scale is the paper's zeta).
        normalise: classes over which r is normalised: ``all`` as printed, or those ``present`` in the image, as
            released. None: as the variant does.

    Raises:
        UserError: variant "code" and a loss that the release does not train with, or a sum over classes of what has
            one factor a batch.
    """
    printed = variant == "paper"
    if not printed and name not in RELEASED:
        raise UserError(
            f"the released code of lmpt does not train with loss {name}, only with {', '.join(RELEASED)}",
            f"--variant paper, or -o loss={RELEASED[0]}",
        )
    per_image = (reduction or ("per-image" if printed else "mean")) == "per-image"
    if not printed and name == "db-focal" and per_image:
        raise UserError(
            "the released db-focal has one focal factor a batch, so it cannot be summed over classes",
            "-o reduction=mean, or --variant paper",
        )
    how: Literal["none", "mean"] = "none" if per_image else "mean"
    over: Literal["all", "present"] = normalise or ("all" if printed else "present")
    counts = torch.from_numpy(stats.usable_positives)
    gamma = focal_gamma if name.endswith("focal") else None
    loss: MultiLabelLoss
    if name in ("db-focal", "db"):
        loss = DistributionBalancedLoss(
            counts,
            stats.rows,
            variant="paper" if printed else "lmpt-code",
            alpha=alpha,
            beta=beta,
            theta=theta,
            kappa=kappa,
            neg_scale=neg_scale,
            gamma=gamma,
            focal_factor=1.0 if printed else 2.0,
            normalise=over,
            reduction=how,
        )
    elif name in ("r-bce-focal", "r-bce"):
        loss = RebalancedBCELoss(
            counts,
            alpha=alpha,
            beta=beta,
            theta=theta,
            gamma=gamma,
            focal_factor=1.0,
            normalise=over,
            reduction=how,
        )
    elif name == "cb-focal":
        loss = ClassBalancedLoss(counts, gamma=gamma, factor=1.0, reduction=how)
    elif name == "focal":
        loss = FocalLoss(gamma=focal_gamma, factor=1.0, reduction=how)
    elif name == "asl":
        loss = AsymmetricLoss(
            gamma_neg=4.0, gamma_pos=0.0, clip=0.05, detach_weights=not printed, variant=variant, reduction=how
        )
    else:
        loss = BCELoss(reduction=how)
    return PerImage(loss) if per_image else loss


class SwitchableEmbeddingLoss(ClassSpecificEmbeddingLoss):
    """LMPT's class-specific embedding loss with the parts that its Table 3 switches on one by one.

    Without the class-aware margin every class has margin eta (the mu of Eq. 3); without re-weighting every class has
    weight 1, so that weights then sum to C, and with re-weighting to 1 unless told otherwise.

    Args:
        class_counts: positive training rows per class [C], each >= 1.
        class_aware_margin: ``mu_c = eta n_c^(-1/4)``, else eta.
        reweighting: ``w_c = n_c^(-gamma) / sum_j n_j^(-gamma)``, else 1.
        eta, gamma: None: 1 and 1 ("paper"), 0.2 and 2 ("code").
        weight_sum: what the weights of re-weighting sum to: ``one`` as Eq. 5 prints it, or the number of ``classes`` C.
        variant: see :class:`ltbench.losses.ClassSpecificEmbeddingLoss`.
    """

    def __init__(
        self,
        class_counts: Tensor,
        *,
        class_aware_margin: bool = True,
        reweighting: bool = True,
        eta: float | None = None,
        gamma: float | None = None,
        weight_sum: WeightSum = "one",
        variant: Variant = "paper",
    ) -> None:
        own_eta, own_gamma = (1.0, 1.0) if variant == "paper" else (0.2, 2.0)
        super().__init__(
            class_counts,
            eta=own_eta if eta is None else eta,
            gamma=own_gamma if gamma is None else gamma,
            variant=variant,
        )
        self.class_aware_margin = class_aware_margin
        self.reweighting = reweighting
        self.weight_sum: WeightSum = weight_sum

    def margins(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """``mu_c`` [C]."""
        margins = super().margins(dtype)
        return margins if self.class_aware_margin else torch.full_like(margins, self.eta)

    def weights(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """``w_c`` [C]."""
        weights = super().weights(dtype)
        if not self.reweighting:
            return torch.ones_like(weights)
        return weights * len(weights) if self.weight_sum == "classes" else weights
