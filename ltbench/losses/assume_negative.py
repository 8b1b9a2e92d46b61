"""Single positive labels: assuming that what nobody observed is absent, and the baselines beside it."""

from __future__ import annotations

import torch
from torch import Tensor

from ltbench.losses.base import MultiLabelLoss, Reduction, check_number, check_option
from ltbench.losses.unknown import OwnUnknownLoss, Variant, assumed_signs, negative_log


class AssumeNegativeLoss(OwnUnknownLoss):
    """AN, and with `smoothing` LSAN: binary cross-entropy with every unknown label read as absent.

    ``l = (1 - e) L(y s) + e L(-y s)`` with y = +1 for present labels and -1 for all others, e the smoothing of present
    and absent labels alike, and ``L(t) = -log sigmoid(t)``; variant "code" has ``L(t) = -log(sigmoid(t) + 1e-5)``.
    "mean" divides by B * C, "none" gives [B, C].

    Plain BCE on such labels (LargeLoss's baseline) is variant "paper" without smoothing.

    Source: Cole et al., Multi-Label Learning from Single Positive Labels, CVPR 2021, and its release (loss_an,
    loss_an_ls; LSAN there has 0.1, used as it is).
    Golden keys: cole_an, cole_an_ls (variant "code"); cole_bce, cole_bce_ls (the same on complete labels); largeloss,
    first epoch (variant "paper").

    Args:
        smoothing: e, in [0, 1).
        variant: "paper" or "code".
    """

    over = "rows"

    def __init__(self, *, smoothing: float = 0.0, variant: Variant = "paper", reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)
        self.smoothing = check_number("smoothing", smoothing)
        if self.smoothing >= 1:
            raise ValueError(f"smoothing: expected a number in [0, 1), got {smoothing!r}")
        self.variant: Variant = check_option("variant", variant, ("paper", "code"))

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        scores = assumed_signs(labels) * logits
        elements = negative_log(scores, self.variant)
        if self.smoothing > 0:
            elements = (1 - self.smoothing) * elements + self.smoothing * negative_log(-scores, self.variant)
        return self.reduce(elements)


class WeakAssumeNegativeLoss(OwnUnknownLoss):
    """WAN: like AN, with the terms of unknown labels divided by C - 1.

    Then the assumed absences of an image weigh together as much as its one positive. Known absent labels keep weight 1
    (the paper has none). "mean" divides by B * C, "none" gives [B, C].

    Source: Cole et al., CVPR 2021, and its release (loss_wan).
    Golden key: cole_wan (variant "code").

    Args:
        variant: "paper", or "code" with 1e-5 inside the logarithms.
    """

    over = "rows"

    def __init__(self, *, variant: Variant = "paper", reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)
        self.variant: Variant = check_option("variant", variant, ("paper", "code"))

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        weights = torch.where(labels == 0, torch.ones_like(labels) / max(labels.shape[1] - 1, 1), 1.0)
        return self.reduce(weights * negative_log(assumed_signs(labels) * logits, self.variant))


class IgnoreUnknownLoss(MultiLabelLoss):
    """IU and IUN: cross-entropy of the known labels only, divided by the number of all entries.

    ``l = L(y s)`` where known, 0 (and no gradient) where unknown. IU trains on observed labels of both kinds; IUN is
    the same loss on labels in which the true absences are revealed, so -1 stands there too. "mean" divides by B * C,
    unlike :class:`~ltbench.losses.bce.BCELoss`, which divides by the known ones; "none" gives [B, C].

    Source: Cole et al., CVPR 2021, and its release (loss_iu, loss_iun; as shipped the latter finds no absence, because
    its test for -1 meets files with 0).
    Golden keys: cole_iu, cole_iun (variant "code").

    Args:
        variant: "paper", or "code" with 1e-5 inside the logarithms.
    """

    over = "rows"

    def __init__(self, *, variant: Variant = "paper", reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)
        self.variant: Variant = check_option("variant", variant, ("paper", "code"))

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        elements = torch.where(labels == 0, 0.0, negative_log(labels * logits, self.variant))
        if self.reduction == "none":
            return elements
        total = elements.sum()
        return total if self.reduction == "sum" else total / max(elements.numel(), 1)


class PairwiseRankingLoss(OwnUnknownLoss):
    """PR: each present class must beat every class that is absent or unknown by 1, in probability.

    ``l_p = sum_n max(1 - p_p + p_n, 0)`` for a present class p and the classes n not present in the image; 0 elsewhere.
    Probabilities differ by at most 1, so the hinge never closes. "mean" divides by B * C, "none" gives [B, C].

    Source: Cole et al., CVPR 2021, and its release (loss_pr).
    Golden key: cole_pr.
    """

    over = "rows"

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        p = torch.sigmoid(logits)
        present = labels > 0
        # The sum over n without a [B, C, C] tensor: the hinge is open for every pair.
        others = (~present).sum(dim=1, keepdim=True) * (1 - p) + torch.where(present, 0.0, p).sum(dim=1, keepdim=True)
        return self.reduce(torch.where(present, others, 0.0))
