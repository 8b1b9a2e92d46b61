"""A toy tower with two blocks, labels with a long tail, and what the engine does around a stage."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from ltbench.backbones.base import Backbone
from ltbench.data.progress import SilentReporter
from ltbench.engine.encode import Encoder
from ltbench.engine.phase1 import Phase1
from ltbench.engine.setup import Setup
from ltbench.method import Batch, Context, GradientStage, Method, Stats
from ltbench.tasks.views import TrainView
from tests.plugins.toy_cards import toy_card

SIDE, DIM, ROWS = 8, 6, 40
NAMES = ("cat", "dog", "tram", "bus", "kite")


class ToyTower(nn.Module):
    """A stem, a stage of two blocks with batch normalisation, and a mean over the image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.layer4 = nn.Sequential(
            nn.Sequential(nn.Conv2d(4, DIM, 3, padding=1, bias=False), nn.BatchNorm2d(DIM), nn.ReLU()),
            nn.Sequential(nn.Conv2d(DIM, DIM, 1, bias=False), nn.BatchNorm2d(DIM)),
        )

    def forward(self, images: Tensor) -> Tensor:
        hidden: Tensor = self.layer4(self.conv1(images).relu())
        return hidden.mean(dim=(2, 3))


class ToyEncoder(Backbone):
    """An encoder whose image tower can be trained; counts the images it is shown."""

    seen = 0

    def preprocess(self, image: Any) -> Tensor:
        return torch.from_numpy(image)

    def encode_global(self, images: Tensor) -> Tensor:
        assert self.visual is not None
        self.seen += len(images)
        features: Tensor = self.visual(images)
        return features


def encoder(tower: nn.Module | None = None) -> ToyEncoder:
    torch.manual_seed(2)
    card = toy_card("image", "global", dim=DIM, image_size=SIDE)
    return ToyEncoder(card=card, visual=(tower or ToyTower()).eval().requires_grad_(False))


def long_tail() -> npt.NDArray[np.int8]:
    """40 rows; classes with 24, 12, 6, 2 and no positives, some labels unknown."""
    rng = np.random.default_rng(5)
    labels = np.full((ROWS, len(NAMES)), -1, dtype=np.int8)
    for column, count in enumerate((24, 12, 6, 2, 0)):
        labels[rng.choice(ROWS, count, replace=False), column] = 1
    labels[(rng.random(labels.shape) < 0.1) & (labels < 0)] = 0
    return labels


def context_of(labels: npt.NDArray[np.int8], backbone: Backbone | None = None, variant: Any = "paper") -> Context:
    return Context(
        NAMES[: labels.shape[1]],
        Stats.of(labels),
        backbone or encoder(),
        torch.device("cpu"),
        seed=0,
        variant=variant,
        observed=torch.from_numpy(labels),
    )


def batch_of(labels: npt.NDArray[np.int8]) -> Batch:
    images = torch.randn(len(labels), 3, SIDE, SIDE, generator=torch.Generator().manual_seed(4))
    return Batch(torch.arange(len(labels)), images, torch.from_numpy(labels))


def make_trainable(stage: GradientStage) -> None:
    """What the engine does before a stage is trained."""
    stage.module.requires_grad_(False)
    for group in stage.param_groups:
        for parameter in group.params:
            parameter.requires_grad_(True)


def train_a_little(stage: GradientStage, batch: Batch, steps: int = 15) -> list[float]:
    """Losses of a few full-batch steps."""
    make_trainable(stage)
    stage.module.train()
    optimiser = torch.optim.Adam([p for group in stage.param_groups for p in group.params], lr=0.02)
    values = []
    for _ in range(steps):
        loss = torch.stack(list(stage.module.loss(batch).values())).sum()  # type: ignore[operator]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
    return values


class Pictures:
    """Images whose channels show the labels of three classes."""

    def __init__(self, labels: npt.NDArray[np.int8]) -> None:
        noise = np.random.default_rng(3).normal(0, 0.5, (len(labels), 3, SIDE, SIDE))
        self._arrays = (noise + labels[:, :3, None, None]).astype(np.float32)

    def __len__(self) -> int:
        return len(self._arrays)

    def load(self, row: int) -> Any:
        return self._arrays[row]

    def sha256(self, row: int) -> str:
        return hashlib.sha256(self._arrays[row].tobytes()).hexdigest()


def phase_of(
    method: Method,
    folder: Path,
    backbone: Backbone | None = None,
    labels: npt.NDArray[np.int8] | None = None,
    policy: str = "ignore",
) -> Phase1:
    """Phase 1 on pictures of labels, by default those with a long tail and the tower of two blocks."""
    labels = long_tail() if labels is None else labels
    backbone = backbone or encoder()
    pictures: Any = Pictures(labels)
    ids = tuple(f"r{row}" for row in range(ROWS))
    view = TrainView(ids=ids, images=pictures, observed=labels, class_names=NAMES)
    cache = Encoder(backbone, method.needs(), folder / "cache", torch.device("cpu"), SilentReporter())
    return Phase1(
        Setup(method, "paper", backbone, view, 0, torch.device("cpu"), policy, cache, folder, SilentReporter())
    )


def interrupted_and_not(
    method: Method, folder: Path, stop_after: int, make: Callable[[Method, Path], Phase1] = phase_of
) -> tuple[Phase1, Phase1]:
    """A run in one go, and one that was killed after an epoch of its last stage and taken up again."""
    whole = make(method, folder / "whole")
    whole.run()
    first = make(method, folder / "cut")
    epochs: list[int] = []

    def stop(number: int, epoch: int) -> None:
        epochs.append(epoch)
        if epoch == stop_after:
            raise KeyboardInterrupt

    first.setup.after_epoch.append(stop)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    assert epochs == list(range(stop_after + 1))
    second = make(method, folder / "cut")
    second.run()
    return whole, second
