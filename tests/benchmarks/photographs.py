"""Photographs and runs on them for benchmarks: JPEGs in memory, views of them, and how long training waits for them."""

from __future__ import annotations

import hashlib
import io
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ltbench.backbones.base import Backbone
from ltbench.data.progress import SILENT
from ltbench.engine import _mmengine
from ltbench.engine.ahead import Waited
from ltbench.engine.encode import Encoder
from ltbench.engine.needs import behind_preprocessing
from ltbench.engine.phase1 import Phase1
from ltbench.engine.request import RunRequest, resolve_method
from ltbench.engine.setup import Setup
from ltbench.tasks.registry import load_task
from ltbench.tasks.views import TestView, TrainView


class Photographs:
    """JPEGs of 500 x 375 pixels. Few are made, and each row is told apart by its own hash, so that each is encoded."""

    def __init__(self, rows: int, made: int = 32) -> None:
        self._rows = rows
        rng = np.random.default_rng(0)
        self._files = []
        for _ in range(min(rows, made)):
            file, small = io.BytesIO(), rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
            Image.fromarray(small).resize((500, 375), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
            self._files.append(file.getvalue())

    def __len__(self) -> int:
        return self._rows

    def load(self, row: int) -> Image.Image:
        return Image.open(io.BytesIO(self._files[row % len(self._files)])).convert("RGB")

    def sha256(self, row: int) -> str:
        return hashlib.sha256(f"{row}".encode()).hexdigest()


def views(task: str, train: int, test: int) -> tuple[TrainView, TestView]:
    """Views of photographs with the classes of a task and labels, complete, that nobody can learn."""
    names = load_task(task).classes
    rng = np.random.default_rng(1)
    observed = np.where(rng.random((train, len(names))) < 0.1, 1, -1).astype(np.int8)
    observed[np.arange(train), np.arange(train) % len(names)] = 1
    words = [", ".join(name for name, label in zip(names, row, strict=True) if label > 0) for row in observed]
    captions = tuple(f"a picture of {text}" for text in words)
    ids = [tuple(f"{part}-{row}" for row in range(count)) for part, count in (("train", train), ("test", test))]
    return (
        TrainView(ids[0], Photographs(train), observed, names, captions),  # type: ignore[arg-type]
        TestView(ids[1], Photographs(test), names),  # type: ignore[arg-type]
    )


def phase_of(
    task: str, method: str, backbone: Backbone, view: TrainView, device: str, folder: Path, workers: int, **request: Any
) -> Phase1:
    """Phase 1 of a method on a view of photographs, nothing of it run yet."""
    asked = RunRequest(load_task(task), method, backbone.card.name, weights="random", **request)
    resolved = resolve_method(asked)
    needs = resolved.method.needs()
    backbone = behind_preprocessing(backbone, needs)
    where = torch.device(device)
    encoder = Encoder(backbone, needs, folder / "features", where, SILENT, workers=workers)
    setup = Setup(
        resolved.method, resolved.variant, backbone, view, 0, where, "ignore", encoder, folder / "run", SILENT
    )
    return Phase1(setup)


@dataclass(frozen=True)
class Pace:
    """How fast a stage trains.

    Attributes:
        steps: a second.
        waiting: share of the time in which training waited for pictures.
    """

    steps: float
    waiting: float


class _Enough(BaseException):
    """So many steps were wanted."""


def pace(phase: Phase1, steps: int, warm: int = 2) -> Pace:
    """Train a few steps of the first stage, after some that are not counted."""
    setup, ticks = phase.setup, [time.perf_counter()]
    waits: list[Waited] = []

    def kept() -> Waited:
        waits.append(Waited())
        return waits[-1]

    marks: list[float] = []

    def tick() -> None:
        if len(ticks) in (warm, warm + steps):
            if setup.device.type == "cuda":
                torch.cuda.synchronize()
            marks.extend((time.perf_counter(), waits[-1].seconds))
        ticks.append(time.perf_counter())
        if len(marks) == 4:
            raise _Enough

    setup.after_step = tick
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_mmengine, "Waited", kept)
        with suppress(_Enough):
            phase.run()
    began, waited_before, ended, waited_after = marks
    return Pace(steps / (ended - began), (waited_after - waited_before) / (ended - began))
