"""Learned prompts with a classification loss: what CoOp, CoCoOp and losses on prompts share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from ltbench.losses import AsymmetricLoss, BCELoss
from ltbench.method import Batch, Scan
from ltbench.nn import ConditionalClassifier, PromptClassifier


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


class CoOpModule(nn.Module):
    """Prompts, head and classification loss.

    Args:
        classifier: gives the logits.
        criterion: loss of logits [B, C] and labels [B, C].
        centre: mean logit that the bias is set to give before the first epoch; None leaves the bias alone.
    """

    def __init__(
        self, classifier: PromptClassifier | ConditionalClassifier, criterion: nn.Module, centre: float | None
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.criterion = criterion
        self.centre = centre

    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        """Centre the logits once; later epochs and resumed runs have the bias in their state."""
        if epoch == 0 and self.centre is not None:
            self.classifier.centre(self.centring(scan), self.centre)

    def centring(self, scan: Scan) -> Iterator[Tensor]:
        """Features [n, D] that the mean logit is over: those of all training rows."""
        return (batch.features for batch in scan())

    def logits(self, batch: Batch) -> Tensor:
        """Logits [n, C]."""
        logits: Tensor = self.classifier(batch.features)
        return logits

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The classification loss, mean over known labels (``softmax``: over rows with a present class)."""
        return {"loss_cls": self.criterion(self.logits(batch), batch.observed)}

    def set_classes(self, names: Sequence[str]) -> None:
        """Put the learned context in front of other class names."""
        self.classifier.set_classes(names)
