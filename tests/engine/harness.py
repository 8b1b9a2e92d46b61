"""Phase 1 on made-up features: a stand-in encoder, views with a learnable signal, and interruptions on demand."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from engine.toys import name_vector
from ltbench.backbones.base import Backbone, BackboneCard
from ltbench.engine import checkpoint
from ltbench.engine.answer import Logits
from ltbench.engine.inputs import FeatureInputs, Inputs
from ltbench.engine.phase1 import Phase1
from ltbench.engine.setup import Outcome, Setup
from ltbench.method import Augment, Method
from ltbench.tasks.views import TestView, TrainView, caption_from_labels

DIM, TRAIN, TEST, VAL = 16, 44, 60, 30
NAMES = ("cat", "dog", "tram", "bus", "kite")
EXTRA = ("boat", "pear")

Labels = npt.NDArray[np.int8]


class Interrupted(BaseException):
    """Stands in for a killed process: nothing may catch it."""


class StandIn(Backbone):
    """An encoder that is never asked to encode."""

    def preprocess(self, image: Any) -> torch.Tensor:
        raise NotImplementedError

    def encode_global(self, images: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


def stand_in() -> StandIn:
    return StandIn(
        BackboneCard(
            name="stand-in", offers=("global",), dim=DIM, weights="none", weights_sha256="0" * 64, transform="none",
            revision="1", pretraining="nothing", ranked=False,
        )
    )  # fmt: skip


def make_labels(rows: int, classes: int, seed: int) -> Labels:
    """Complete labels; every class has a few of each."""
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random((rows, classes)) < 0.35, 1, -1).astype(np.int8)
    labels[np.arange(rows), np.arange(rows) % classes] = 1
    return labels


def make_features(labels: Labels, names: Sequence[str], seed: int, views: int = 2) -> npt.NDArray[np.float32]:
    """Features float32 [N, V, D]: a sum of the vectors of what is shown, and noise that differs between views."""
    rng = np.random.default_rng(seed)
    directions = torch.stack([name_vector(name, DIM) for name in names]).numpy()
    signal = (labels == 1).astype(np.float32) @ directions
    noise = rng.normal(0, 0.15, (len(labels), views, DIM))
    return (signal[:, None] + noise).astype(np.float32)


@dataclass
class World:
    """Views and their features."""

    train: TrainView
    test: TestView
    truth: Labels
    table: dict[str, npt.NDArray[np.float32]]

    def inputs(self, images: Any, ids: Sequence[str], augment: Augment, label: str) -> Inputs:
        """What ``Encoder.inputs`` does, from the table."""
        rows = np.stack([self.table[row] for row in ids])
        return FeatureInputs(rows if augment.kind == "flip" else rows[:, :1])


def make_world(observed: Callable[[Labels], Labels] = lambda labels: labels, unseen: Sequence[str] = ()) -> World:
    """A training view of five classes, and a test view of these and of the unseen ones."""
    names = (*NAMES, *unseen)
    complete = make_labels(TRAIN, len(NAMES), 1)
    truth = make_labels(TEST, len(names), 2)
    train_ids = tuple(f"train-{k}" for k in range(TRAIN))
    test_ids = tuple(f"test-{k}" for k in range(TEST))
    table = dict(zip(train_ids, make_features(complete, NAMES, 3), strict=True))
    table |= dict(zip(test_ids, make_features(truth, names, 4), strict=True))
    captions = tuple(caption_from_labels([n for n, y in zip(NAMES, row, strict=True) if y == 1]) for row in complete)
    clean = make_labels(VAL, len(NAMES), 5)
    val_ids = tuple(f"val-{k}" for k in range(VAL))
    table |= dict(zip(val_ids, make_features(clean, NAMES, 6), strict=True))
    validation = TrainView(val_ids, None, clean, NAMES)  # type: ignore[arg-type]
    train = TrainView(train_ids, None, observed(complete), NAMES, captions, validation=validation)  # type: ignore[arg-type]
    return World(train, TestView(test_ids, None, names), truth, table)  # type: ignore[arg-type]


@dataclass
class Countdown:
    """Counts the moments of a run at which it may be killed, and kills it at the asked one.

    Moments are: a training task opens, a step is done, a checkpoint is about to be written, one has been written.
    """

    at: int = -1
    moments: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    announced: list[int] = field(default_factory=list)

    def pass_by(self, moment: str) -> None:
        self.moments.append(moment)
        if len(self.moments) == self.at:
            raise Interrupted(moment)

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        self.pass_by("open")
        self.announced.append(total)
        yield lambda n: self.pass_by("step")

    def line(self, text: str) -> None:
        self.lines.append(text)


@dataclass
class Result:
    outcome: Outcome
    logits: Logits
    phase: Phase1
    reporter: Countdown


def run(
    method: Method,
    world: World,
    folder: Path,
    *,
    seed: int = 0,
    policy: str = "ignore",
    interrupt_at: int = -1,
    after_epoch: Callable[[Phase1, int, int], None] | None = None,
    accumulation: int = 1,
) -> Result:
    """Phase 1 from nothing, or from what the folder holds; raises Interrupted at the asked moment."""
    torch.set_num_threads(1)
    reporter = Countdown(interrupt_at)
    setup = Setup(
        method=method, variant="paper", backbone=stand_in(), train=world.train, seed=seed,
        device=torch.device("cpu"), policy=policy, encoder=world, folder=folder, reporter=reporter,  # type: ignore[arg-type]
        accumulation=accumulation,
    )  # fmt: skip
    phase = Phase1(setup)
    inputs = phase.test_inputs(world.test, "test")
    if after_epoch is not None:
        setup.after_epoch.append(lambda stage, epoch: after_epoch(phase, stage, epoch))
    write = checkpoint.save

    def save(path: Path, state: checkpoint.State) -> None:
        reporter.pass_by("before save")
        write(path, state)
        reporter.pass_by("after save")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "save", save)
        outcome = phase.run()
    return Result(outcome, phase.predict(inputs, world.test.class_names), phase, reporter)


def mean_ap(logits: Logits, truth: Labels) -> float:
    from sklearn.metrics import average_precision_score

    return float(np.mean([average_precision_score(truth[:, c] == 1, logits[:, c]) for c in range(truth.shape[1])]))


_numbers = itertools.count()


def scramble_random_state() -> None:
    """Another process starts from another random state."""
    import random

    number = next(_numbers)
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)
