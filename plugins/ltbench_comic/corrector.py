"""Reflective Label Corrector: confident labels that nobody gave count as present, and class counts follow."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from ltbench.losses import FocalFactors

Average = Literal["batch", "past", "past-present"]
"""Rows whose mean probability a class has to exceed: those of the batch, all rows trained on before, or those of them
in which the class counted as present."""


class Correction(NamedTuple):
    """What the corrector made of a batch.

    Attributes:
        loss: scalar.
        found: bool [B, C], unknown labels that count as present.
    """

    loss: Tensor
    found: Tensor


class ReflectiveLabelCorrector(nn.Module):
    """Unknown labels with ``p > tau`` and ``p > P_c`` become present for this step, in the loss of this module.

    ``p = sigmoid(s)``, of a present label ``sigmoid(s - margin)``. Nothing is remembered from step to step but the
    class counts: they begin each epoch as the observed ones and grow by what is found, the current batch included, and
    the head-tail factors of the loss are made from them. The sum of the multi-focal elements is multiplied by
    ``rows / max(1, n)``.

    Known absent labels are evidence and stay absent. The release has none: it reads every label that is not present as
    one that may be missing, as this module reads unknown ones.

    P_c is the mean over the batch, as in the release, or over past rows, "past trained data with class c" (Eq. 2): all
    rows of all batches before this one, each with the probability that it had then. It is 0 before the first.

    Source: COMIC (Zhang et al., ICCV 2023), section 3.2, Eq. 2 and 3, and its release.
    Golden keys: rlc ("code"), paper_formulas eq2_3_rlc.

    Args:
        class_counts: observed positives int64 [C].
        factors: constants of the elements [the release: exponent 1/6].
        tau: threshold of the probability, in [0, 1].
        margin: what is taken off the logits of present labels, >= 0.
        rows: numerator of the coefficient; None takes the rows of the batch [the release: 32].
        per_corrected: n counts corrected labels, not all present ones after correction.
        average: rows of P_c.
        criterion: a sum in place of the multi-focal elements, of logits and labels in {-1, +1}.
    """

    initial: Tensor
    total: Tensor
    seen: Tensor
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
        average: Average = "batch",
        criterion: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("initial", class_counts.clone())
        self.register_buffer("class_counts", class_counts.clone())
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))
        # Sum of probabilities, and number of rows in it, by class.
        self.register_buffer("total", torch.zeros(len(class_counts), dtype=torch.float64))
        self.register_buffer("seen", torch.zeros(len(class_counts), dtype=torch.int64))
        self.factors = factors
        self.tau = tau
        self.margin = margin
        self.rows = rows
        self.per_corrected = per_corrected
        self.average = average
        # A tuple: the module that owns it has its buffers in the state already.
        self._criterion = (criterion,)

    def start(self, epoch: int) -> None:
        """Begin an epoch, counted from 1: counts are the observed ones again. An earlier epoch changes nothing."""
        if epoch > int(self.epoch):
            self.epoch.fill_(epoch)
            self.class_counts.copy_(self.initial)

    def forward(self, logits: Tensor, labels: Tensor) -> Correction:
        """Correct a batch, count what was found, and give the loss.

        Args:
            logits: [B, C].
            labels: [B, C] in {-1, 0, +1}.
        """
        scores = logits if logits.dtype == torch.float64 else logits.float()
        given = labels > 0
        scores = torch.where(given, scores - self.margin, scores)
        with torch.no_grad():
            p = torch.sigmoid(scores)
            above = p.mean(dim=0) if self.average == "batch" else (self.total / self.seen.clamp(min=1)).to(p)
            found = (labels == 0) & (p > self.tau) & (p > above)
            self.class_counts.add_(found.sum(dim=0))
            counted = given | found if self.average == "past-present" else torch.ones_like(given)
            self.total.add_((p.double() * counted).sum(dim=0))
            self.seen.add_(counted.sum(dim=0))
        present = given | found
        total = self._sum(scores, present)
        number = (found if self.per_corrected else present).sum().clamp(min=1).to(total.dtype)
        return Correction(total * (len(scores) if self.rows is None else self.rows) / number, found)

    def _sum(self, scores: Tensor, present: Tensor) -> Tensor:
        """The classification loss of corrected labels, a sum."""
        (criterion,) = self._criterion
        if criterion is not None:
            loss: Tensor = criterion(scores, torch.where(present, 1, -1))
            return loss
        factor = self.factors.of_classes(self.class_counts, scores.dtype)
        return self.factors.elements(scores, present, factor).sum()
