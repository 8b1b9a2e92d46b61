"""Toy methods: each is a real method that proves one part of the contract, small enough to check by hand."""

from __future__ import annotations

import math
import random
import time
import zlib
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, normalize, softplus

from ltbench.method import (
    Augment,
    Batch,
    Context,
    FitData,
    FitStage,
    GradientStage,
    Method,
    MethodConfig,
    Needs,
    ParamGroup,
    Scan,
    Schedule,
    Stage,
    Stats,
)


def features(batch: Batch) -> Tensor:
    return batch.input[0] if isinstance(batch.input, tuple) else batch.input


def known_bce(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy over +1 and -1; 0 adds nothing to value or gradient."""
    each = binary_cross_entropy_with_logits(logits, (labels > 0).float(), reduction="none")
    return each[labels != 0].sum() / max(1, int((labels != 0).sum()))


class Epochs(MethodConfig):
    epochs: int = 3
    batch_size: int = 16
    lr: float = 0.3


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


class Plain(Method):
    """One stage, one linear head: what the other toys differ from."""

    class Config(Epochs):
        unknown: Literal["ignore", "assume-negative", "own"] | None = None

    config: Config

    def needs(self) -> Needs:
        return Needs(unknown=self.config.unknown)

    def module(self, context: Context) -> nn.Module:
        return Head(context.backbone.card.dim, len(context.class_names))

    def stage(self, context: Context, module: nn.Module, **rest: Any) -> GradientStage:
        groups = [ParamGroup(list(module.parameters()), self.config.lr)]
        return GradientStage(
            "train", module, groups, epochs=self.config.epochs, batch_size=self.config.batch_size, **rest
        )

    def stages(self, context: Context) -> Sequence[Stage]:
        return [self.stage(context, self.module(context))]


class _OnTop(nn.Module):
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


class _Reducer(nn.Module):
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


class TwoStages(Method):
    """The second stage uses the module that the first one trained."""

    Config = Epochs
    config: Epochs

    def needs(self) -> Needs:
        return Needs()

    def stages(self, context: Context) -> Sequence[Stage]:
        dim, classes = context.backbone.card.dim, len(context.class_names)
        first = _Reducer(dim, 8, classes)
        second = _OnTop(first, 8, classes)
        rest: dict[str, Any] = {"epochs": self.config.epochs, "batch_size": self.config.batch_size}
        return [
            GradientStage("reduce", first, [ParamGroup(list(first.parameters()), 0.3)], **rest),
            GradientStage("classify", second, [ParamGroup(list(second.head.parameters()), 0.3)], **rest),
        ]


class _RowWeighted(nn.Module):
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


class PerRow(Plain):
    """One learnable number a training row, indexed by ``batch.rows``."""

    def module(self, context: Context) -> nn.Module:
        return _RowWeighted(context.backbone.card.dim, len(context.class_names), context.stats.rows)


class _Rewriter(Head):
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


class LabelRewriting(Plain):
    """Rewrites labels into a buffer of its own and reports what it rewrote."""

    def needs(self) -> Needs:
        return Needs(unknown="own")

    def module(self, context: Context) -> nn.Module:
        return _Rewriter(context.backbone.card.dim, len(context.class_names), context.observed, sure=0.8)


class ClassAwareSampler:
    """Goes round the classes; each class walks through its own rows, going on where the last epoch stopped."""

    def __init__(self, observed: Tensor, length: int) -> None:
        self._members = [np.flatnonzero(column == 1) for column in observed.numpy().T]
        self._cursors = [0] * len(self._members)
        self._length = length

    def epoch(self, epoch: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        rows = []
        for number in range(self._length):
            column = number % len(self._members)
            members = self._members[column]
            rows.append(members[self._cursors[column] % len(members)])
            self._cursors[column] += 1
        return rng.permutation(np.array(rows, dtype=np.int64))

    def state_dict(self) -> dict[str, Any]:
        return {"cursors": self._cursors}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._cursors = list(state["cursors"])


class ClassAware(Plain):
    """A sampler with a state, made from the observed labels."""

    def stages(self, context: Context) -> Sequence[Stage]:
        return [self.stage(context, self.module(context), sampler=ClassAwareSampler(context.observed, 37))]


class GrowingSampler:
    """Epochs of different lengths, as curricula have them."""

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def epoch(self, epoch: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        return rng.permutation(self._rows)[: 10 + 12 * epoch]


class Growing(Plain):
    """Epochs of different lengths under a schedule that goes by the step."""

    def stages(self, context: Context) -> Sequence[Stage]:
        module = self.module(context)
        groups = [ParamGroup(list(module.parameters()), 0.3, schedule=Schedule("cosine"))]
        sampler = GrowingSampler(context.stats.rows)
        return [GradientStage("train", module, groups, epochs=self.config.epochs, batch_size=5, sampler=sampler)]


class _Neighbours(nn.Module):
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


class Nearest(Method):
    """Learns without gradients."""

    class Config(MethodConfig):
        k: int = 5

    config: Config

    def needs(self) -> Needs:
        return Needs()

    def stages(self, context: Context) -> Sequence[Stage]:
        card = context.backbone.card
        module = _Neighbours(context.stats.rows, card.dim, len(context.class_names), self.config.k)
        return [FitStage("remember", module, module.fit)]


def name_vector(name: str, dim: int) -> Tensor:
    """A fixed direction for a name, the same in every process; stands in for a text tower."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    return normalize(torch.randn(dim, generator=generator), dim=0)


class _ByName(nn.Module):
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


class OpenNames(Plain):
    """Answers for class names that it first hears when it predicts."""

    def needs(self) -> Needs:
        return Needs(classes="open")

    def module(self, context: Context) -> nn.Module:
        return _ByName(context.backbone.card.dim, context.class_names)


class Grouped(Plain):
    """Two parameter groups with schedules of their own, a moving average, a limit on the gradient norm, momentum."""

    def stages(self, context: Context) -> Sequence[Stage]:
        module = Head(context.backbone.card.dim, len(context.class_names))
        warm = Schedule("cosine", warmup_steps=3)
        steps = Schedule("multistep", milestones=(1, 2), gamma=0.5)
        groups = [
            ParamGroup([module.linear.weight], 0.5, weight_decay=1e-3, schedule=warm, name="weight"),
            ParamGroup([module.linear.bias], 0.1, schedule=steps, name="bias"),
        ]
        return [
            GradientStage(
                "train", module, groups, epochs=self.config.epochs, batch_size=self.config.batch_size,
                ema=0.9, clip_norm=0.2,
            )
        ]  # fmt: skip


class _Exploding(Head):
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


class Diverging(Plain):
    """Its loss (or only its gradient) stops being finite at a known step."""

    class Config(Plain.Config):
        at: int = 5
        how: Literal["loss", "gradient"] = "loss"

    config: Config

    def module(self, context: Context) -> nn.Module:
        return _Exploding(context.backbone.card.dim, len(context.class_names), self.config.at, self.config.how)


class _Reader(Head):
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


class Captioned(Plain):
    """Learns from captions alone."""

    def needs(self) -> Needs:
        return Needs(captions=True)

    def module(self, context: Context) -> nn.Module:
        return _Reader(context.backbone.card.dim, context.class_names)


class _Prepared(Head):
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


class Prepared(Plain):
    """All optional hooks at once; a second stage follows, so that a resumed run skips the first one's training."""

    def stages(self, context: Context) -> Sequence[Stage]:
        first = _Prepared(context.backbone.card.dim, len(context.class_names))
        second = _OnPrepared(first)
        groups = [ParamGroup([second.scale], 0.1)]
        rest: dict[str, Any] = {"epochs": self.config.epochs, "batch_size": self.config.batch_size}
        return [
            GradientStage("prepare", first, [ParamGroup(list(first.parameters()), self.config.lr)], **rest),
            GradientStage("scale", second, groups, **rest),
        ]


class _OnPrepared(nn.Module):
    def __init__(self, first: _Prepared) -> None:
        super().__init__()
        self.first = first
        self.scale = nn.Parameter(torch.ones(()))

    def logits(self, batch: Batch) -> Tensor:
        return self.scale * self.first.logits(batch)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": known_bce(self.logits(batch), batch.observed)}


class _Noisy(Head):
    """Draws from every global source of randomness in every step."""

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        noise = torch.randn(()) + float(np.random.rand()) + random.random()
        dropped = nn.functional.dropout(features(batch), 0.5, training=self.training)
        return {"loss": known_bce(self.linear(dropped), batch.observed) * (1 + 0.1 * noise)}


class Noisy(Plain):
    """Uses all the randomness there is, and two views of each image."""

    def module(self, context: Context) -> nn.Module:
        return _Noisy(context.backbone.card.dim, len(context.class_names))

    def stages(self, context: Context) -> Sequence[Stage]:
        return [self.stage(context, self.module(context), augment=Augment("flip"), optimizer="adam")]


ALL: dict[str, type[Method]] = {
    "plain": Plain,
    "two-stages": TwoStages,
    "per-row": PerRow,
    "rewriting": LabelRewriting,
    "class-aware": ClassAware,
    "growing": Growing,
    "nearest": Nearest,
    "open-names": OpenNames,
    "grouped": Grouped,
    "captioned": Captioned,
    "prepared": Prepared,
    "noisy": Noisy,
}
"""Toys that finish; ``Diverging`` does not."""


class _Slow(_Rewriter):
    """Rewrites labels, draws random numbers, and takes its time."""

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        time.sleep(0.02)
        dropped = nn.functional.dropout(features(batch), 0.3, training=self.training)
        return {"loss": known_bce(self.linear(dropped), self.labels[batch.rows])}


class Slow(Plain):
    """Two slow stages with everything that a resumed run can lose: sampler state, averages, momentum, own labels."""

    class Config(Plain.Config):
        epochs: int = 6

    config: Config

    def needs(self) -> Needs:
        return Needs(unknown="own")

    def stages(self, context: Context) -> Sequence[Stage]:
        dim, classes = context.backbone.card.dim, len(context.class_names)
        stages = []
        for name in ("first", "second"):
            hidden = context.observed * (torch.arange(len(context.observed)) % 2)[:, None].to(torch.int8)
            module = _Slow(dim, classes, hidden, sure=0.55)
            groups = [ParamGroup(list(module.linear.parameters()), 0.05, schedule=Schedule("cosine"))]
            sampler = ClassAwareSampler(context.observed, 24)
            stages.append(
                GradientStage(
                    name, module, groups, epochs=self.config.epochs, batch_size=8, optimizer="adamw",
                    sampler=sampler, ema=0.9, augment=Augment("flip"),
                )
            )  # fmt: skip
        return stages
