"""Ranking losses of zero-shot recognition: Fast0Tag, LESA and BiAM, semantic diversity (SDL)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ltbench.losses.base import (
    MultiLabelLoss,
    Reduction,
    autocast_off,
    check_number,
    check_option,
    check_values,
    compute_dtype,
)
from ltbench.losses.ranking import softplus


def _differences(scores: Tensor) -> Tensor:
    """``s_n - s_p`` as [B, p, n]."""
    return scores.unsqueeze(1) - scores.unsqueeze(2)


def _pairs(labels: Tensor) -> Tensor:
    """Where p is present and n absent, bool [B, p, n]."""
    return (labels > 0).unsqueeze(2) & (labels < 0).unsqueeze(1)


def _reduced(losses: Tensor, reduction: Reduction) -> Tensor:
    if reduction == "none":
        return losses
    total = losses.sum()
    return total if reduction == "sum" else total / max(losses.numel(), 1)


class RankNetLoss(MultiLabelLoss):
    """``l = 1 / (|P| |A|) sum_P sum_A log(1 + exp(s_a - s_p))`` of an image; 0 where it lacks one side.

    The weight makes every image count alike, however many labels it has. The logits are products of an image's
    direction with word vectors in Fast0Tag. "none" gives [B], "mean" divides by B (our choice). Memory grows with
    B C^2.

    Source: Zhang et al., Fast Zero-Shot Image Tagging (Fast0Tag), CVPR 2016; without code, the formula not compared
    with the paper's text.
    Golden key: fast0tag_ranknet.
    """

    over = "rows"

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        pairs = _pairs(labels)
        sums = torch.where(pairs, softplus(_differences(logits)), 0.0).sum(dim=(1, 2))
        return _reduced(sums / pairs.sum(dim=(1, 2)).clamp(min=1), self.reduction)


class MarginRankingLoss(MultiLabelLoss):
    """``l = sum_P sum_A max(margin + s_a - s_p, 0) / (v + eps)`` of an image, v the number of terms above 0.

    "none" gives [B], "mean" divides by B. Memory grows with B C^2.

    Source: Huynh and Elhamifar, A Shared Multi-Attention Framework (LESA), CVPR 2020, release; Narayan et al.,
    Discriminative Region-Based Multi-Label Zero-Shot Learning (BiAM), ICCV 2021, release, with the same loss.
    Golden key: lesa_biam_ranking_loss.

    Args:
        margin: by which a present class must win, >= 0.
        eps: keeps the division finite, > 0.
    """

    over = "rows"

    def __init__(self, *, margin: float = 1.0, eps: float = 1e-8, reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = check_number("margin", margin)
        self.eps = check_number("eps", eps, strict=True)

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        hinges = torch.where(_pairs(labels), (self.margin + _differences(logits)).clamp(min=0), 0.0)
        violations = (hinges > 0).sum(dim=(1, 2)).to(hinges.dtype)
        return _reduced(hinges.sum(dim=(1, 2)) / (violations + self.eps), self.reduction)


def largest_scores(matrices: Tensor, word_vectors: Tensor) -> Tensor:
    """Scores [B, C] of SDL: the largest product of a class's word vector with the columns of an image's matrix.

    Args:
        matrices: floating-point [B, D, M].
        word_vectors: floating-point [C, D].

    Raises:
        ValueError: shapes that do not fit.
    """
    if matrices.ndim != 3 or word_vectors.ndim != 2 or matrices.shape[1] != word_vectors.shape[1]:
        raise ValueError(
            f"matrices, word_vectors: expected shapes [B, D, M] and [C, D], got {list(matrices.shape)} and "
            f"{list(word_vectors.shape)}"
        )
    # The index of the largest, not amax: amax would share the gradient between equal ones.
    return torch.einsum("bdm,cd->bcm", matrices, word_vectors).max(dim=2).values


class SemanticDiversityLoss(nn.Module):
    """SDL: rank present above absent classes by any of M directions, harder for images whose labels differ much.

    ``r = (1 + v) / |P| sum_P sum_A log(1 + exp(s_a - s_p))`` with s of :func:`largest_scores` and v the variance
    (unbiased, 0 for one class) of the present classes' word vectors, summed over their dimensions. With `weight` w:
    ``l = 2 ((1 - w) r + w u)``, u the variance of the image's M directions, summed likewise; without: ``l = r``.
    An image without absent classes ranks its present ones above 0, as the release does; one without present classes
    has r = 0 (NaN in the release), one with neither only u. Unknown labels count on neither side; the release, whose
    labels are 0 and 1, counts all that are not present as absent.

    Computed with a stable log(1 + exp), where the release overflows. "none" gives [B], "mean" divides by B.

    Source: Ben-Cohen et al., Semantic Diversity Learning for Zero-Shot Multi-Label Classification, ICCV 2021, release
    (the class has weight 0.3, its training script passes 0.01).
    Golden key: sdl_loss.

    Args:
        weight: w, in [0, 1]; None for the ranking alone.
        reduction: "mean", "sum" or "none".
    """

    over = "rows"

    def __init__(self, *, weight: float | None = 0.3, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.weight = None if weight is None else check_number("weight", weight)
        if self.weight is not None and self.weight > 1:
            raise ValueError(f"weight: expected a number in [0, 1], got {weight!r}")
        self.reduction: Reduction = check_option("reduction", reduction, ("mean", "sum", "none"))

    def forward(self, matrices: Tensor, word_vectors: Tensor, labels: Tensor) -> Tensor:
        """Loss of matrices [B, D, M] and word vectors [C, D] against labels [B, C] in {-1, 0, +1}.

        Returns:
            A scalar, or with reduction "none" [B]; float32, or float64 for float64 matrices.

        Raises:
            TypeError, ValueError: see :func:`largest_scores` and :func:`~ltbench.losses.base.check_values`.
        """
        with autocast_off(matrices):
            dtype = compute_dtype(matrices)
            columns, words = matrices.to(dtype), word_vectors.to(dtype)
            scores = largest_scores(columns, words)
            check_values("scores", scores, labels)
            losses = self._ranking(scores, words, labels)
            if self.weight is not None:
                spread = columns.var(dim=2).sum(dim=1) if columns.shape[2] > 1 else columns.new_zeros(len(columns))
                losses = 2 * ((1 - self.weight) * losses + self.weight * spread)
            return _reduced(losses, self.reduction)

    @staticmethod
    def _ranking(scores: Tensor, words: Tensor, labels: Tensor) -> Tensor:
        present, number = labels > 0, (labels > 0).sum(dim=1)
        sums = torch.where(_pairs(labels), softplus(_differences(scores)), 0.0).sum(dim=(1, 2))
        alone = torch.where(present, softplus(-scores), 0.0).sum(dim=1)
        sums = torch.where((labels < 0).any(dim=1), sums, alone)
        return (1 + _diversity(words, present)) * sums / number.clamp(min=1)


def _diversity(words: Tensor, present: Tensor) -> Tensor:
    """Unbiased variance of the present classes' word vectors, summed over dimensions: [B]."""
    member = present.to(words.dtype)
    number = member.sum(dim=1)
    means = member @ words / number.clamp(min=1).unsqueeze(1)
    # |w - m|^2 summed over classes and dimensions, image by image: never a [B, C, D] tensor.
    squares = torch.cdist(means, words, compute_mode="donot_use_mm_for_euclid_dist").square()
    return (member * squares).sum(dim=1) / (number - 1).clamp(min=1)
