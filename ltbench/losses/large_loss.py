"""Single positive labels: what has a large loss is probably a missed positive (LargeLoss R, Ct, Cp)."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from ltbench.losses.base import Reduction, autocast_off, check_number, check_option, check_values, compute_dtype
from ltbench.losses.ranking import softplus
from ltbench.losses.unknown import EpochLoss, Variant, assumed_signs

Scheme: TypeAlias = Literal["R", "Ct", "Cp"]


class LargeLoss(EpochLoss):
    """BCE with unknown labels read as absent, those with the largest losses of the batch rejected or corrected.

    In the first epoch every element has ``l = -log sigmoid(y s)``, y = +1 for present labels and -1 for all others.
    Afterwards the threshold is the k-th largest loss among the unknown entries of the batch,
    ``k = ceil(B C delta epoch)`` (epoch 0 being the first), and unknown entries that reach it are *taken*: "R" rejects
    them (loss 0), "Ct" corrects them for the moment (loss of a present label), "Cp" for good:
    ``k = ceil(B C delta)``, and the method writes +1 into its own copy of the labels where :meth:`corrections` says so.
    "mean" divides by B * C, rejected entries included; "none" gives [B, C].

    Variant "code" is what the release computes:

    * Its test for "Cp" compares identity of strings and fails for a value from the command line: k is that of "Ct",
      and nothing is corrected for good (:attr:`permanent` is False).
    * Its k has the digits of ``1 - (1 - delta epoch)``, and so is now and then one more.
    * A threshold of 0 (fewer unknown entries than k, or losses that underflow) takes *every* entry, also known ones,
      and "corrects" observed positives to absent. In variant "paper" known entries and losses of 0 are never taken.

    Source: Kim et al., Large Loss Matters in Weakly Supervised Multi-Label Classification, CVPR 2022, and its release.
    delta is 0.001 to 0.005 there (`--delta_rel` is in percent); which value a data set has is not published.
    Golden key: largeloss (LL-R, LL-Ct; LL-Cp: variant "code"; LL-Cp_intended: variant "paper").

    Args:
        scheme: "R", "Ct" or "Cp".
        delta: share of the entries of a batch by which k grows each epoch, in [0, 1].
        variant: "paper" or "code".
    """

    def __init__(
        self, scheme: Scheme, *, delta: float = 0.002, variant: Variant = "paper", reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.scheme: Scheme = check_option("scheme", scheme, ("R", "Ct", "Cp"))
        self.delta = check_number("delta", delta)
        if self.delta > 1:
            raise ValueError(f"delta: expected a share in [0, 1], got {delta!r}")
        self.variant: Variant = check_option("variant", variant, ("paper", "code"))

    @property
    def permanent(self) -> bool:
        """Whether a method corrects its labels for good where :meth:`corrections` says so."""
        return self.scheme == "Cp" and self.variant == "paper"

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        signs = assumed_signs(labels)
        elements = softplus(-signs * logits)
        threshold = self._threshold(elements, labels)
        if threshold is None:
            return self.reduce(elements)
        suspect = torch.where(labels == 0, elements, 0.0)
        taken = suspect >= threshold
        if self.variant == "paper":
            taken &= suspect > 0
        replaced = torch.zeros_like(elements) if self.scheme == "R" else softplus(signs * logits)
        return self.reduce(torch.where(taken, replaced, elements))

    def corrections(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Unknown entries of a batch whose loss lies *above* the threshold, bool [B, C]; all False in the first epoch.

        What "Cp" corrects for good, and for every scheme what it holds to be missed positives.

        Raises:
            TypeError, ValueError: see :func:`~ltbench.losses.base.check_values`.
        """
        check_values("logits", logits, labels)
        with torch.no_grad(), autocast_off(logits):
            signs = labels.to(compute_dtype(logits))
            elements = softplus(-assumed_signs(signs) * logits.to(signs.dtype))
            threshold = self._threshold(elements, signs)
            if threshold is None:
                return torch.zeros_like(labels, dtype=torch.bool)
            return (labels == 0) & (elements > threshold)

    def _threshold(self, elements: Tensor, labels: Tensor) -> Tensor | None:
        """The k-th largest loss of unknown entries, 0 beyond their number; None where nothing is to be taken."""
        if self.epoch == 0 or self.delta == 0 or elements.numel() == 0:
            return None
        if self.variant == "code":
            wanted = elements.numel() * (1 - (1 - self.epoch * self.delta))
        else:
            # Without the last digits, which would make one entry more of many a whole number.
            wanted = round(elements.numel() * self.delta * (1 if self.permanent else self.epoch), 6)
        k = min(max(math.ceil(wanted), 1), elements.numel())
        losses = torch.where(labels == 0, elements, 0.0).detach()
        return losses.flatten().topk(k).values[-1]
