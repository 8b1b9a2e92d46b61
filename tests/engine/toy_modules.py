"""What the toy methods train: modules, each for one part of the contract."""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, normalize, softplus

from ltbench.backbones.base import Backbone
from ltbench.method import (
    Batch,
    FitData,
    Scan,
)


def features(batch: Batch) -> Tensor:
    return batch.input[0] if isinstance(batch.input, tuple) else batch.input


def known_bce(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy over +1 and -1; 0 adds nothing to value or gradient."""
    each = binary_cross_entropy_with_logits(logits, (labels > 0).float(), reduction="none")
    return each[labels != 0].sum() / max(1, int((labels != 0).sum()))


class Head(nn.Module):
    """Linear classifier on the global feature."""

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, classes)

    def logits(self, batch: Batch) -> Tensor:
        answer: Tensor = self.linear(features(batch))
        return answer

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": known_bce(self.logits(batch), batch.observed)}


class OnTop(nn.Module):
    """A head on what an earlier module learned; the earlier module is part of this one's state and not trained."""

    def __init__(self, first: nn.Module, width: int, classes: int) -> None:
        super().__init__()
        self.first = first
        self.head = nn.Linear(width, classes)

    def logits(self, batch: Batch) -> Tensor:
        answer: Tensor = self.head(self.first.hidden(batch))
        return answer

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": known_bce(self.logits(batch), batch.observed)}


class Reducer(nn.Module):
    """Learns a low-dimensional code by a classifier that is thrown away."""

    def __init__(self, dim: int, width: int, classes: int) -> None:
        super().__init__()
        self.down = nn.Linear(dim, width)
        self.spare = nn.Linear(width, classes)

    def hidden(self, batch: Batch) -> Tensor:
        answer: Tensor = self.down(features(batch)).tanh()
        return answer

    def logits(self, batch: Batch) -> Tensor:
        answer: Tensor = self.spare(self.hidden(batch))
        return answer

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": known_bce(self.logits(batch), batch.observed)}


class RowWeighted(nn.Module):
    """A linear head whose loss weighs each training row by a learned trust in it."""

    def __init__(self, dim: int, classes: int, rows: int) -> None:
        super().__init__()
        self.head = Head(dim, classes)
        self.trust = nn.Parameter(torch.zeros(rows))

    def logits(self, batch: Batch) -> Tensor:
        return self.head.logits(batch)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        logits = self.logits(batch)
        each = softplus(-logits * batch.observed).mean(dim=1)
        weight = torch.sigmoid(self.trust[batch.rows])
        # Rows that fit badly pay to be trusted; the second term keeps trust from vanishing everywhere.
        return {"loss": (weight * each).mean(), "loss_trust": -0.5 * weight.log().mean()}


class Neighbours(nn.Module):
    """Remembers all training rows; a logit is the mean observed label of the nearest ones."""

    keys: Tensor
    values: Tensor

    def __init__(self, rows: int, dim: int, classes: int, k: int) -> None:
        super().__init__()
        self.k = k
        self.register_buffer("keys", torch.zeros(rows, dim))
        self.register_buffer("values", torch.zeros(rows, classes))

    def fit(self, data: FitData) -> None:
        inputs, observed = data.gather()
        self.keys.copy_(normalize(inputs, dim=1))
        self.values.copy_(observed.float())

    def logits(self, batch: Batch) -> Tensor:
        near = (normalize(features(batch), dim=1) @ self.keys.T).topk(self.k, dim=1).indices
        return self.values[near].mean(dim=1)


def name_vector(name: str, dim: int) -> Tensor:
    """A fixed direction for a name, the same in every process; stands in for a text tower."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    return normalize(torch.randn(dim, generator=generator), dim=0)


class ByName(nn.Module):
    """Compares a learned projection of the feature with a vector of each class name."""

    classes: Tensor

    def __init__(self, dim: int, names: Sequence[str]) -> None:
        super().__init__()
        self.dim = dim
        self.project = nn.Linear(dim, dim)
        self.scale = nn.Parameter(torch.tensor(3.0))
        self.register_buffer("classes", torch.zeros(0), persistent=False)
        self.set_classes(names)

    def set_classes(self, names: Sequence[str]) -> None:
        self.classes = torch.stack([name_vector(name, self.dim) for name in names]).to(self.scale.device)

    def logits(self, batch: Batch) -> Tensor:
        return self.scale * self.project(features(batch)) @ self.classes.T

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": known_bce(self.logits(batch), batch.observed)}


class Exploding(Head):
    """Adds a term that is infinite from a given step on."""

    step: Tensor

    def __init__(self, dim: int, classes: int, at: int, how: str) -> None:
        super().__init__(dim, classes)
        self.at, self.how = at, how
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        self.step += 1
        value = known_bce(self.logits(batch), batch.observed)
        if int(self.step) < self.at:
            return {"loss": value}
        if self.how == "gradient":
            # The square root is 0 with an infinite slope: the loss stays finite, the parameters do not.
            return {"loss": value + (self.linear.weight - self.linear.weight.detach()).square().sum().sqrt()}
        return {"loss": value, "loss_big": value * math.inf}


class Memory(Head):
    """Pulls each row towards what it held of it; decides on labels that it held likely before."""

    held: Tensor

    def __init__(self, dim: int, classes: int, rows: int) -> None:
        super().__init__(dim, classes)
        self.register_buffer("held", torch.zeros(rows, classes))
        self.found: list[tuple[int, int]] = []

    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        self.found = []

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        shares = self.logits(batch).sigmoid()
        pull = (shares - self.held[batch.rows]).square().mean()
        self.held[batch.rows] = 0.5 * (self.held[batch.rows] + shares.detach())
        for at, column in (self.held[batch.rows] > 0.5).nonzero().tolist():
            self.found.append((int(batch.rows[at]), column))
        errors = (shares - (batch.observed > 0).float()).square().mean()
        return {"loss": errors, "loss_pull": pull}

    def decisions(self) -> list[tuple[int, int]]:
        return self.found


class Reader(Head):
    """Learns one bias a class from how often captions name it; keeps what it was given last."""

    named: Tensor

    def __init__(self, dim: int, names: Sequence[str]) -> None:
        super().__init__(dim, len(names))
        self.names = tuple(names)
        self.register_buffer("named", torch.zeros(len(names)))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.captions is not None
        mentioned = torch.tensor([[float(name in text) for name in self.names] for text in batch.captions])
        self.named += mentioned.sum(dim=0)
        return {"loss": known_bce(self.logits(batch), 2 * mentioned - 1)}


class NormalisedHead(Head):
    """Batch statistics before the classifier; keeps, outside its state, those that each step began with."""

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__(dim, classes)
        self.norm = nn.BatchNorm1d(dim)
        self.seen: list[Tensor] = []

    def logits(self, batch: Batch) -> Tensor:
        answer: Tensor = self.linear(self.norm(features(batch)))
        return answer

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        assert self.norm.running_mean is not None
        self.seen.append(self.norm.running_mean.clone())
        return super().loss(batch)


class NoisyHead(Head):
    """Draws from every global source of randomness in every step."""

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        noise = torch.randn(()) + float(np.random.rand()) + random.random()
        dropped = nn.functional.dropout(features(batch), 0.5, training=self.training)
        return {"loss": known_bce(self.linear(dropped), batch.observed) * (1 + 0.1 * noise)}


class TowerHead(Head):
    """A linear head on features that the image tower computes as it trains."""

    def __init__(self, backbone: Backbone, classes: int) -> None:
        super().__init__(backbone.card.dim, classes)
        self.tower = backbone.visual
        self.encode = backbone.encode_global

    def logits(self, batch: Batch) -> Tensor:
        answer: Tensor = self.linear(self.encode(batch.input))
        return answer
