"""The loss that a recipe trains by: recipe, options, method, stage, module."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ltbench.method import Context, GradientStage, Stats
from ltbench.method.config import build_config
from ltbench.plugin.manager import registry
from tests.plugins.partial.conftest import encoder  # noqa: F401
from tests.plugins.single_positive.spml_toys import toy


def module_of(recipe: str, stats: Stats, variant: Any, **options: Any) -> nn.Module:
    """What the recipe trains, for classes of these counts."""
    spec = registry().methods.get(recipe).spec
    method = spec.load()
    names = tuple(f"c{column}" for column in range(len(stats.positives)))
    given = np.arange(stats.rows)[:, None] < stats.positives
    observed = torch.from_numpy(np.where(given, 1, -1).astype(np.int8))
    context = Context(names, stats, toy(), torch.device("cpu"), seed=0, variant=variant, observed=observed)
    assert variant in spec.variants, f"{recipe} has no variant {variant}"
    stage = method(build_config(method.Config, recipe, spec.config, options)).stages(context)[0]
    assert isinstance(stage, GradientStage)
    return stage.module


def loss_of(recipe: str, stats: Stats, variant: Any, **options: Any) -> nn.Module:
    module = module_of(recipe, stats, variant, **options)
    found = module.objective.criterion if hasattr(module, "objective") else module.criterion
    assert isinstance(found, nn.Module)
    return found


def counted(counts: npt.NDArray[Any], rows: int) -> Stats:
    positives = counts.astype(np.int64)
    return Stats(rows, positives, rows - positives, np.diag(positives))
