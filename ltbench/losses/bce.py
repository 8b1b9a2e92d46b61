"""Binary cross-entropy, plain and weighted by class frequency."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from ltbench.losses.base import (
    Counts,
    MultiLabelLoss,
    Over,
    Reduction,
    bce_elements,
    check_counts,
    check_option,
    reduce_elements,
)
from ltbench.losses.ntr import NegativeTolerantRegularization


class BCELoss(MultiLabelLoss):
    """``l = -log sigmoid(s)`` for present, ``-log sigmoid(-s)`` for absent labels.

    Also what LMPT lists as MLS (torch's MultiLabelSoftMarginLoss): the mean over classes, then images, of the same
    elements. "mean" divides by the number of known labels, "none" gives [B, C] with 0 at unknown ones.

    Source: the baseline ERM/BCE of the LMPT, DB and DR tables.
    Golden keys: db_bce, lmpt_bce, lmpt_mls, lmpt_bl_BCE_Nimages.
    """

    over = "known"

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        return reduce_elements(bce_elements(logits, labels), labels, self.reduction)


class WeightedLoss(MultiLabelLoss):
    """Base of losses ``w l(z, y)`` whose weights depend on labels and counts only, with optional NTR.

    Subclasses give :meth:`weights`; they may replace :meth:`elements`, which is binary cross-entropy here.
    "mean" divides by the number of known labels (never by the sum of weights), "none" gives [B, C].

    Args:
        ntr: transforms logits and weights before the element loss; None leaves them.
        reduction: "mean", "sum" or "none".
    """

    over: Over = "known"

    def __init__(self, *, ntr: NegativeTolerantRegularization | None = None, reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)
        self.ntr = ntr

    @abstractmethod
    def weights(self, labels: Tensor) -> Tensor:
        """Weights for floating-point labels [B, C], of their dtype, broadcastable to [B, C]."""

    def elements(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Unweighted element losses [B, C], 0 at unknown labels."""
        return bce_elements(logits, labels)

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        weighted, _ = self.weighted_elements(logits, labels)
        return reduce_elements(weighted, labels, self.reduction)

    def weighted_elements(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted and unweighted element losses [B, C], both after NTR."""
        weights = self.weights(labels)
        if self.ntr is not None:
            logits, scale = self.ntr(logits, labels)
            weights = weights * scale
        elements = self.elements(logits, labels)
        return weights * elements, elements


Reweighting: TypeAlias = Literal["inverse", "inverse-sqrt"]


class ReweightedBCELoss(WeightedLoss):
    """``w_c BCE`` with ``w_c = N / n_c`` ("inverse") or ``sqrt(N / n_c)`` ("inverse-sqrt").

    Present and absent labels have the same weight; the weights are not normalised. "mean" divides by the number of
    known labels, "none" gives [B, C].

    Source: row RW of the DB and DR tables ("inverse square root of class frequency"), computed as the DB code does.
    Golden keys: db_rw_inv ("inverse"), db_rw_sqrt_inv ("inverse-sqrt").

    Args:
        class_counts: positive training images per class [C], each >= 1.
        num_images: N, training images.
        mode: which weight.
    """

    class_counts: Tensor

    def __init__(
        self,
        class_counts: Counts,
        num_images: int,
        *,
        mode: Reweighting = "inverse-sqrt",
        ntr: NegativeTolerantRegularization | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(ntr=ntr, reduction=reduction)
        self.register_buffer("class_counts", check_counts(class_counts, num_images))
        self.num_images = int(num_images)
        self.mode: Reweighting = check_option("mode", mode, ("inverse", "inverse-sqrt"))

    def weights(self, labels: Tensor) -> Tensor:
        inverse = self.num_images / self.class_counts.to(labels.dtype)
        return inverse if self.mode == "inverse" else torch.sqrt(inverse)
