"""Focal loss and its class-balanced forms."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ltbench.losses.base import (
    Counts,
    Reduction,
    autocast_off,
    bce_elements,
    check_counts,
    check_number,
    check_option,
    known_scores,
)
from ltbench.losses.bce import WeightedLoss
from ltbench.losses.ntr import NegativeTolerantRegularization

ClassBalancedMode: TypeAlias = Literal["by_class", "average_n", "average_w", "min_n"]


def focal_elements(logits: Tensor, labels: Tensor, *, gamma: float, factor: float = 1.0) -> Tensor:
    """``factor (1 - p_t)^gamma (-log p_t)`` with ``p_t = sigmoid(y s)``, [B, C]; 0 where the label is 0.

    The modulation is written as ``exp(gamma log sigmoid(-y s))``: finite values and gradients for every gamma >= 0,
    where a power of ``1 - p_t`` loses its digits for confident logits. The gradient flows through it.
    """
    with autocast_off(logits):
        scores, signs = known_scores(logits, labels)
        return factor * torch.exp(gamma * logsigmoid(-signs * scores)) * bce_elements(scores, signs)


class FocalLoss(WeightedLoss):
    """``l = factor (1 - p_t)^gamma (-log p_t)``, one factor for present and absent labels.

    "mean" divides by the number of known labels, "none" gives [B, C].

    Source: Lin et al., Focal Loss, ICCV 2017, in the multi-label form of the DB code. Published factors: 0.25 (DB's
    FocalLoss, the default here), 2 (focal part of DB's ResampleLoss), 0.5 (LMPT's unused loss table).
    Golden keys: db_focal_class_bp0.25, db_focal_class_bp2.0, db_resample_focal_only (factor 2), lmpt_bl_FL_Nimages
    (0.5), lmpt_bl_NTR-Focal_Nimages (0.5, NTR variant "paper" without `weight_negatives`).

    Args:
        gamma: focusing exponent, >= 0.
        factor: constant in front, > 0 (the releases call it balance_param or alpha).
        ntr: see :class:`~ltbench.losses.bce.WeightedLoss`.
    """

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        factor: float = 0.25,
        ntr: NegativeTolerantRegularization | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(ntr=ntr, reduction=reduction)
        self.gamma = check_number("gamma", gamma)
        self.factor = check_number("factor", factor, strict=True)

    def weights(self, labels: Tensor) -> Tensor:
        return torch.ones_like(labels)

    def elements(self, logits: Tensor, labels: Tensor) -> Tensor:
        return focal_elements(logits, labels, gamma=self.gamma, factor=self.factor)


class ClassBalancedLoss(WeightedLoss):
    """``w l`` with the weight of the effective number of samples, ``w(n) = (1 - b) / (1 - b^n)``, and l focal or BCE.

    Modes: "by_class" uses n_c of each class; the others give one weight per image from its present classes:
    "average_n" is w of their mean count, "average_w" the mean of their w, "min_n" w of their smallest count. An image
    without a known positive gets ``1 - b``, the limit for many samples (the DB code returns NaN there in both average
    modes). "mean" divides by the number of known labels, "none" gives [B, C].

    Source: Cui et al., Class-Balanced Loss, CVPR 2019, in the multi-label form of the DB code. Which mode and b stand
    behind the published CB rows is not known.
    Golden keys: db_cb_{by_class,average_n,average_w,min_n}_{focal,nofocal} (b 0.9; factor 2, gamma 2);
    lmpt_bl_CBloss_Nimages ("by_class", factor 5), lmpt_bl_CBloss-ntr_Nimages (the same with NTR variant "paper").

    Args:
        class_counts: positive training images per class [C], each >= 1.
        beta: b, in [0, 1).
        mode: see above.
        gamma: focusing exponent; None for BCE without focal modulation.
        factor: constant in front of the focal element; not used when `gamma` is None.
        ntr: see :class:`~ltbench.losses.bce.WeightedLoss`.
    """

    class_counts: Tensor

    def __init__(
        self,
        class_counts: Counts,
        *,
        beta: float = 0.9,
        mode: ClassBalancedMode = "by_class",
        gamma: float | None = 2.0,
        factor: float = 2.0,
        ntr: NegativeTolerantRegularization | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(ntr=ntr, reduction=reduction)
        self.register_buffer("class_counts", check_counts(class_counts))
        self.beta = check_number("beta", beta)
        if self.beta >= 1:
            raise ValueError(f"beta: expected a number in [0, 1), got {beta!r}")
        self.mode: ClassBalancedMode = check_option("mode", mode, ("by_class", "average_n", "average_w", "min_n"))
        self.gamma = None if gamma is None else check_number("gamma", gamma)
        self.factor = check_number("factor", factor, strict=True)

    def weights(self, labels: Tensor) -> Tensor:
        counts = self.class_counts.to(labels.dtype)
        if self.mode == "by_class":
            return self._effective(counts)
        present = labels > 0
        number = present.sum(dim=1, keepdim=True).to(labels.dtype)
        if self.mode == "min_n":
            return self._effective(torch.where(present, counts, torch.inf).amin(dim=1, keepdim=True))
        per_class = counts if self.mode == "average_n" else self._effective(counts)
        average = (present * per_class).sum(dim=1, keepdim=True) / number.clamp(min=1)
        weights = self._effective(average) if self.mode == "average_n" else average
        return torch.where(number > 0, weights, 1 - self.beta)

    def elements(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.gamma is None:
            return bce_elements(logits, labels)
        return focal_elements(logits, labels, gamma=self.gamma, factor=self.factor)

    def _effective(self, counts: Tensor) -> Tensor:
        # 1 - b^n through expm1: with b = 0.9999 and few images a float32 power would keep only three digits.
        log_beta = math.log(self.beta) if self.beta > 0 else -math.inf
        return (1 - self.beta) / -torch.expm1(counts * log_beta)
