"""Learned prompts with a classification loss: what CoOp, CoCoOp and losses on prompts share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ltbench.losses import AsymmetricLoss, BCELoss
from ltbench.method import Batch, Prompted
from ltbench.nn import ConditionalClassifier, PromptClassifier, Score


class MultiLabelSoftmaxLoss(nn.Module):
    """Cross-entropy of the softmax over known classes with a target that spreads its mass over the present ones.

    ``l = -(1 / |P|) sum_{p in P} log (exp s_p / sum_{k known} exp s_k)``, mean over rows with a present class; CoOp's
    Eq. 2 when there is exactly one. Unknown labels are in neither sum.
    """

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of logits [B, C] against labels [B, C] in {-1, 0, +1}; 0 when no row has a present class."""
        present = labels > 0
        usable = present.any(dim=1)
        floor = torch.finfo(torch.float32).min / 8
        known = torch.where(labels == 0, floor, logits.float())[usable]
        target = present[usable].float()
        log_shares = torch.log_softmax(known, dim=1)
        elements = torch.where(target > 0, log_shares, 0.0) * target / target.sum(dim=1, keepdim=True)
        return -elements.sum() / max(1, len(elements))


LOSSES: dict[str, Callable[[], nn.Module]] = {"bce": BCELoss, "asl": AsymmetricLoss, "softmax": MultiLabelSoftmaxLoss}
"""Classification losses of learned prompts by name."""


class CoOpModule(Prompted):
    """Prompts, head and classification loss.

    Args:
        classifier: gives the logits.
        criterion: loss of logits [B, C] and labels [B, C].
        centre, score: see :class:`~ltbench.method.Prompted`.
    """

    def __init__(
        self,
        classifier: PromptClassifier | ConditionalClassifier,
        criterion: nn.Module,
        centre: float | None,
        score: Score = "logits",
    ) -> None:
        super().__init__(classifier, centre, score)
        self.criterion = criterion

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The classification loss, mean over known labels (``softmax``: over rows with a present class)."""
        return {"loss_cls": self.criterion(self.classifier(self.features(batch)), batch.observed)}
