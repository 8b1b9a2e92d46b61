"""Objectives that may remember the training rows, and the module that hands them the logits."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ltbench.losses import EpochLoss
from ltbench.method import Batch, FineTuned, Scan
from ltbench_baselines.common.probe import ProbeModule
from ltbench_baselines.common.prompts import CoOpModule

Predict = Callable[[], tuple[Tensor, Tensor]]
"""Probabilities and observed labels [N, C] of all training rows, in row order."""


class Objective(nn.Module):
    """A loss of logits [B, C] and the observed labels of a batch.

    Args:
        criterion: called with logits and labels.
    """

    def __init__(self, criterion: nn.Module) -> None:
        super().__init__()
        self.criterion = criterion

    def start_epoch(self, epoch: int, predict: Predict) -> None:
        """Tell the loss how many epochs are finished; called at each start, also after a resumed run."""
        if isinstance(self.criterion, EpochLoss):
            self.criterion.set_epoch(epoch)

    def forward(self, logits: Tensor, batch: Batch) -> Tensor:
        """Scalar loss; rows of a batch are those of the training view."""
        loss: Tensor = self.criterion(logits, batch.observed)
        return loss

    def decisions(self) -> list[tuple[int, int]]:
        """(row, class) of the labels that were rewritten for good in the running epoch."""
        return []


Scores = FineTuned | ProbeModule | CoOpModule
"""What gives the logits. Its own loss is not asked."""


class ObjectiveModule(nn.Module):
    """Logits of `scores`, and the loss of an objective that may remember the training rows."""

    def __init__(self, scores: Scores, objective: Objective) -> None:
        super().__init__()
        self.scores = scores
        self.objective = objective

    @torch.no_grad()
    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        """Prepare the logits before the first epoch, then the objective."""
        if not isinstance(self.scores, FineTuned):
            self.scores.on_epoch_start(epoch, scan)

        def predict() -> tuple[Tensor, Tensor]:
            parts = [(self.learned(batch).sigmoid(), batch.observed) for batch in scan()]
            return torch.cat([p for p, _ in parts]), torch.cat([y for _, y in parts])

        self.objective.start_epoch(epoch, predict)

    def learned(self, batch: Batch) -> Tensor:
        """Logits float32 [n, C] that the objective sees, whatever is answered."""
        return self.scores.logits(batch)

    def logits(self, batch: Batch) -> Tensor:
        """The answer float32 [n, C], here those logits."""
        return self.learned(batch)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The objective."""
        return {"loss_cls": self.objective(self.learned(batch), batch)}

    def decisions(self) -> list[tuple[int, int]]:
        """Labels that were rewritten for good in the running epoch."""
        return self.objective.decisions()
