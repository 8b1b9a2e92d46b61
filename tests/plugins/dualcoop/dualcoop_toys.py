"""DualCoOp on the toy encoder: its stage and module, and scenes in which each present class fills a place."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltbench.backbones.base import Backbone
from ltbench.method import Batch, Context, GradientStage, Stats
from ltbench_dualcoop.method import DualCoOp
from ltbench_dualcoop.module import DualCoOpModule
from tests.plugins.conftest import DIM, NAMES

PLACES = 9


Labels = npt.NDArray[np.int8]


def scene(labels: Labels, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Regions [n, L, D] in which each present class fills one place, and their mean."""
    generator = torch.Generator().manual_seed(seed)
    directions = 4 * torch.randn(len(NAMES), DIM, generator=torch.Generator().manual_seed(0))
    regions = torch.randn(len(labels), PLACES, DIM, generator=generator)
    for row, present in enumerate(labels):
        for place, column in enumerate(np.flatnonzero(present == 1)):
            regions[row, place] += directions[column]
    return regions.mean(dim=1), regions


def batch_of(labels: Labels, shown: Tensor | None = None, rows: slice = slice(None)) -> Batch:
    pooled, regions = scene(labels)
    observed = torch.from_numpy(labels) if shown is None else shown
    return Batch(torch.arange(len(labels))[rows], (pooled[rows], regions[rows]), observed[rows])


def stage_of(toy: Backbone, observed: Labels, names: tuple[str, ...] = NAMES, **options: Any) -> GradientStage:
    options = {"context_tokens": 4, "scale": 20.0, **options}
    context = Context(names, Stats.of(observed), toy, torch.device("cpu"), seed=0, variant="code")
    (stage,) = DualCoOp(DualCoOp.Config(**options)).stages(context)
    assert isinstance(stage, GradientStage)
    return stage


def module_of(toy: Backbone, observed: Labels, **options: Any) -> DualCoOpModule:
    module = stage_of(toy, observed, **options).module
    assert isinstance(module, DualCoOpModule)
    return module


def fit(module: DualCoOpModule, batch: Batch, steps: int = 60) -> list[float]:
    module.on_epoch_start(0, lambda: iter([batch]))
    optimizer = torch.optim.Adam(module.parameters(), lr=0.03)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = module.loss(batch)["loss_cls"]
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses
