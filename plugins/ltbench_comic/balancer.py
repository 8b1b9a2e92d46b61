"""Head-Tail Balancer: two teachers, weighted by their losses, steer a third model."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax


class HeadTailBalancer(nn.Module):
    """``k_h L(softmax(h) softmax(z)) + k_t L(softmax(t) softmax(z))``, softmaxes of head h and tail t without gradient.

    ``k_h = L(h)^a / (L(h)^a + L(t)^a)`` and ``k_t = 1 - k_h``, scalars of a batch through which a gradient flows to h
    and t: the teacher with the larger loss weighs more. The product of two softmaxes, a number in (0, 1), is the logit
    that L takes, as in the release; its gradient is small. ``soft-ce`` takes the cross-entropy of z to each teacher
    instead, a mean over rows: the distillation that the release's file derives from, not COMIC.

    Source: COMIC (Zhang et al., ICCV 2023), Eq. 11, and its release.
    Golden keys: htb ("code"), paper_formulas eq11.

    Args:
        criterion: L, a sum over images and classes.
        power: a.
        mode: see above.
    """

    def __init__(
        self, criterion: nn.Module, power: float = 2.0, mode: Literal["product", "soft-ce"] = "product"
    ) -> None:
        super().__init__()
        # A tuple: as a module of this one too, its buffers would be in the state twice.
        self._criterion = (criterion,)
        self.power = power
        self.mode = mode

    @property
    def criterion(self) -> nn.Module:
        """L."""
        return self._criterion[0]

    def head_share(self, head: Tensor, tail: Tensor, labels: Tensor) -> Tensor:
        """k_h, a scalar; 0 where both losses are 0."""
        of_head, of_tail = (self.criterion(logits, labels) ** self.power for logits in (head, tail))
        share: Tensor = of_head / (of_head + of_tail).clamp(min=torch.finfo(of_head.dtype).tiny)
        return share

    def forward(self, head: Tensor, tail: Tensor, balanced: Tensor, labels: Tensor) -> Tensor:
        """The loss, a scalar, of three sets of logits [B, C] and labels [B, C]."""
        share = self.head_share(head, tail, labels)
        of_head, of_tail = (self._taught(teacher.detach(), balanced, labels) for teacher in (head, tail))
        return share * of_head + (1 - share) * of_tail

    def _taught(self, teacher: Tensor, balanced: Tensor, labels: Tensor) -> Tensor:
        target = torch.softmax(teacher, dim=1)
        if self.mode == "soft-ce":
            distance: Tensor = -(target * log_softmax(balanced, dim=1)).sum() / max(1, len(target))
            return distance
        taught: Tensor = self.criterion(target * torch.softmax(balanced, dim=1), labels)
        return taught
