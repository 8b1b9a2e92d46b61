"""Reflective Label Corrector: confident labels that nobody gave count as present, and class counts follow."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ltbench.losses import FocalFactors


class Correction(NamedTuple):
    """What the corrector made of a batch.

    Attributes:
        loss: scalar.
        found: bool [B, C], unknown labels that count as present.
    """

    loss: Tensor
    found: Tensor


class ReflectiveLabelCorrector(nn.Module):
    """Unknown labels with ``p > tau`` and ``p > mean_b p`` become present for this step, in the loss of this module.

    ``p = sigmoid(s)``, of a present label ``sigmoid(s - margin)``. Nothing is remembered from step to step but the
    class counts: they begin each epoch as the observed ones and grow by what is found, the current batch included, and
    the head-tail factors of the loss are made from them. The sum of the multi-focal elements is multiplied by
    ``rows / max(1, n)``.

    Known absent labels are evidence and stay absent. The release has none: it reads every label that is not present as
    one that may be missing, as this module reads unknown ones.

    Source: COMIC (Zhang et al., ICCV 2023), section 3.2, Eq. 2 and 3, and its release.
    Golden keys: rlc ("code"), paper_formulas eq2_3_rlc.

    Args:
        class_counts: observed positives int64 [C].
        factors: constants of the elements [the release: exponent 1/6].
        tau: threshold of the probability, in [0, 1].
        margin: what is taken off the logits of present labels, >= 0.
        rows: numerator of the coefficient; None takes the rows of the batch [the release: 32].
        per_corrected: n counts corrected labels, not all present ones after correction.
    """

    initial: Tensor
    class_counts: Tensor
    epoch: Tensor

    def __init__(
        self,
        class_counts: Tensor,
        factors: FocalFactors,
        *,
        tau: float = 0.7,
        margin: float = 1.0,
        rows: int | None = 32,
        per_corrected: bool = False,
    ) -> None:
        super().__init__()
        self.register_buffer("initial", class_counts.clone())
        self.register_buffer("class_counts", class_counts.clone())
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))
        self.factors = factors
        self.tau = tau
        self.margin = margin
        self.rows = rows
        self.per_corrected = per_corrected

    def start(self, epoch: int) -> None:
        """Begin an epoch, counted from 1: counts are the observed ones again. An earlier epoch changes nothing."""
        if epoch > int(self.epoch):
            self.epoch.fill_(epoch)
            self.class_counts.copy_(self.initial)

    def forward(self, logits: Tensor, labels: Tensor, average: Tensor | None = None) -> Correction:
        """Correct a batch, count what was found, and give the loss.

        Args:
            logits: [B, C].
            labels: [B, C] in {-1, 0, +1}.
            average: probabilities P_c [C] to exceed; None takes the means of the batch.
        """
        scores = logits if logits.dtype == torch.float64 else logits.float()
        given = labels > 0
        scores = torch.where(given, scores - self.margin, scores)
        with torch.no_grad():
            p = torch.sigmoid(scores)
            above = p.mean(dim=0) if average is None else average
            found = (labels == 0) & (p > self.tau) & (p > above)
            self.class_counts.add_(found.sum(dim=0))
        present = given | found
        factor = self.factors.of_classes(self.class_counts, scores.dtype)
        total = self.factors.elements(scores, present, factor).sum()
        number = (found if self.per_corrected else present).sum().clamp(min=1).to(total.dtype)
        return Correction(total * (len(scores) if self.rows is None else self.rows) / number, found)
