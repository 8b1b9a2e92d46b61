"""What phase 1 works with, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from ltbench.backbones.base import Backbone
from ltbench.data.progress import Reporter
from ltbench.engine.encode import Encoder
from ltbench.engine.ranks import ALONE, Ranks
from ltbench.method import Method
from ltbench.method.config import Variant
from ltbench.tasks.views import TrainView


@dataclass
class Setup:
    """Everything phase 1 works with.

    Attributes:
        folder: where checkpoints and the log go.
        after_epoch: called after each epoch of the last stage, in order, random state kept around them.
        after_step: called after each step of a gradient stage.
        deadline: value of ``time.monotonic()`` at which training gives up.
        ranks: who works on the run together.
        accumulation: passes that a process's rows of a batch are cut into; 1 takes them at once.
    """

    method: Method
    variant: Variant
    backbone: Backbone
    train: TrainView
    seed: int
    device: torch.device
    policy: str
    encoder: Encoder
    folder: Path
    reporter: Reporter
    after_epoch: list[Callable[[int, int], None]] = field(default_factory=list)
    after_step: Callable[[], None] | None = None
    deadline: float | None = None
    ranks: Ranks = ALONE
    accumulation: int = 1


@dataclass(frozen=True)
class Chosen:
    """The epoch of the last stage, 1-based, that validation rows chose, and its figure on them in percent."""

    epoch: int
    score: float


@dataclass
class Outcome:
    """What phase 1 leaves behind in memory; the files are written by the caller.

    Attributes:
        module: module of the last stage, in evaluation mode.
        trainable: parameters that some stage trains.
        total: parameters of the modules and towers used.
        decisions: (row, class, epoch) triples that a method wants judged.
        epochs: of the longest stage trained by gradient.
        looks: epochs of the last stage, where it is trained by gradient: so many times ``after_epoch`` was called.
        chosen: the epoch that validation rows chose; None where the last counts.
    """

    module: nn.Module
    trainable: int
    total: int
    encode_seconds: float
    train_seconds: float
    decisions: list[tuple[int, int, int]] = field(default_factory=list)
    epochs: int = 0
    looks: int = 0
    chosen: Chosen | None = None
