"""Single positive labels: losses that know how many positives an image has on average (EPR, ROLE)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ltbench.losses.base import (
    Reduction,
    autocast_off,
    check_number,
    check_option,
    check_values,
    compute_dtype,
)
from ltbench.losses.unknown import OwnUnknownLoss, Variant, negative_log


def expected_positives_penalty(logits: Tensor, expected: float) -> Tensor:
    """``((mean over images of sum_c p_c) - k)^2 / C^2`` of logits [B, C]; 0 for an empty batch."""
    if logits.shape[0] == 0:
        return logits.sum()
    return (torch.sigmoid(logits).sum(dim=1).mean() - expected).square() / logits.shape[1] ** 2


def _known_terms(logits: Tensor, labels: Tensor, variant: Variant) -> Tensor:
    return torch.where(labels == 0, 0.0, negative_log(labels * logits, variant))


def _mean(elements: Tensor) -> Tensor:
    return elements.sum() / max(elements.numel(), 1)


def _mean_only(reduction: Reduction) -> None:
    check_option("reduction", reduction, ("mean", "sum", "none"))
    if reduction != "mean":
        raise ValueError(f"reduction: a loss with a term of the whole batch has 'mean' only, got {reduction!r}")


class ExpectedPositivesLoss(OwnUnknownLoss):
    """EPR: the observed labels, and a pull of the expected number of positives towards k.

    ``(1 / BC) sum_known L(y s) + ((mean_b sum_c p_bc) - k)^2 / C^2``: unknown labels count in the second term only. The
    published loss has observed positives only; known absent labels have the matching term here. The second term belongs
    to the batch, so reduction "mean" is the only one.

    Source: Cole et al., CVPR 2021, and its release (loss_epr). Its k: VOC 1.5, COCO 2.9, NUS-WIDE 1.9, CUB 31.4.
    Golden key: cole_epr (variant "code", k 1.5).

    Args:
        expected: k, positives of an image on average, > 0.
        variant: "paper", or "code" with 1e-5 inside the logarithms.
        reduction: "mean".
    """

    def __init__(self, expected: float, *, variant: Variant = "paper", reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)
        _mean_only(reduction)
        self.expected = check_number("expected", expected, strict=True)
        self.variant: Variant = check_option("variant", variant, ("paper", "code"))

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        terms = _known_terms(logits, labels, self.variant)
        return _mean(terms) + expected_positives_penalty(logits, self.expected)


class ROLELoss(nn.Module):
    """ROLE: a classifier f and free label logits g of each image teach each other.

    ``(1 / 2BC) sum [pos(f) + pos(g) + cross(f | g) + cross(g | f)] + (R_k(f) + R_k(g)) / 2`` with ``pos(s) = L(y s)``
    at known labels, ``cross(s | t) = q L(s) + (1 - q) L(-s)``, ``q = sigmoid(t)`` a constant to the gradient, at every
    entry, and R_k the penalty of :class:`ExpectedPositivesLoss`. The published loss has observed positives only;
    known absent labels have the matching term here. Reduction "mean" is the only one.

    The label logits [N, C] are the method's parameters (:func:`initial_label_logits`; ten times the learning rate in
    the release); a batch passes its rows.

    Source: Cole et al., CVPR 2021, and its release (loss_role). Its k: VOC 1.5, COCO 2.9, NUS-WIDE 1.9, CUB 31.4.
    Golden key: cole_role (variant "code", k 1.5).

    Args:
        expected: k, positives of an image on average, > 0.
        variant: "paper", or "code" with 1e-5 inside the logarithms.
        reduction: "mean".
    """

    def __init__(self, expected: float, *, variant: Variant = "paper", reduction: Reduction = "mean") -> None:
        super().__init__()
        _mean_only(reduction)
        self.reduction: Reduction = reduction
        self.expected = check_number("expected", expected, strict=True)
        self.variant: Variant = check_option("variant", variant, ("paper", "code"))

    def forward(self, logits: Tensor, labels: Tensor, label_logits: Tensor) -> Tensor:
        """Loss of classifier logits [B, C] and label logits [B, C] against labels [B, C] in {-1, 0, +1}.

        Returns:
            A scalar; float32, or float64 when either input is float64.

        Raises:
            TypeError, ValueError: see :func:`~ltbench.losses.base.check_values`, for both sets of logits.
        """
        check_values("logits", logits, labels)
        check_values("label_logits", label_logits, labels)
        with autocast_off(logits):
            dtype = torch.promote_types(compute_dtype(logits), compute_dtype(label_logits))
            f, g, signs = logits.to(dtype), label_logits.to(dtype), labels.to(dtype)
            terms = sum(
                _known_terms(own, signs, self.variant) + self._cross(own, other) for own, other in ((f, g), (g, f))
            )
            penalties = sum(expected_positives_penalty(own, self.expected) for own in (f, g))
            return 0.5 * (_mean(torch.as_tensor(terms)) + penalties)

    def _cross(self, own: Tensor, other: Tensor) -> Tensor:
        other = other.detach()
        return torch.sigmoid(other) * negative_log(own, self.variant) + torch.sigmoid(-other) * negative_log(
            -own, self.variant
        )


def initial_label_logits(
    labels: Tensor, *, generator: torch.Generator | None = None, unknown: float = 0.6, known: float = 0.995
) -> Tensor:
    """Where ROLE's label logits start: float32 [N, C] for labels [N, C] in {-1, 0, +1}.

    Known labels start at ``+-logit(known)``, unknown ones uniform in ``+-logit(unknown)``. One draw for each entry, in
    row-major order, whatever the labels: a row's start does not depend on those of others.

    Source: Cole et al., CVPR 2021, release (LabelEstimator).
    Golden key: cole_role_label_estimator_init (generator seeded with 0).

    Args:
        generator: a generator of the CPU; the global one by default.
        unknown, known: probabilities in [0.5, 1).

    Raises:
        ValueError: labels outside {-1, 0, +1} or not [N, C], or probabilities outside [0.5, 1).
    """
    if labels.ndim != 2 or not bool(((labels == 0) | (labels == 1) | (labels == -1)).all()):
        raise ValueError("labels: expected values in {-1, 0, +1} of shape [N, C]")
    for name, value in (("unknown", unknown), ("known", known)):
        if not 0.5 <= value < 1:
            raise ValueError(f"{name}: expected a probability in [0.5, 1), got {value!r}")
    width, height = math.log(unknown / (1 - unknown)), math.log(known / (1 - known))
    free = width * (2 * torch.rand(labels.shape, generator=generator, dtype=torch.float32) - 1)
    free = free.to(labels.device)
    return torch.where(labels == 0, free, height * labels.to(torch.float32))
