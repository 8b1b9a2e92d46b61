"""Modules of toy methods that are called when a fit or an epoch starts, and what they keep from then on."""

from __future__ import annotations

import math
import time

import numpy as np
import torch
from torch import Tensor, nn

from engine.toy_modules import Head, features, known_bce
from ltbench.method import Batch, Scan, Stats, Validation


class Rewriter(Head):
    """Keeps labels of its own: an unknown one becomes positive once the head is sure enough of it."""

    labels: Tensor

    def __init__(self, dim: int, classes: int, observed: Tensor, sure: float) -> None:
        super().__init__(dim, classes)
        self.register_buffer("labels", observed.clone())
        self.sure = sure
        self.changed: list[tuple[int, int]] = []

    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        self.changed = []
        if epoch == 0:
            return
        with torch.no_grad():
            for batch in scan():
                found = (self.logits(batch).sigmoid() > self.sure) & (self.labels[batch.rows] == 0)
                for at, column in found.nonzero().tolist():
                    row = int(batch.rows[at])
                    self.labels[row, column] = 1
                    self.changed.append((row, column))

    def decisions(self) -> list[tuple[int, int]]:
        return self.changed

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": known_bce(self.logits(batch), self.labels[batch.rows])}


class PreparedHead(Head):
    """Registers a buffer when the fit starts, scans the training view before each epoch, reports rows as decisions."""

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__(dim, classes)
        self.heard: list[str] = []

    def on_fit_start(self, stats: Stats) -> None:
        self.heard.append("fit")
        # Its size is known here only: a resumed run has to make it again before it can fill it.
        self.register_buffer("prior", torch.from_numpy(np.log((stats.positives + 1.0) / (stats.rows + 1.0))).float())
        self.register_buffer("mean", torch.zeros(self.linear.in_features))

    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        self.heard.append(f"epoch {epoch}")
        assert not self.training
        batches = list(scan())
        self.mean.copy_(torch.cat([features(batch) for batch in batches]).mean(dim=0))
        self.rows = torch.cat([batch.rows for batch in batches])
        self.epoch = epoch

    def logits(self, batch: Batch) -> Tensor:
        answer: Tensor = self.linear(features(batch) - self.mean) + self.prior
        return answer

    def decisions(self) -> list[tuple[int, int]]:
        return [(int(self.rows[self.epoch]), self.epoch)]


class OnPrepared(nn.Module):
    def __init__(self, first: PreparedHead) -> None:
        super().__init__()
        self.first = first
        self.scale = nn.Parameter(torch.ones(()))

    def logits(self, batch: Batch) -> Tensor:
        return self.scale * self.first.logits(batch)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": known_bce(self.logits(batch), batch.observed)}


class WatchfulHead(Head):
    """Predicts with the weights that did best on the validation rows so far."""

    best: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, dim: int, classes: int, validation: Validation) -> None:
        super().__init__(dim, classes)
        self.validation = validation
        self.register_buffer("best", torch.tensor(math.inf))
        self.register_buffer("weight", torch.zeros(classes, dim))
        self.register_buffer("bias", torch.zeros(classes))
        self.looks: list[float] = []

    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        with torch.no_grad():
            losses = [known_bce(self.linear(features(batch)), batch.observed) for batch in self.validation.scan()]
        now = torch.stack(losses).mean()
        self.looks.append(float(now))
        if now < self.best:
            self.best.copy_(now)
            self.weight.copy_(self.linear.weight.detach())
            self.bias.copy_(self.linear.bias.detach())

    def logits(self, batch: Batch) -> Tensor:
        if self.training:
            return super().logits(batch)
        return nn.functional.linear(features(batch), self.weight, self.bias)


class SlowHead(Rewriter):
    """Rewrites labels, draws random numbers, and takes its time."""

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        time.sleep(0.02)
        dropped = nn.functional.dropout(features(batch), 0.3, training=self.training)
        return {"loss": known_bce(self.linear(dropped), self.labels[batch.rows])}
