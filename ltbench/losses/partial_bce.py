"""Partial labels: binary cross-entropy normalised by the share that is known, and with soft targets."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ltbench.losses.base import (
    MultiLabelLoss,
    Reduction,
    autocast_off,
    bce_elements,
    check_number,
    check_values,
    compute_dtype,
    reduce_elements,
)
from ltbench.losses.ranking import softplus


class PartialBCELoss(MultiLabelLoss):
    """Partial BCE: ``l_b = g(q_b) / C sum_known -log sigmoid(y s)`` of an image with the share q of its labels known.

    ``g(q) = slope q^exponent + offset``; the defaults weigh an image with 10 % of its labels about 5 and a completely
    labelled one 1. An image without known labels has loss 0. "none" gives [B], "mean" divides by B.

    Source: Durand et al., Learning a Deep ConvNet for Multi-label Classification with Partial Labels, CVPR 2019. The
    constants are those of later implementations; neither the paper nor its code was at hand.
    Golden key: durand_partial_bce.

    Args:
        slope, offset, exponent: of g; finite, the exponent >= 0.
    """

    over = "rows"

    def __init__(
        self, *, slope: float = -4.45, offset: float = 5.45, exponent: float = 1.0, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        for name, value in (("slope", slope), ("offset", offset)):
            if not math.isfinite(value):
                raise ValueError(f"{name}: expected a finite number, got {value!r}")
        self.slope, self.offset = float(slope), float(offset)
        self.exponent = check_number("exponent", exponent)

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        known = (labels != 0).to(labels.dtype).mean(dim=1)
        weights = self.slope * known**self.exponent + self.offset
        losses = weights * bce_elements(logits, labels).mean(dim=1)
        if self.reduction == "none":
            return losses
        total = losses.sum()
        return total if self.reduction == "sum" else total / max(losses.numel(), 1)


class SoftPartialBCELoss(MultiLabelLoss):
    """BCE with targets between unknown and known: the partial BCE of SST and SARB.

    A label t in [-1, +1] with ``|t| > margin`` counts: ``-|t| log sigmoid(u) - (1 - |t|) log sigmoid(-u)`` with
    ``u = sign(t) s``; all others contribute nothing. On labels in {-1, 0, +1} this is
    :class:`~ltbench.losses.bce.BCELoss`. Gradients reach floating-point labels too: SARB's mixing coefficient is
    learned through them (:func:`~ltbench.losses.semantic_transfer.mixed_labels`).

    "mean" divides by the number of labels that count in the batch, 0 if there is none; "none" gives [B, C].

    Source: Chen et al., Structured Semantic Transfer, AAAI 2022, and Pu et al., Semantic-Aware Representation Blending,
    AAAI 2022, release (BCELoss; margin 0 for observed labels, 0.95 for pseudo labels; a margin of 1 keeps nothing).
    Golden key: hcp_partial_bce.

    Args:
        margin: in [0, 1].
    """

    def __init__(self, *, margin: float = 0.0, reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = check_number("margin", margin)
        if self.margin > 1:
            raise ValueError(f"margin: expected a number in [0, 1], got {margin!r}")

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of logits [B, C] against labels [B, C] in [-1, +1].

        Returns:
            A scalar, or with reduction "none" [B, C]; float32, or float64 for float64 logits.

        Raises:
            TypeError, ValueError: see :func:`~ltbench.losses.base.check_values`.
        """
        check_values("logits", logits, labels, soft=True)
        with autocast_off(logits):
            dtype = compute_dtype(logits)
            targets = labels.to(dtype)
            return self.compute(torch.where(targets.abs() > self.margin, logits.to(dtype), 0.0), targets)

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        counts, strength = labels.abs() > self.margin, labels.abs()
        scores = labels.detach().sign() * logits
        elements = strength * softplus(-scores) + (1 - strength) * softplus(scores)
        return reduce_elements(torch.where(counts, elements, 0.0), counts.to(labels.dtype), self.reduction)
