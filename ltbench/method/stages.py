"""Stages: the pieces a method is trained in. A stage is data; the engine runs it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ltbench.data.progress import SILENT, Reporter
from ltbench.method.batch import Batch, Scan, Stats

Parallel = Literal["rows", "none"]
BatchReduction = Literal["rows", "known", "labelled", "sum"]


@runtime_checkable
class Trainable(Protocol):
    """A module of a gradient stage. What it may have besides is in :class:`StageHooks`."""

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Named scalar terms; the engine minimises the sum of those whose name starts with ``loss``."""
        ...

    def logits(self, batch: Batch) -> Tensor:
        """Logits float [n, C]."""
        ...


class StageHooks(Protocol):
    """What a module of a stage may have and need not; each is looked for by its name."""

    def on_fit_start(self, stats: Stats) -> None:
        """Before a stage trains or fits, and before its state is filled in when a run is resumed or predicts: make
        buffers whose size is known only now."""
        ...

    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        """Before each epoch of a gradient stage, counted from 0; ``scan`` iterates over the training view in row order,
        in evaluation mode."""
        ...

    def set_classes(self, names: Sequence[str]) -> None:
        """Open class sets: answer for these names from now on."""
        ...

    def decisions(self) -> list[tuple[int, int]]:
        """After each epoch of a gradient stage: (row, class) of labels that the module decided on in it."""
        ...


