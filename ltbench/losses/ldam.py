"""Label-distribution-aware margin loss, with a sigmoid for each class."""

from __future__ import annotations

import torch
from torch import Tensor

from ltbench.losses.base import (
    Counts,
    MultiLabelLoss,
    Reduction,
    bce_elements,
    check_counts,
    check_number,
    reduce_elements,
)


class LDAMLoss(MultiLabelLoss):
    """``l = -log sigmoid(a (s - m_c))`` for present, ``-log sigmoid(-a s)`` for absent labels.

    The margin ``m_c = max_margin (min n / n_c)^(1/4)`` is the largest for the rarest class.

    Cao et al. define the loss for one label an image: margin ``K / n_c^(1/4)`` on the logit of the true class, then a
    softmax (Eq. 13); their code sets K so that the largest margin is 0.5 and multiplies cosines by a = 30. Neither they
    nor the papers that list LDAM for several labels (DB, DR, LMPT) say what replaces the softmax. The form chosen here
    keeps their margins, on present labels only, and puts a binary cross-entropy in place of the softmax, as public code
    for chest X-rays with several findings does. a is 1 for logits of a linear head; 30 is for cosines.

    "mean" divides by the number of known labels, "none" gives [B, C]. `max_margin` 0 and `scale` 1 give BCE.

    Source: Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss, NeurIPS 2019.
    Golden keys: none; no multi-label release is known.

    Args:
        class_counts: positive training images per class [C], each >= 1.
        max_margin: margin of the rarest class, in units of the logits, >= 0.
        scale: a, > 0.
    """

    class_counts: Tensor

    over = "known"

    def __init__(
        self, class_counts: Counts, *, max_margin: float = 0.5, scale: float = 1.0, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("class_counts", check_counts(class_counts))
        self.max_margin = check_number("max_margin", max_margin)
        self.scale = check_number("scale", scale, strict=True)

    def margins(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """``m_c`` [C]."""
        counts = self.class_counts.to(dtype)
        return self.max_margin * (counts.min() / counts) ** 0.25

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        shifted = torch.where(labels > 0, logits - self.margins(logits.dtype), logits)
        return reduce_elements(bce_elements(self.scale * shifted, labels), labels, self.reduction)
