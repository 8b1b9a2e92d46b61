"""COMIC on a toy encoder: the method, its stage and module, and batches in which labels can be read."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltbench.method import Batch, GradientStage
from ltbench.method.config import build_config
from ltbench_comic.method import Comic
from ltbench_comic.module import ComicModule
from tests.plugins.two_stream_toys import (
    DIM,
    context_of,
    long_tail,
    make_trainable,
)

SMALL = {"feature_dim": 8, "epochs": 4, "batch_size": 8, "augment": "none"}


def partial() -> npt.NDArray[np.int8]:
    """Present labels and unknown ones, as tasks of this family show them; the last class has lost all its labels."""
    return np.where(long_tail() == 1, 1, 0).astype(np.int8)


def method_of(**options: Any) -> Comic:
    config = build_config(Comic.Config, "comic", SMALL | options)
    assert isinstance(config, Comic.Config)
    return Comic(config)


def stage_of(labels: npt.NDArray[np.int8], variant: str = "code", **options: Any) -> GradientStage:
    torch.manual_seed(0)
    (stage,) = method_of(**options).stages(context_of(labels, variant=variant))
    assert isinstance(stage, GradientStage)
    make_trainable(stage)
    stage.module.train()
    return stage


def module_of(stage: GradientStage) -> ComicModule:
    assert isinstance(stage.module, ComicModule)
    return stage.module


def batch_of(labels: npt.NDArray[np.int8], start: int = 0) -> Batch:
    """Features in which labels can be read."""
    generator = torch.Generator().manual_seed(4)
    directions = torch.randn(labels.shape[1], DIM, generator=generator)
    shown = torch.from_numpy(labels)
    noise = torch.randn(len(labels), DIM, generator=generator)
    return Batch(torch.arange(start, start + len(labels)), (shown == 1).float() @ directions + 0.3 * noise, shown)


def total(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack([value for name, value in terms.items() if name.startswith("loss")]).sum()
