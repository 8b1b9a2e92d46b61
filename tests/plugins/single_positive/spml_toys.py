"""What the tests of the recipes for single positive labels share: labels, an encoder, batches and built stages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltbench.method import Batch, Context, GradientStage, Stats
from ltbench.method.config import build_config
from ltbench_baselines.common.objectives import ObjectiveModule
from ltbench_baselines.single_positive.plugin import ltbench_methods
from ltbench_baselines.single_positive.trainers import SpmlMethod
from tests.plugins import two_stream_toys as toys
from tests.plugins.conftest import ToyTextTower
from tests.plugins.long_tailed.visual_toys import ToyTower
from tests.plugins.toy_cards import toy_card
from tests.plugins.two_stream_toys import DIM, NAMES, ROWS, SIDE, ToyEncoder

SPECS = {spec.name: spec for spec in ltbench_methods()}


def toy(dim: int = DIM) -> ToyEncoder:
    """An encoder whose image tower can be trained, with a text tower."""
    torch.manual_seed(2)
    card = toy_card("image", "global", "text", dim=dim, image_size=SIDE)
    text = ToyTextTower()
    text.projection = torch.nn.Linear(text.width, dim, bias=False)
    return ToyEncoder(
        card=card,
        visual=ToyTower().eval().requires_grad_(False),
        text=text.eval().requires_grad_(False),
    )


def single_labels() -> npt.NDArray[np.int8]:
    """One observed label a row, a class without any, one known absence, and a row where nothing is known."""
    labels = np.zeros((ROWS, len(NAMES)), dtype=np.int8)
    labels[np.arange(ROWS), np.arange(ROWS) % 4] = 1
    labels[7, 4] = -1
    labels[9] = 0
    return labels


def context_of(labels: npt.NDArray[np.int8], variant: Any = "paper", dim: int = DIM) -> Context:
    return toys.context_of(labels, toy(dim), variant)


def batch_of(labels: npt.NDArray[np.int8], suffix: str) -> Batch:
    shape = (len(labels), 3, SIDE, SIDE) if suffix == "" else (len(labels), DIM)
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(4))
    return Batch(torch.arange(len(labels)), inputs, torch.from_numpy(labels))


def method_of(recipe: str, **options: Any) -> SpmlMethod:
    spec = SPECS[recipe]
    cls = spec.load()
    method = cls(build_config(cls.Config, recipe, spec.config, options))
    assert isinstance(method, SpmlMethod)
    return method


def build(
    recipe: str, labels: npt.NDArray[np.int8] | None = None, variant: str = "paper", **options: Any
) -> tuple[GradientStage, ObjectiveModule]:
    context = context_of(single_labels() if labels is None else labels, variant)
    (stage,) = method_of(recipe, **options).stages(context)
    assert isinstance(stage, GradientStage)
    assert isinstance(stage.module, ObjectiveModule)
    toys.make_trainable(stage)
    stage.module.train()
    return stage, stage.module


def scan_of(batch: Batch) -> Any:
    def scan() -> Iterator[Batch]:
        assert isinstance(batch.input, Tensor)
        for start in range(0, len(batch.rows), 16):
            cut = slice(start, start + 16)
            yield Batch(batch.rows[cut], batch.input[cut], batch.observed[cut])

    return scan


def start(module: ObjectiveModule, epoch: int, batch: Batch) -> None:
    """What the engine does at the start of an epoch."""
    module.eval()
    module.on_epoch_start(epoch, scan_of(batch))
    module.train()


def objective_of(recipe: str, labels: Tensor, variant: str, **options: Any) -> Any:
    """The loss of a recipe, as its stage has it."""
    _, module = build(recipe, labels.to(torch.int8).numpy(), variant, **options)
    return module.objective


def named(labels: npt.NDArray[np.int8], variant: str) -> Context:
    """A context of as many classes as the labels have."""
    names = tuple(f"thing {column}" for column in range(labels.shape[1]))
    context = context_of(labels[:, : len(NAMES)], variant)
    return Context(
        names,
        Stats.of(labels),
        context.backbone,
        torch.device("cpu"),
        seed=0,
        variant=context.variant,
        observed=torch.from_numpy(labels),
    )
