"""Circle loss over the classes of an image, or over the images of a class."""

from __future__ import annotations

from torch import Tensor

from ltbench.losses.base import Reduction, check_number
from ltbench.losses.ranking import Axis, _RankingLoss, masked_logsumexp, softplus


class CircleLoss(_RankingLoss):
    """``l = log(1 + sum_A exp(g a_n (s_n - m)) sum_P exp(-g a_p (s_p - (1 - m))))``.

    ``a_p = max(1 + m - s_p, 0)`` and ``a_n = max(s_n + m, 0)`` pace each score by its distance from its optimum
    ``1 + m`` or ``-m``; to the gradient they are constants, as in common implementations, unless `detach_paces` is off.
    P and A are the present and absent labels of one image, or with axis "class" of one class in the batch. Where one
    side is missing there is no pair and the loss is 0.

    The paper defines the loss for similarities in [-1, 1], and the papers that list it for several labels do not say
    what is compared. Here each class has its score ``s = logit / scale``; logits of a cosine head divided by its scale
    are similarities as the paper's. Other logits are admitted and finite, but the margins then mean little.

    "none" gives [B] (axis "class": [C]), "mean" divides by their number.

    Source: Sun et al., Circle Loss: A Unified Perspective of Pair Similarity Optimization, CVPR 2020, the loss with
    within-pair margins, whose optima and margins all follow from m.
    Golden keys: none; no multi-label release is known.

    Args:
        margin: m, >= 0; the paper's choices lie between 0.25 and 0.4.
        gamma: g, > 0; the paper's choices lie between 80 and 256.
        scale: what the logits are divided by, > 0.
        axis: "image" or "class".
        detach_paces: whether a_p and a_n are constants to the gradient.
    """

    def __init__(
        self,
        *,
        margin: float = 0.25,
        gamma: float = 80.0,
        scale: float = 1.0,
        axis: Axis = "image",
        detach_paces: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(axis=axis, reduction=reduction)
        self.margin = check_number("margin", margin)
        self.gamma = check_number("gamma", gamma, strict=True)
        self.scale = check_number("scale", scale, strict=True)
        self.detach_paces = bool(detach_paces)

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        scores, dim = logits / self.scale, 1 if self.axis == "image" else 0
        fixed = scores.detach() if self.detach_paces else scores
        pace_present = (1 + self.margin - fixed).clamp(min=0)
        pace_absent = (fixed + self.margin).clamp(min=0)
        present = masked_logsumexp(-self.gamma * pace_present * (scores - (1 - self.margin)), labels > 0, dim)
        absent = masked_logsumexp(self.gamma * pace_absent * (scores - self.margin), labels < 0, dim)
        return self.reduce(softplus(present + absent))
