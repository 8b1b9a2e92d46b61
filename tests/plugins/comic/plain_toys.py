"""The comparisons beside COMIC on a toy encoder: method and stages of a recipe."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ltbench.method import Context, GradientStage, Stats
from ltbench.method.config import build_config
from ltbench_comic.plain import Plain
from ltbench_comic.plain_recipes import plain_recipes
from tests.plugins.comic.comic_toys import partial
from tests.plugins.single_positive.spml_toys import toy
from tests.plugins.two_stream_toys import NAMES, make_trainable

SPECS = {spec.name: spec for spec in plain_recipes()}


SMALL: dict[str, Any] = {"feature_dim": 8, "epochs": 4, "batch_size": 8, "augment": "none"}


def method_of(recipe: str, **options: Any) -> Plain:
    spec = SPECS[recipe]
    cls = spec.load()
    if recipe == "plt-pseudo-labels":
        options = {"pseudo_start": 1} | options
    method = cls(build_config(cls.Config, recipe, spec.config, SMALL | options))
    assert isinstance(method, Plain)
    return method


def stages_of(
    recipe: str, labels: npt.NDArray[np.int8] | None = None, variant: Any = "paper", **options: Any
) -> list[GradientStage]:
    torch.manual_seed(0)
    shown = partial() if labels is None else labels
    context = Context(
        NAMES, Stats.of(shown), toy(), torch.device("cpu"), seed=0, variant=variant, observed=torch.from_numpy(shown)
    )
    found = [stage for stage in method_of(recipe, **options).stages(context) if isinstance(stage, GradientStage)]
    for stage in found:
        stage.module.train()
    make_trainable(found[0])
    return found
