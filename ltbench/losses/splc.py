"""Missing labels: Hill loss and self-paced loss correction (SPLC)."""

from __future__ import annotations

import torch
from torch import Tensor

from ltbench.losses.base import Reduction, autocast_off, check_number, check_values, compute_dtype
from ltbench.losses.focal import focal_elements
from ltbench.losses.unknown import EpochLoss, OwnUnknownLoss, assumed_signs


class HillLoss(OwnUnknownLoss):
    """Focal loss with a margin for present labels, a hill for all others that forgives confident ones.

    Present: ``-(1 - p_m)^gamma log p_m`` with ``p_m = sigmoid(s - margin)``. Absent or unknown, without distinction:
    ``(lam - p) p^2`` with ``p = sigmoid(s)``, whose slope in p falls again beyond lam / 3, so a label that is probably
    a missed positive is pulled less. "mean" divides by B * C, the release's reduction is "sum"; "none" gives [B, C].
    Finite where the release is not (logits below -87 in float32).

    Source: Zhang et al., Simple and Robust Loss Design for Multi-Label Learning with Missing Labels, 2021, and its
    release (Hill).
    Golden key: hill_loss (reduction "sum").

    Args:
        lam: lambda, >= 1 (below, a confident absent label would have negative loss).
        margin: of present labels, in logits, >= 0.
        gamma: focusing exponent of present labels, >= 0.
    """

    over = "rows"

    def __init__(
        self, *, lam: float = 1.5, margin: float = 1.0, gamma: float = 2.0, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.lam = check_number("lam", lam, minimum=1.0)
        self.margin = check_number("margin", margin)
        self.gamma = check_number("gamma", gamma)

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        present = focal_elements(logits - self.margin, torch.ones_like(labels), gamma=self.gamma)
        p = torch.sigmoid(logits)
        return self.reduce(torch.where(labels > 0, present, (self.lam - p) * p.square()))


class SPLCLoss(EpochLoss):
    """Focal loss with a margin for present labels; after `change_epoch` epochs confident unknown ones become present.

    ``z = s - margin`` where the label is present, ``z = s`` elsewhere. From epoch `change_epoch` on (counted from 0),
    an unknown label with ``sigmoid(z) > tau`` counts as present, without the margin. Present:
    ``-(1 - p)^gamma log p``; all others: ``-p^gamma log(1 - p)``, with ``p = sigmoid(z)``, the gradient flowing through
    the powers. Known absent labels are never corrected (the releases know none). "mean" divides by B * C, the releases'
    reduction is "sum"; "none" gives [B, C].

    Source: Zhang et al., Simple and Robust Loss Design for Multi-Label Learning with Missing Labels, 2021, and its
    release (SPLC; tau 0.65 for COCO with 75 % of the labels); HSPNet's release, which has the same loss and always its
    defaults.
    Golden keys: splc_loss, hspnet_splc_loss (reduction "sum").

    Args:
        tau: probability above which an unknown label is present, in [0, 1].
        change_epoch: first epoch of the correction.
        margin: of present labels, in logits, >= 0.
        gamma: focusing exponent, >= 0.
    """

    over = "rows"

    def __init__(
        self,
        *,
        tau: float = 0.6,
        change_epoch: int = 1,
        margin: float = 1.0,
        gamma: float = 2.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.tau = check_number("tau", tau)
        if self.tau > 1:
            raise ValueError(f"tau: expected a probability in [0, 1], got {tau!r}")
        self.change_epoch = int(check_number("change_epoch", change_epoch))
        self.margin = check_number("margin", margin)
        self.gamma = check_number("gamma", gamma)

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        shifted = torch.where(labels > 0, logits - self.margin, logits)
        signs = torch.where(self._corrected(logits, labels), 1.0, assumed_signs(labels))
        return self.reduce(focal_elements(shifted, signs, gamma=self.gamma))

    def corrections(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Unknown entries of a batch that count as present in this epoch, bool [B, C].

        Raises:
            TypeError, ValueError: see :func:`~ltbench.losses.base.check_values`.
        """
        check_values("logits", logits, labels)
        with autocast_off(logits):
            return self._corrected(logits.detach().to(compute_dtype(logits)), labels)

    def _corrected(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.epoch < self.change_epoch:
            return torch.zeros_like(labels, dtype=torch.bool)
        return (labels == 0) & (torch.sigmoid(logits) > self.tau)
