"""Asymmetric loss."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ltbench.losses.base import MultiLabelLoss, Reduction, check_number, check_option, reduce_elements

ASLVariant: TypeAlias = Literal["paper", "code"]


class AsymmetricLoss(MultiLabelLoss):
    """Focal loss with separate exponents and a probability shift for absent labels.

    ``p = sigmoid(s)``, ``p_m = max(p - clip, 0)``; present: ``l = -(1 - p)^gamma_pos log p``; absent:
    ``l = -p_m^gamma_neg log(1 - p_m)``. An absent label with ``p <= clip`` has loss and gradient 0.

    Variant "code" bounds both arguments of the logarithm from below by `eps`, as the release does: the loss of a label
    that is wrong with p beyond `eps` stops growing and has no gradient. Variant "paper" has no bound, and stays finite
    because it works on logits.

    "mean" divides by the number of known labels, as LMPT's copy does; the original release uses "sum" (over classes and
    images). "none" gives [B, C].

    Source: Ridnik et al., Asymmetric Loss, ICCV 2021; LMPT's asl.py. LMPT trains with ``gamma_pos=0,
    detach_weights=True``, variant "code".
    Golden keys ("code"): lmpt_asl (LMPT's setting), lmpt_asl_defaults (defaults of the class).

    Args:
        gamma_neg: exponent of absent labels, >= 0.
        gamma_pos: exponent of present labels, >= 0.
        clip: the shift, in [0, 1).
        detach_weights: whether the powers are constants to the gradient (disable_torch_grad_focal_loss).
        variant: "paper" or "code".
        eps: lower bound of the logarithms' arguments in variant "code".
    """

    over = "known"

    def __init__(
        self,
        *,
        gamma_neg: float = 4.0,
        gamma_pos: float = 1.0,
        clip: float = 0.05,
        detach_weights: bool = False,
        variant: ASLVariant = "paper",
        eps: float = 1e-8,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.gamma_neg = check_number("gamma_neg", gamma_neg)
        self.gamma_pos = check_number("gamma_pos", gamma_pos)
        self.clip = check_number("clip", clip)
        if self.clip >= 1:
            raise ValueError(f"clip: expected a number in [0, 1), got {clip!r}")
        self.detach_weights = bool(detach_weights)
        self.variant: ASLVariant = check_option("variant", variant, ("paper", "code"))
        self.eps = check_number("eps", eps, strict=True)

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        logs = torch.where(labels > 0, self._log_present(logits), self._log_absent(logits))
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.detach_weights):
            present = torch.exp(self.gamma_pos * logsigmoid(-logits))
            weights = torch.where(labels > 0, present, self._absent_weights(logits))
        return reduce_elements(torch.where(labels == 0, 0.0, -weights * logs), labels, self.reduction)

    def _log_present(self, logits: Tensor) -> Tensor:
        if self.variant == "code":
            return torch.log(torch.sigmoid(logits).clamp(min=self.eps))
        return logsigmoid(logits)

    def _log_absent(self, logits: Tensor) -> Tensor:
        if self.variant == "paper" and self.clip == 0:
            return logsigmoid(-logits)
        bounded = self._shifted(logits)
        return torch.log(bounded.clamp(min=self.eps) if self.variant == "code" else bounded)

    def _absent_weights(self, logits: Tensor) -> Tensor:
        if self.clip == 0 or self.gamma_neg == 0:
            return torch.exp(self.gamma_neg * logsigmoid(logits))
        base = 1 - self._shifted(logits)
        # 0 to a power below one has an infinite slope, which times the slope 0 of the bound would be NaN.
        return torch.where(base > 0, torch.where(base > 0, base, 1.0) ** self.gamma_neg, 0.0)

    def _shifted(self, logits: Tensor) -> Tensor:
        """``1 - p_m``."""
        return (torch.sigmoid(-logits) + self.clip).clamp(max=1)
