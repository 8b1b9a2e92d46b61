"""What COMIC's recipe builds for classes of given counts, with its own constants."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ltbench.method import Context, Stats
from ltbench.method.config import build_config
from ltbench_comic.method import Comic, build
from ltbench_comic.module import ComicModule
from tests.plugins.comic.plt_vectors import Array
from tests.plugins.two_stream_toys import encoder


def module_of(
    counts: Array, together: Array | None = None, variant: Any = "code", dim: int | None = None, **options: Any
) -> ComicModule:
    """The recipe's module for classes of these counts, with the recipe's own constants but for `options`."""
    positives = np.asarray(counts, dtype=np.int64)
    pairs = np.diag(positives) if together is None else np.asarray(together, dtype=np.int64)
    rows = int(positives.max()) + 1
    toy = encoder()
    if dim is not None:
        toy.card = toy.card.model_copy(update={"dim": dim})
    context = Context(
        tuple(f"c{i}" for i in range(len(positives))),
        Stats(rows, positives, rows - positives, pairs),
        toy,
        torch.device("cpu"),
        seed=0,
        variant=variant,
    )
    config = build_config(Comic.Config, "comic", {"feature_dim": 16} | options)
    assert isinstance(config, Comic.Config)
    torch.manual_seed(0)
    return build(config, context)


def graded(loss: Tensor, logits: Tensor) -> Tensor:
    return torch.autograd.grad(loss, logits, retain_graph=True)[0]
