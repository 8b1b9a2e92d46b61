"""Losses built from log-sum-exp over pairs: LSEP, ZLPR, their class-wise forms, and the distributionally robust loss.

Each has an axis: "image" compares the classes of one image, "class" the images of one class (column) in the batch. The
sums P and A run over the entries known to be present and absent; an image or class without one side simply has an empty
sum. "none" gives the losses [B] or [C], "mean" divides by their number (B or C, whatever is known), "sum" adds them.
All are computed with log-sum-exp: finite for any finite logit, where the release of the DR loss overflows.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ltbench.losses.base import MultiLabelLoss, Reduction, check_number, check_option

Axis: TypeAlias = Literal["image", "class"]
Constraint: TypeAlias = Literal["negative", "positive", "both", "none"]


def masked_logsumexp(values: Tensor, mask: Tensor, dim: int) -> Tensor:
    """``log sum exp`` of the values where `mask` holds; a very large negative finite number where none does."""
    # Not -inf: a logsumexp of nothing but -inf has NaN gradients.
    floor = torch.finfo(values.dtype).min / 8
    return torch.logsumexp(torch.where(mask, values, floor), dim=dim)


def softplus(values: Tensor) -> Tensor:
    """``log(1 + exp(x))``, exact where torch's own switches to x."""
    return -logsigmoid(-values)


class _RankingLoss(MultiLabelLoss):
    def __init__(self, *, axis: Axis, reduction: Reduction) -> None:
        super().__init__(reduction=reduction)
        self.axis: Axis = check_option("axis", axis, ("image", "class"))
        # Along a class, the images of a batch are compared.
        self.over = "rows" if self.axis == "image" else "batch"

    def sums(self, logits: Tensor, labels: Tensor, gamma_pos: float, gamma_neg: float) -> tuple[Tensor, Tensor]:
        """``log P e^(-gamma_pos s)`` and ``log A e^(gamma_neg s)`` along the axis, [B] or [C]."""
        dim = 1 if self.axis == "image" else 0
        return (
            masked_logsumexp(-gamma_pos * logits, labels > 0, dim),
            masked_logsumexp(gamma_neg * logits, labels < 0, dim),
        )

    def reduce(self, losses: Tensor) -> Tensor:
        if self.reduction == "none":
            return losses
        total = losses.sum()
        return total if self.reduction == "sum" else total / max(losses.numel(), 1)


class LSEPLoss(_RankingLoss):
    """``l = log(1 + sum_P sum_A exp(gamma (s_a - s_p)))``, of one image, or of one class (C-LSEP).

    The papers sum over images (LSEP, DR Eq. 5) or classes (C-LSEP, DR Eq. 6): reduction "sum".

    Source: Li et al., Improving Pairwise Ranking, CVPR 2017; DR paper Eq. 3, 5 to 7. Without code.
    Golden keys: paper_lsep, paper_lsep_g3, paper_lsep_g5 (axis "image"), paper_clsep_g1, paper_clsep_g3,
    paper_clsep_g5 (axis "class").

    Args:
        gamma: scale of the differences, > 0; 1 for LSEP, 5 for the DR paper's C-LSEP.
        axis: "image" or "class".
    """

    def __init__(self, *, gamma: float = 1.0, axis: Axis = "image", reduction: Reduction = "mean") -> None:
        super().__init__(axis=axis, reduction=reduction)
        self.gamma = check_number("gamma", gamma, strict=True)

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        present, absent = self.sums(logits, labels, self.gamma, self.gamma)
        return self.reduce(softplus(present + absent))


class ZLPRLoss(_RankingLoss):
    """``l = log(1 + sum_P exp(-s_p)) + log(1 + sum_A exp(s_a))``, of one image, or of one class (C-ZLPR).

    Source: Su et al., ZLPR, 2022; DR paper Eq. 4. Without code.
    Golden keys: paper_zlpr (axis "image"), paper_czlpr (axis "class").

    Args:
        axis: "image" or "class".
    """

    def __init__(self, *, axis: Axis = "image", reduction: Reduction = "mean") -> None:
        super().__init__(axis=axis, reduction=reduction)

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        present, absent = self.sums(logits, labels, 1.0, 1.0)
        return self.reduce(softplus(present) + softplus(absent))


class DistributionallyRobustLoss(_RankingLoss):
    """DR loss: class-wise LSEP with a gradient constraint on the negatives, of each class over the batch.

    ``l_c = log(1 + sum_P sum_A exp(gamma1 (s_a - s_p)) + sum_A exp(gamma2 s_a))``.

    "mean" over the classes is what the code trains on, "sum" over the classes what the paper prints (Eq. 6), "none"
    gives [C]. A class without positives in the batch keeps its constraint; one without negatives has loss 0.

    `constraint` is the ablation of the paper's Table 4: "negative" (NGC) is the loss itself, "none" C-LSEP. The paper
    has no formula for "positive" (PGC) and "both" (GC); here they put ``sum_P exp(-gamma2 s_p)`` inside the logarithm,
    which is an assumption.

    Source: Distributionally Robust Loss for Long-Tailed Multi-Label Image Classification, Eq. 8; DR code dr_loss.py.
    Golden keys: dr_loss_g5_7, dr_loss_g5_10, dr_loss_g1_1, dr_loss_g5_1 (code; its float32 overflows are finite here);
    paper_dr_g5_7, paper_dr_g5_10; paper_clsep_pgc_g5_7, paper_clsep_pgc_g5_10 ("positive"); paper_clsep_gc_g5_7,
    paper_clsep_gc_g5_10 ("both").

    Args:
        gamma1: scale of the differences, > 0.
        gamma2: scale of the constraint, > 0; 7 for VOC-LT, 10 for COCO-LT.
        constraint: see above.
    """

    def __init__(
        self,
        *,
        gamma1: float = 5.0,
        gamma2: float = 7.0,
        constraint: Constraint = "negative",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(axis="class", reduction=reduction)
        self.gamma1 = check_number("gamma1", gamma1, strict=True)
        self.gamma2 = check_number("gamma2", gamma2, strict=True)
        self.constraint: Constraint = check_option("constraint", constraint, ("negative", "positive", "both", "none"))

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        present, absent = self.sums(logits, labels, self.gamma1, self.gamma1)
        terms = [present + absent]
        bounds = self.sums(logits, labels, self.gamma2, self.gamma2)
        if self.constraint in ("positive", "both"):
            terms.append(bounds[0])
        if self.constraint in ("negative", "both"):
            terms.append(bounds[1])
        return self.reduce(softplus(torch.logsumexp(torch.stack(terms), dim=0)))
