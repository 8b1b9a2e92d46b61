"""Single positive labels: maximising the entropy of what nobody observed (EM), and soft labels on top (EM+APL)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ltbench.losses.base import Reduction, autocast_off, check_number, check_option, check_values, compute_dtype
from ltbench.losses.unknown import OwnUnknownLoss, Variant, negative_log


def _cross_entropy(logits: Tensor, targets: Tensor, opposite: Tensor, variant: Variant) -> Tensor:
    return targets * negative_log(logits, variant) + opposite * negative_log(-logits, variant)


class EntropyMaximizationLoss(OwnUnknownLoss):
    """EM: cross-entropy of known labels, minus the entropy of unknown ones; with `beta` EM+APL.

    ``L(y s)`` where known, ``-alpha [p L(s) + (1 - p) L(-s)]`` where unknown, p = sigmoid(s), the gradient flowing
    through p, and ``L(t) = -log sigmoid(t)`` (``-log(sigmoid(t) + 1e-5)`` in variant "code"). The loss of an unknown
    label is negative. Unknown labels that a soft label q was given have ``beta [q L(s) + (1 - q) L(-s)]`` instead.
    "mean" divides by B * C, "none" gives [B, C].

    The release marks a soft label in the label matrix, as -q beside 0 and 1. Here -1 is a known absence, so soft labels
    are a tensor of their own: q in [0, 1], NaN where there is none (:func:`select_soft_negatives`).

    Source: Zhou et al., Acknowledging the Unknown for Multi-label Learning with Single Positive Labels, ECCV 2022, and
    its release (loss_EM, loss_EM_APL). Its alpha: VOC 0.2, COCO 0.1, NUS-WIDE 0.1, CUB 0.01; its beta: 0.02, 0.9, 0.2,
    0.4. The published loss has no known absences.
    Golden keys: em_loss, em_apl_loss (variant "code").

    Args:
        alpha: weight of the entropy, >= 0.
        beta: weight of soft labels, >= 0; None for EM, which takes none.
        variant: "paper" or "code".
    """

    over = "rows"

    def __init__(
        self,
        *,
        alpha: float = 0.1,
        beta: float | None = None,
        variant: Variant = "paper",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.alpha = check_number("alpha", alpha)
        self.beta = None if beta is None else check_number("beta", beta)
        self.variant: Variant = check_option("variant", variant, ("paper", "code"))

    def forward(self, logits: Tensor, labels: Tensor, soft: Tensor | None = None) -> Tensor:
        """Loss of logits [B, C] against labels [B, C] in {-1, 0, +1} and soft labels [B, C].

        Args:
            soft: floating-point, q in [0, 1], NaN where there is none; what stands at known labels is not read.

        Raises:
            TypeError, ValueError: see :func:`~ltbench.losses.base.check_values`; soft labels of another shape or
                outside [0, 1], or any without `beta`.
        """
        if soft is None:
            return super().forward(logits, labels)
        if self.beta is None:
            raise ValueError("soft: EM takes no soft labels; give beta for EM+APL")
        check_values("logits", logits, labels)
        given = check_soft(soft, labels)
        with autocast_off(logits):
            dtype = compute_dtype(logits)
            scores, signs = logits.to(dtype), labels.to(dtype)
            targets = torch.where(given, soft.to(dtype), 0.0)
            softly = self.beta * _cross_entropy(scores, targets, 1 - targets, self.variant)
            return self.reduce(torch.where(given, softly, self._elements(scores, signs)))

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        return self.reduce(self._elements(logits, labels))

    def _elements(self, logits: Tensor, labels: Tensor) -> Tensor:
        known = negative_log(labels * logits, self.variant)
        entropy = _cross_entropy(logits, torch.sigmoid(logits), torch.sigmoid(-logits), self.variant)
        return torch.where(labels == 0, -self.alpha * entropy, known)


def check_soft(soft: Tensor, labels: Tensor) -> Tensor:
    """Where soft labels [N, C] are given: not NaN, and the label unknown.

    Raises:
        ValueError: another shape than that of the labels, integers, or a soft label outside [0, 1].
    """
    if soft.shape != labels.shape or not soft.is_floating_point():
        raise ValueError(
            f"soft: expected floating-point values of shape {list(labels.shape)}, "
            f"got {soft.dtype} of shape {list(soft.shape)}"
        )
    given = ~soft.isnan() & (labels == 0)
    outside = given & ((soft < 0) | (soft > 1))
    if bool(outside.any()):
        raise ValueError(f"soft: expected probabilities in [0, 1] or NaN, got {soft[outside][0].item():g}")
    return given


def select_soft_negatives(
    probabilities: Tensor, labels: Tensor, soft: Tensor | None, *, epochs: int, warmup: int, share: float = 0.9
) -> Tensor:
    """Asymmetric pseudo-labelling: the soft labels [N, C] after one more epoch; those given before stay as they are.

    Of each class, the ``int(share U / (epochs - warmup))`` images with the lowest probability among those whose label
    is unknown and that have no soft label yet get their probability as one; U counts the class's unknown labels,
    soft ones included. Equal probabilities: the earlier row first. To be called after each epoch from the `warmup`-th
    on (counted from 1), with the probabilities of all N training images.

    Source: Zhou et al., ECCV 2022, release; neither the order of ties (numpy's unstable sort) nor its silence for a
    data loader of one batch is followed.
    Golden key: apl_selection.

    Args:
        probabilities: floating-point [N, C], in [0, 1].
        labels: [N, C] in {-1, 0, +1}.
        soft: soft labels so far, [N, C], NaN where there is none; None for none at all.
        epochs: epochs of the whole training.
        warmup: epochs without pseudo-labelling, below `epochs`; VOC 5, COCO 5, NUS-WIDE 4, CUB 3 in the release.
        share: of the unknown labels that have a soft one in the end, in [0, 1].

    Raises:
        TypeError, ValueError: see :func:`~ltbench.losses.base.check_values` and :func:`check_soft`; probabilities
            outside [0, 1]; `warmup` not below `epochs`; a share outside [0, 1].
    """
    check_values("probabilities", probabilities, labels)
    if not bool(((probabilities >= 0) & (probabilities <= 1)).all()):
        raise ValueError("probabilities: expected values in [0, 1]")
    if not 0 <= warmup < epochs:
        raise ValueError(f"warmup: expected a number in [0, {epochs}) (epochs), got {warmup!r}")
    if not 0 <= share <= 1:
        raise ValueError(f"share: expected a number in [0, 1], got {share!r}")
    before = torch.full_like(probabilities, math.nan) if soft is None else soft
    free = (labels == 0) & ~check_soft(before, labels)
    # int() of a float64 product, as the release rounds; a float32 one would lose an image now and then.
    counts = [int(share * unknown / (epochs - warmup)) for unknown in (labels == 0).sum(dim=0).tolist()]
    order = torch.where(free, probabilities, torch.inf).argsort(dim=0, stable=True)
    ranks = torch.empty_like(order)
    rows = torch.arange(len(order), device=order.device).unsqueeze(1).expand_as(order)
    ranks.scatter_(0, order, rows)
    chosen = free & (ranks < torch.tensor(counts, device=order.device))
    return torch.where(chosen, probabilities.to(before.dtype), before)
