"""What SCPNet trains: a loss on the observed labels, and what the weak view teaches the strong one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ltbench.backbones.base import Backbone
from ltbench.losses import SPLCLoss
from ltbench.method import Batch, FineTuned, Scan
from ltbench_scpnet.prior import ClassHead
from ltbench_scpnet.teaching import Teaching

BatchNormUse = Literal["eval", "train", "from-second"]


class SCPNetModule(FineTuned):
    """``loss_splc`` of the first view, and ``loss_taught``: two further views, of which the weak teaches the strong.

    Args:
        backbone, freeze, tower: see :class:`~ltbench.method.FineTuned`.
        head: logits of global features.
        criterion: SPLC's loss, summed.
        teaching: see there.
        taught_weight: factor of ``loss_taught``.
        batch_norm: ``from-second``: ``eval`` in the first epoch, ``train`` after it.
    """

    criterion: SPLCLoss

    def __init__(
        self,
        backbone: Backbone,
        head: ClassHead,
        criterion: SPLCLoss,
        teaching: Teaching,
        taught_weight: float,
        batch_norm: BatchNormUse = "eval",
        freeze: Sequence[str] = (),
        tower: Literal["trained", "frozen"] = "trained",
    ) -> None:
        super().__init__(backbone, head, criterion, "train" if batch_norm == "train" else "eval", freeze, tower)
        self.teaching = teaching
        self.taught_weight = taught_weight
        self.found: list[tuple[int, int]] = []
        self._from_second = batch_norm == "from-second"

    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        """Tell the loss; the mode of batch normalisation is set by the call of `train` that follows."""
        self.criterion.set_epoch(epoch)
        self.found = []
        if self._from_second:
            self.batch_norm = "eval" if epoch == 0 else "train"

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Both terms; notes which labels the weak view gave for the first time."""
        # All three views at once, as in the release: batch normalisation has the statistics of all of them.
        views = torch.cat([each.features for each in (batch, batch.view(0), batch.view(1))])
        together = Batch(batch.rows.repeat(3), views, batch.observed.repeat(3, 1))
        first, weak, strong = self.logits(together).chunk(3)
        taught, new = self.teaching(strong, weak, batch.observed, batch.rows)
        self.found.extend((int(batch.rows[at]), column) for at, column in new.nonzero().tolist())
        return {
            "loss_splc": self.criterion(first, batch.observed),
            "loss_taught": self.taught_weight * taught,
        }

    def decisions(self) -> list[tuple[int, int]]:
        """Labels that the weak view gave in this epoch and never before."""
        return self.found
