"""What the weak view of an image teaches its strong view."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

_LEAST = 1e-8
"""Least probability that a logarithm is taken of, as in the release."""


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """``-t log p - (1 - t) log(1 - p)`` [n, C] with p = sigmoid(logits), each logarithm bounded at that of 1e-8."""
    least = torch.tensor(_LEAST, dtype=logits.dtype, device=logits.device).log()
    present, absent = logsigmoid(logits), logsigmoid(-logits)
    return -targets * present.maximum(least) - (1 - targets) * absent.maximum(least)


class Teaching(nn.Module):
    """Pseudo-labels of the weak view and how the prior would correct them, as two targets of the strong view.

    A class's threshold is ``cutoff a_c / (2 - a_c)``; ``a_c`` is the share of pseudo-labels that the class has had so
    far, against the largest class or against the labels that were not given yet, whichever is more, and 1 / C at least:
    classes that are learned late are asked for less. Of an image's k most probable classes those above their threshold
    are present, as are its observed ones. An image none of whose k classes reaches its threshold is left out.

    ``loss = sum_i m_i sum_c [ce(s_ic, y_ic) + weight ce(s_ic, sum_j P_cj p_ij)]``, s the strong view's logits, p the
    weak view's probabilities and y the pseudo-labels, both without gradient.

    Source: Ding et al., Exploring Structured Semantic Prior for Multi Label Recognition with Incomplete Labels, CVPR
    2023 (prior-enhanced self-supervised learning), as its release computes it; thresholds after FlexMatch (Zhang et
    al., NeurIPS 2021).

    Args:
        rows: number of training rows N.
        transition: P [C, C], rows of sum 1.
        top_k: k.
        cutoff: highest threshold.
        weight: of the second target.
    """

    transition: Tensor
    given: Tensor
    ever: Tensor

    def __init__(self, rows: int, transition: Tensor, top_k: int, cutoff: float, weight: float) -> None:
        super().__init__()
        classes = len(transition)
        self.register_buffer("transition", transition)
        self.register_buffer("given", torch.zeros(rows, classes, dtype=torch.bool))
        self.register_buffer("ever", torch.zeros(rows, classes, dtype=torch.bool))
        self.top_k = min(top_k, classes)
        self.cutoff = cutoff
        self.weight = weight

    def thresholds(self) -> Tensor:
        """Probability from which a class is present, [C]."""
        rows, classes = self.given.shape
        counts = self.given.sum(dim=0).float()
        most = torch.maximum(counts.max(), self.top_k * rows - counts.sum()).clamp(min=1)
        share = (counts / most).clamp(min=1.0 / classes)
        return self.cutoff * share / (2.0 - share)

    @torch.no_grad()
    def pseudo_labels(self, weak: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Present classes bool [n, C], and which images are taught bool [n], by the weak view's logits [n, C]."""
        probability = torch.sigmoid(weak)
        sure = probability >= self.thresholds()
        first = torch.zeros_like(sure).scatter_(1, probability.topk(self.top_k, dim=1).indices, True)
        return (sure & first) | (observed > 0), (sure & first).any(dim=1)

    def forward(self, strong: Tensor, weak: Tensor, observed: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and which labels are given for the first time, bool [n, C].

        Args:
            strong, weak: logits [n, C] of both views.
            observed: int8 [n, C]; known absent labels stay absent.
            rows: int64 [n], row numbers.
        """
        weak = weak.detach()
        present, taught = self.pseudo_labels(weak, observed)
        present &= observed >= 0
        corrected = torch.sigmoid(weak) @ self.transition.T
        terms = cross_entropy(strong, present.float()) + self.weight * cross_entropy(strong, corrected)
        with torch.no_grad():
            new = present & (observed == 0) & ~self.ever[rows]
            self.ever[rows] |= new
            has = present.any(dim=1)
            self.given[rows[has]] = present[has]
        return (terms * taught[:, None]).sum(), new