@dataclass(frozen=True)
class Schedule:
    """Learning-rate factor as a function of the step alone, so that a resumed run needs no scheduler state.

    Attributes:
        kind: ``constant``; ``cosine`` (to ``floor``); ``multistep`` (times ``gamma`` at each milestone);
            ``onecycle`` (cosine from 1/``div`` up to 1 at ``peak`` of the steps, then to 1/(``div`` * ``final_div``)).
        milestones: epochs at which ``multistep`` decays.
        warmup_steps: linear warm-up from ``warmup_start``; it multiplies the factor of the kind.
        per: ``step`` evaluates cosine every step, ``epoch`` at the start of each epoch.
        hold_epochs: epochs at the factor ``hold`` before all else, which then counts its steps from their end but is
            as long as if there were none, and so is cut off before its own last epochs (CoOp's constant warm-up).
        momenta: (highest, lowest) momentum, ``onecycle`` only: it falls while the rate rises and rises while that
            falls, in place of the stage's first beta or, with ``sgd``, its momentum; ``None`` leaves those alone.
        horizon: epochs that ``cosine`` and ``onecycle`` are laid out for, where training stops before their end (SPLC
            stops after 31 of 80); ``None`` takes those trained.

    Raises:
        ValueError: momenta with another kind than ``onecycle``, or outside [0, 1); a horizon below 1.
    """

    kind: Literal["constant", "cosine", "multistep", "onecycle"] = "constant"
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    floor: float = 0.0
    warmup_steps: int = 0
    warmup_start: float = 1.0 / 3.0
    peak: float = 0.3
    div: float = 25.0
    final_div: float = 1e4
    per: Literal["step", "epoch"] = "step"
    hold_epochs: int = 0
    hold: float = 1.0
    momenta: tuple[float, float] | None = None
    horizon: int | None = None

    def __post_init__(self) -> None:
        if self.horizon is not None and self.horizon < 1:
            raise ValueError(f"a horizon is at least one epoch, not {self.horizon}")
        if self.momenta is not None and (self.kind != "onecycle" or not all(0 <= m < 1 for m in self.momenta)):
            raise ValueError(f"momenta are two numbers in [0, 1) of onecycle, not {self.momenta} of {self.kind}")

    def momentum(self, step: int, steps_per_epoch: int, epochs: int) -> float | None:
        """Momentum at ``step``, counted as in :meth:`factor`; ``None`` is the stage's own."""
        if self.momenta is None:
            return None
        highest, lowest = self.momenta
        hold = self.hold_epochs * steps_per_epoch
        if step < hold:
            return highest
        step -= hold
        at = step if self.per == "step" else (step // max(1, steps_per_epoch)) * steps_per_epoch
        return self._cycle(at, self._total(steps_per_epoch, epochs), highest, lowest, highest)

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Multiplier of the base learning rate at ``step`` (0-based, counted over the whole stage)."""
        total = self._total(steps_per_epoch, epochs)
        if step < self.hold_epochs * steps_per_epoch:
            return self.hold
        step -= self.hold_epochs * steps_per_epoch
        at = step if self.per == "step" else (step // max(1, steps_per_epoch)) * steps_per_epoch
        if self.kind == "cosine":
            base = self.floor + (1.0 - self.floor) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, at / total)))
        elif self.kind == "multistep":
            epoch = step // max(1, steps_per_epoch)
            base = self.gamma ** sum(epoch >= milestone for milestone in self.milestones)
        elif self.kind == "onecycle":
            base = self._cycle(at, total, 1.0 / self.div, 1.0, 1.0 / (self.div * self.final_div))
        else:
            base = 1.0
        if step < self.warmup_steps:
            base *= self.warmup_start + (1.0 - self.warmup_start) * step / self.warmup_steps
        return base

    def _total(self, steps_per_epoch: int, epochs: int) -> int:
        return max(1, steps_per_epoch * (epochs if self.horizon is None else self.horizon))

    def _cycle(self, step: int, total: int, first: float, middle: float, last: float) -> float:
        def anneal(start: float, end: float, share: float) -> float:
            return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * share))

        top = self.peak * total - 1.0
        if step <= top:
            return anneal(first, middle, step / max(top, 1e-12))
        return anneal(middle, last, min(1.0, (step - top) / max(total - 1.0 - top, 1e-12)))


@dataclass(frozen=True)
class ParamGroup:
    """Parameters that share an optimiser setting and a schedule.

    Attributes:
        params: the parameters.
        lr: base learning rate.
        weight_decay: decoupled for ``adamw``, coupled otherwise.
        schedule: the group's own schedule.
        name: shown in errors and logs.
    """

    params: Sequence[nn.Parameter]
    lr: float
    weight_decay: float = 0.0
    schedule: Schedule = Schedule()
    name: str = "params"


class Sampler(Protocol):
    """Order of training rows. State, if any, is saved through ``state_dict``."""

    def epoch(self, epoch: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Row numbers of one epoch, in order; ``rng`` is reseeded from (seed, stage, epoch)."""
        ...


@dataclass(frozen=True)
class Augment:
    """What happens to a training image before it is encoded.

    Attributes:
        kind: ``none``; ``flip`` (two cached views, one drawn each time); ``views`` (k cached views); ``live`` (a fresh
            random view each time, never cached).
        k: number of views for ``views``.
        transform: for ``views`` and ``live``: PIL image and generator → PIL image; ``None`` takes a random resized
            crop with a flip.
    """

    kind: Literal["none", "flip", "views", "live"] = "none"
    k: int = 1
    transform: Callable[[Any, np.random.Generator], Any] | None = None
    name: str = ""


@dataclass(frozen=True)
class GradientStage:
    """A stage trained by gradient descent.

    Attributes:
        module: an ``nn.Module`` with ``loss`` and ``logits`` (:class:`Trainable`).
        param_groups: what is trained; every other parameter must get no gradient.
        optimizer: ``sgd`` (momentum), ``adam`` or ``adamw``.
        epochs: passes over the sampler's rows.
        batch_size: rows a step.
        sampler: order of rows; ``None`` shuffles.
        drop_last: drop an incomplete last batch.
        augment: what happens to training images.
        further: further views of each row that a step shows beside that one, in ``batch.further``; each is drawn for
            itself. In a scan they are the plain view.
        ema: decay of the exponential moving average of parameters, evaluated instead of them; it begins with their
            initial values; ``None`` for none.
        ema_buffers: average the module's floating-point buffers as well (batch statistics); else the last ones serve.
        clip_norm: gradient-norm limit.
        amp: automatic mixed precision on CUDA.
        parallel: whether the rows of a batch may be dealt to several processes, or to several passes of one, whose
            gradients then add up: ``rows``; with ``none``, one process trains while the others wait, and the method's
            card says why.
        reduction: how the loss goes over a batch, which says what parts of one weigh: a mean over ``rows``, over
            ``known`` labels or over rows with such a label (``labelled``), or a ``sum``.
        row_state: buffers [N, …] of the module that a step changes at the rows of its batch, and only there.
    """

    name: str
    module: nn.Module
    param_groups: Sequence[ParamGroup]
    epochs: int
    batch_size: int = 32
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    momentum: float = 0.9
    betas: tuple[float, float] = (0.9, 0.999)
    sampler: Sampler | None = None
    drop_last: bool = False
    augment: Augment = Augment()
    further: tuple[Augment, ...] = ()
    ema: float | None = None
    ema_buffers: bool = False
    clip_norm: float | None = None
    amp: bool = True
    parallel: Parallel = "none"
    reduction: BatchReduction = "rows"
    row_state: Sequence[str] = ()


@dataclass(frozen=True)
class FitData:
    """All training rows at once, for stages without gradients.

    Attributes:
        scan: iterates over batches of the training view in row order, as often as wanted.
        rows: number of rows.
        seed: seed of this stage.
        stats: observed counts.
        reporter: a long fit shows its progress here.
    """

    scan: Scan
    rows: int
    seed: int
    stats: Stats
    reporter: Reporter = SILENT

    def gather(self) -> tuple[Tensor, Tensor]:
        """All inputs [N, …] (the global features where there are regions) and observed labels int8 [N, C]."""
        inputs, observed = [], []
        for batch in self.scan():
            inputs.append(batch.features)
            observed.append(batch.observed)
        return torch.cat(inputs), torch.cat(observed)


@dataclass(frozen=True)
class FitStage:
    """A stage that fits its module in one call (zero-shot, L-BFGS logistic regression, nearest neighbours).

    Attributes:
        module: an ``nn.Module`` with ``logits``; what is fitted lives in its parameters and buffers.
        fit: fills the module; ``None`` when there is nothing to fit.
        params: parameters that ``fit`` fills, counted as trained in the record's cost.
    """

    name: str
    module: nn.Module
    fit: Callable[[FitData], None] | None = None
    params: Sequence[nn.Parameter] = ()


Stage = GradientStage | FitStage
Stages = Sequence[Stage]
__all__ = [
    "Augment",
    "FitData",
    "FitStage",
    "GradientStage",
    "ParamGroup",
    "Sampler",
    "Schedule",
    "Stage",
    "StageHooks",
    "Stages",
    "Trainable",
]
