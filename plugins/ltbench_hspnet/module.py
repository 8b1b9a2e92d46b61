"""What is trained: label features, with or without the image tower, on the objective of SPLC or of LargeLoss."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ltbench.backbones.base import Backbone
from ltbench.losses import LargeLoss, SPLCLoss
from ltbench.method import Batch, FineTuned, Scan
from ltbench_hspnet.labels import LabelHead

BatchNormUse = Literal["eval", "train", "from-second"]


class Objective(nn.Module):
    """A loss summed over rows and classes, and the labels that SPLC's rewrites.

    LargeLoss decides anew in each batch, so that nothing of it counts as a decision of the run.

    Source: HSPNet section 3.3; its release takes SPLC's loss with its defaults.

    Args:
        criterion: gives the loss of each entry.
        unknown: ``assume``: unknown labels are absent until they are rewritten; ``ignore``: they are left out.
        rows, classes: size of the training labels.
    """

    rewritten: Tensor

    def __init__(
        self, criterion: SPLCLoss | LargeLoss, unknown: Literal["assume", "ignore"], rows: int, classes: int
    ) -> None:
        super().__init__()
        if criterion.reduction != "none":
            raise ValueError(f"expected a loss of each entry, not its {criterion.reduction}")
        self.criterion = criterion
        self.term = "loss_large" if isinstance(criterion, LargeLoss) else "loss_splc"
        self.unknown = unknown
        self.register_buffer("rewritten", torch.zeros(rows, classes, dtype=torch.bool))
        self.found: list[tuple[int, int]] = []

    def start(self, epoch: int) -> None:
        """An epoch begins; after a resumed run as well."""
        self.criterion.set_epoch(epoch)
        self.found = []

    def forward(self, logits: Tensor, batch: Batch) -> Tensor:
        """Sum over the entries of a batch; notes which labels are taken for present for the first time."""
        elements: Tensor = self.criterion(logits, batch.observed)
        if self.unknown == "ignore":
            return torch.where(batch.observed == 0, 0.0, elements).sum()
        if isinstance(self.criterion, LargeLoss):
            return elements.sum()
        new = self.criterion.corrections(logits, batch.observed) & ~self.rewritten[batch.rows]
        for at, column in new.nonzero().tolist():
            self.found.append((int(batch.rows[at]), column))
        self.rewritten[batch.rows] |= new
        return elements.sum()


class HSPNetModule(FineTuned):
    """Image tower, label features and objective.

    Args:
        backbone, freeze: see :class:`~ltbench.method.FineTuned`.
        head: logits of global features.
        objective: the loss.
        batch_norm: ``from-second``: ``eval`` in the first epoch, ``train`` after it.
    """

    head: LabelHead
    criterion: Objective

    def __init__(
        self,
        backbone: Backbone,
        head: LabelHead,
        objective: Objective,
        batch_norm: BatchNormUse = "eval",
        freeze: tuple[str, ...] = (),
    ) -> None:
        super().__init__(backbone, head, objective, "train" if batch_norm == "train" else "eval", freeze)
        self._from_second = batch_norm == "from-second"

    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        """Tell the objective; the mode of batch normalisation is set by the call of `train` that follows."""
        self.criterion.start(epoch)
        if self._from_second:
            self.batch_norm = "eval" if epoch == 0 else "train"

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The objective."""
        return {self.criterion.term: self.criterion(self.logits(batch), batch)}

    def decisions(self) -> list[tuple[int, int]]:
        """Labels that were taken for present in this epoch and never before."""
        return self.criterion.found


class FrozenModule(nn.Module):
    """Label features and objective on features of a frozen image tower.

    Args:
        head: logits of global features.
        objective: the loss.
    """

    def __init__(self, head: LabelHead, objective: Objective) -> None:
        super().__init__()
        self.head = head
        self.criterion = objective

    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        """Tell the objective."""
        self.criterion.start(epoch)

    def logits(self, batch: Batch) -> Tensor:
        """Logits [n, C] of global features [n, D]."""
        logits: Tensor = self.head(batch.features)
        return logits

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The objective."""
        return {self.criterion.term: self.criterion(self.logits(batch), batch)}

    def decisions(self) -> list[tuple[int, int]]:
        """Labels that were taken for present in this epoch and never before."""
        return self.criterion.found
