"""What the losses share that read unknown labels themselves, in place of leaving them out.

Label encoding is that of the package, {-1, 0, +1}, but 0 is a case of its own here: an entry nobody observed, which the
loss takes for absent, rejects, corrects or regularises, as its docstring says. A known absent label (-1) is evidence
and is never rejected or corrected. So a method that uses such a loss declares the unknown policy ``own``: under
``assume-negative`` every 0 arrives as -1 and the loss has nothing left to decide. Single-positive tasks show +1 and 0.

"mean" divides by all B * C entries, unknown ones included, as the published code of all these losses does.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ltbench.losses.base import MultiLabelLoss, autocast_off, check_values, compute_dtype

Variant: TypeAlias = Literal["paper", "code"]

LOG_EPS = 1e-5
"""What the single-positive releases add inside their logarithms (variant "code")."""


def negative_log(logits: Tensor, variant: Variant) -> Tensor:
    """``-log sigmoid(s)``, or ``-log(sigmoid(s) + 1e-5)`` in variant "code": at most 11.5, least -1e-5."""
    if variant == "code":
        return -torch.log(torch.sigmoid(logits) + LOG_EPS)
    return -logsigmoid(logits)


def assumed_signs(labels: Tensor) -> Tensor:
    """+1 where the label is present, -1 where it is absent or unknown; floating-point labels keep their dtype."""
    return torch.where(labels > 0, 1.0, -1.0).to(labels.dtype)


class OwnUnknownLoss(MultiLabelLoss):
    """Base of the losses that read unknown labels: :meth:`compute` sees their logits as they are.

    Everything else is as in :class:`~ltbench.losses.base.MultiLabelLoss`: checks, precision, reductions.
    """

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of logits [B, C] against labels [B, C] in {-1, 0, +1}, 0 unknown; see the module's docstring.

        Raises:
            TypeError, ValueError: see :func:`~ltbench.losses.base.check_values`.
        """
        check_values("logits", logits, labels)
        with autocast_off(logits):
            dtype = compute_dtype(logits)
            return self.compute(logits.to(dtype), labels.to(dtype))

    def reduce(self, elements: Tensor) -> Tensor:
        """Reduce element losses [B, C]; "mean" divides by B * C (an empty batch has loss 0)."""
        if self.reduction == "none":
            return elements
        total = elements.sum()
        return total if self.reduction == "sum" else total / max(elements.numel(), 1)


class EpochLoss(OwnUnknownLoss):
    """Base of the losses that change with the epoch.

    `epoch` counts finished epochs: 0 in the first. A method sets it at the start of each epoch, also after a resumed
    run, since it is no part of the state.
    """

    epoch: int = 0

    def set_epoch(self, epoch: int) -> None:
        """Say how many epochs are finished.

        Raises:
            ValueError: a negative or fractional number.
        """
        if isinstance(epoch, bool) or int(epoch) != epoch or epoch < 0:
            raise ValueError(f"epoch: expected a whole number >= 0, got {epoch!r}")
        self.epoch = int(epoch)
