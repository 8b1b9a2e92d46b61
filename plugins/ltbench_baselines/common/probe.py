"""A linear classifier on frozen features: what probes and losses on frozen features share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from ltbench.losses import BCELoss, MultiLabelLoss
from ltbench.method import Batch, ParamGroup, Scan, Schedule, Stats
from ltbench.nn import Score, answer

Features = Literal["l2", "scaled", "raw"]
WeightStart = Literal["zero", "drawn"]
BiasStart = Literal["log-odds", "zero", "drawn"]


class ProbeModule(nn.Module):
    """``logits = W x / s + b`` on global features x.

    ``l2``: s is the norm of each feature. ``scaled``: s is one number, the root mean square norm of the training
    features, so that neither learning rate nor C depends on the unit of the features. ``raw``: s is 1. The biases start
    at the log-odds of the observed labels, ``ln((n_pos + 1/2) / (n_neg + 1/2))``, the weights at zero, unless they are
    drawn as torch draws those of a linear layer: uniform up to ``1 / sqrt(D)`` to either side. ``chosen_c`` [C] keeps
    the C of each class, 0 where nothing was fitted.

    Args:
        dim: size D of a feature.
        stats: observed counts of the C classes.
        features: ``l2``, ``scaled`` or ``raw``.
        criterion: loss of logits [B, C] and labels [B, C]; None for the binary cross-entropy.
        weight_start, bias_start: see above.
        score: what :meth:`logits` hands in. Training always sees the logits themselves.
    """

    scale: Tensor
    chosen_c: Tensor

    def __init__(
        self,
        dim: int,
        stats: Stats,
        features: Features,
        criterion: MultiLabelLoss | None = None,
        weight_start: WeightStart = "zero",
        bias_start: BiasStart = "log-odds",
        score: Score = "logits",
    ) -> None:
        super().__init__()
        odds = torch.tensor(np.log((stats.positives + 0.5) / (stats.negatives + 0.5)), dtype=torch.float32)
        self.features = features
        self.score = score
        self.weight = nn.Parameter(torch.zeros(len(odds), dim))
        self.bias = nn.Parameter(odds if bias_start == "log-odds" else torch.zeros_like(odds))
        for values, start in ((self.weight, weight_start), (self.bias, bias_start)):
            if start == "drawn":
                nn.init.uniform_(values, -(dim**-0.5), dim**-0.5)
        self.criterion = BCELoss() if criterion is None else criterion
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("chosen_c", torch.zeros(len(odds)))

    def groups(self, lr: float, weight_decay: float, schedule: Schedule) -> list[ParamGroup]:
        """Weights, which decay, and biases, which do not."""
        return [
            ParamGroup([self.weight], lr, weight_decay, schedule, "weights"),
            ParamGroup([self.bias], lr, 0.0, schedule, "biases"),
        ]

    def prepare(self, inputs: Tensor) -> Tensor:
        """Features [n, D] in float32, divided as was asked for."""
        values = inputs.float()
        if self.features == "raw":
            return values
        return normalize(values, dim=1) if self.features == "l2" else values / self.scale

    def measure(self, batches: Iterator[Batch]) -> None:
        """Set ``scale`` from the features of the training view."""
        rows, total = 0, 0.0
        for batch in batches:
            features = batch.features.double()
            rows += len(features)
            total += float(features.square().sum())
        root = (total / max(1, rows)) ** 0.5
        self.scale.fill_(root if root > 0 else 1.0)

    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        """Measure the scale once; later epochs and resumed runs read it from the state."""
        if epoch == 0 and self.features == "scaled":
            self.measure(scan())

    def forward(self, features: Tensor) -> Tensor:
        """Logits [n, C] of global features [n, D]."""
        return linear(self.prepare(features), self.weight, self.bias)

    def logits(self, batch: Batch) -> Tensor:
        """The answer [n, C]: logits, or log p of their softmax over classes."""
        return answer(self(batch.features), self.score)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The classification loss over known labels."""
        return {"loss_cls": self.criterion(self(batch.features), batch.observed)}
