"""Distribution-balanced loss: rebalanced weights and negative-tolerant regularisation, focal or not."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from ltbench.losses.base import (
    Counts,
    Reduction,
    bce_elements,
    check_counts,
    check_number,
    check_option,
    reduce_elements,
)
from ltbench.losses.bce import WeightedLoss
from ltbench.losses.focal import focal_elements
from ltbench.losses.ntr import NegativeTolerantRegularization

Normalise: TypeAlias = Literal["present", "all"]
WeightNorm: TypeAlias = Literal["none", "by_image", "by_batch"]
DBVariant: TypeAlias = Literal["paper", "code", "lmpt-code"]


def rebalanced_weights(
    class_counts: Tensor, labels: Tensor, *, alpha: float, beta: float, theta: float, normalise: Normalise = "present"
) -> Tensor:
    """``alpha + sigmoid(beta (r - theta))`` with ``r_c = (1 / n_c) / sum_j (1 / n_j)``, as [B, C].

    "present" sums j over the classes known to be present in the image (DB paper and code; LMPT's code). An image
    without one has r infinite and weight ``alpha + 1``, as in the DB code. "all" sums over all C classes whatever the
    image shows: what LMPT's Eq. 8 prints.

    Args:
        class_counts: positive training images per class [C], each >= 1.
        labels: floating-point [B, C] in {-1, 0, +1}; their dtype is that of the result.
    """
    inverse = 1 / class_counts.to(labels.dtype)
    if normalise == "all":
        ratio = (inverse / inverse.sum()).expand_as(labels)
        return alpha + torch.sigmoid(beta * (ratio - theta))
    total = ((labels > 0) * inverse).sum(dim=1, keepdim=True)
    # The inner where keeps the division finite; the outer one puts in the limit of the sigmoid for r -> infinity.
    ratio = inverse / torch.where(total > 0, total, 1.0)
    return alpha + torch.where(total > 0, torch.sigmoid(beta * (ratio - theta)), 1.0)


class RebalancedBCELoss(WeightedLoss):
    """R-BCE: ``w l`` with the rebalanced weight w and l focal or BCE (R-BCE-Focal).

    ``w = alpha + sigmoid(beta (r_c - theta))``, see :func:`rebalanced_weights`; present and absent labels alike.
    "mean" divides by the number of known labels, "none" gives [B, C].

    Source: Wu et al., Distribution-Balanced Loss, ECCV 2020; the DB code. theta is 0.3 for VOC-LT, 0.2 for COCO-LT
    there.
    Golden keys: db_rbce (gamma None), db_rbce_focal (gamma 2, focal_factor 2), lmpt_bl_R-BCE-Focal_Nimages
    (focal_factor 0.5), voc/coco ``rebalance_weight`` of db_intermediates.

    Args:
        class_counts: positive training images per class [C], each >= 1.
        alpha: offset of the weight.
        beta: slope of the sigmoid.
        theta: its centre (the DB code calls it gamma).
        gamma: focusing exponent; None for BCE without focal modulation.
        focal_factor: constant in front of the focal element; not used when `gamma` is None.
        normalise: over which classes r is normalised.
        weight_norm: divide the weights by their largest over the known labels of the image or the batch (options of
            the DB code that no release uses).
        ntr: see :class:`~ltbench.losses.bce.WeightedLoss`.
    """

    class_counts: Tensor

    def __init__(
        self,
        class_counts: Counts,
        *,
        alpha: float = 0.1,
        beta: float = 10.0,
        theta: float = 0.3,
        gamma: float | None = None,
        focal_factor: float = 2.0,
        normalise: Normalise = "present",
        weight_norm: WeightNorm = "none",
        ntr: NegativeTolerantRegularization | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(ntr=ntr, reduction=reduction)
        self.register_buffer("class_counts", check_counts(class_counts))
        self.alpha = check_number("alpha", alpha)
        self.beta = check_number("beta", beta)
        self.theta = check_number("theta", theta)
        self.gamma = None if gamma is None else check_number("gamma", gamma)
        self.focal_factor = check_number("focal_factor", focal_factor, strict=True)
        self.normalise: Normalise = check_option("normalise", normalise, ("present", "all"))
        self.weight_norm: WeightNorm = check_option("weight_norm", weight_norm, ("none", "by_image", "by_batch"))

    def weights(self, labels: Tensor) -> Tensor:
        weights = rebalanced_weights(
            self.class_counts, labels, alpha=self.alpha, beta=self.beta, theta=self.theta, normalise=self.normalise
        )
        if self.weight_norm == "none" or weights.numel() == 0:
            return weights
        known = weights * (labels != 0)
        largest = known.amax(dim=1, keepdim=True) if self.weight_norm == "by_image" else known.amax()
        return weights / torch.where(largest > 0, largest, 1.0)

    def elements(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.gamma is None:
            return bce_elements(logits, labels)
        return focal_elements(logits, labels, gamma=self.gamma, factor=self.focal_factor)


class DistributionBalancedLoss(RebalancedBCELoss):
    """DB loss: rebalanced weights on negative-tolerant logits, with (DB-Focal) or without focal modulation.

    ``v_c = kappa' ln(N / n_c - 1)``; w as :func:`rebalanced_weights`; a is `focal_factor`.
    Present: ``q = sigmoid(s - v_c)`` and ``l = a w (1 - q)^gamma (-log q)``.
    Absent: ``q = sigmoid(lambda (s - v_c))`` and ``l = a (w / lambda) q^gamma (-log(1 - q))``.
    Without focal modulation (gamma None) a and the powers are left out.

    | variant     | kappa'         | focal modulation                                                | source         |
    |-------------|----------------|-----------------------------------------------------------------|----------------|
    | "paper"     | kappa          | element by element                                              | Wu et al. 2020 |
    | "code"      | kappa / lambda | element by element                                              | DB and DR code |
    | "lmpt-code" | kappa / lambda | one number a batch: a (1 - exp(-mean BCE))^gamma mean (w' BCE)  | LMPT code      |

    LMPT's Eq. 8 to 10 are ``variant="paper", normalise="all", focal_factor=1``: Eq. 8 prints the weight normalised
    over all classes and Eq. 10 has no factor a. "mean" divides by the number of known labels, "none" gives [B, C].
    LMPT's printed loss divides by the images only; multiply by C for that. "lmpt-code" with focal modulation exists
    for "mean" only.

    Golden keys: paper_db ``eccv_db`` (gamma None), ``eccv_db_focal_gamma2_factor2``, ``lmpt_eq8_10_gamma2``
    ("paper"); ``code_constants_kappa_over_lambda_gamma2_factor2``, db_db_nofocal, db_db_focal,
    db_db_focal_norm_by_instance, db_db_focal_norm_by_batch ("code"); lmpt_dbl_nofocal, lmpt_dbl_focal ("lmpt-code");
    lmpt_bl_DBloss_Nimages ("paper", focal_factor 0.5), lmpt_bl_DBloss-noFocal_Nimages ("paper", gamma None, half of
    it).

    Args:
        class_counts: positive training images per class [C], each >= 1 and < `num_images`.
        num_images: N, training images.
        variant: see the table.
        alpha, beta, theta, normalise, weight_norm, gamma, focal_factor: see :class:`RebalancedBCELoss`.
        kappa: scale of the class-specific bias.
        neg_scale: lambda (LMPT: zeta); the releases use 5 (VOC-LT) and 2 (COCO-LT).
    """

    def __init__(
        self,
        class_counts: Counts,
        num_images: int,
        *,
        variant: DBVariant = "paper",
        alpha: float = 0.1,
        beta: float = 10.0,
        theta: float = 0.3,
        kappa: float = 0.05,
        neg_scale: float = 5.0,
        gamma: float | None = 2.0,
        focal_factor: float = 2.0,
        normalise: Normalise = "present",
        weight_norm: WeightNorm = "none",
        reduction: Reduction = "mean",
    ) -> None:
        check_option("variant", variant, ("paper", "code", "lmpt-code"))
        ntr_variant: Literal["paper", "code"] = "paper" if variant == "paper" else "code"
        super().__init__(
            class_counts,
            alpha=alpha,
            beta=beta,
            theta=theta,
            gamma=gamma,
            focal_factor=focal_factor,
            normalise=normalise,
            weight_norm=weight_norm,
            ntr=NegativeTolerantRegularization(
                class_counts, num_images, kappa=kappa, neg_scale=neg_scale, variant=ntr_variant
            ),
            reduction=reduction,
        )
        self.variant: DBVariant = variant
        if self._scalar_focal:
            # The mean over the batch goes through the modulation.
            self.over = "batch"
        if self._scalar_focal and reduction != "mean":
            raise ValueError(f"reduction: variant 'lmpt-code' with focal modulation has 'mean' only, got {reduction!r}")

    @property
    def _scalar_focal(self) -> bool:
        return self.variant == "lmpt-code" and self.gamma is not None

    def elements(self, logits: Tensor, labels: Tensor) -> Tensor:
        return bce_elements(logits, labels) if self._scalar_focal else super().elements(logits, labels)

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        if not self._scalar_focal or self.gamma is None:
            return super().compute(logits, labels)
        weighted, plain = self.weighted_elements(logits, labels)
        mean_bce = reduce_elements(plain, labels, "mean")
        modulation = self.focal_factor * (-torch.expm1(-mean_bce)) ** self.gamma
        return modulation * reduce_elements(weighted, labels, "mean")
