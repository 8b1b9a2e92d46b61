"""CPRFL: its logits and loss as written on its card, computed again in NumPy, and the contract."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pydantic import Field
from torch import nn

from ltbench.method import Batch, Context, GradientStage
from ltbench.testing import kit
from ltbench.testing.checks import CHECKS
from ltbench_cprfl.method import CPRFL
from ltbench_cprfl.module import CPRFLModule, Mixing, PromptedRegions
from tests.plugins.conftest import DIM, NAMES

Array = npt.NDArray[np.float64]


def stage_of(context: Context, **options: Any) -> GradientStage:
    options = {"tower": "frozen", "images": "backbone", "heads": 2, **options}
    (stage,) = CPRFL(CPRFL.Config(**options)).stages(replace(context, variant="code"))
    assert isinstance(stage, GradientStage)
    return stage


def linear(part: Any, given: Array) -> Array:
    bias = 0.0 if part.bias is None else part.bias.detach().double().numpy()
    return np.asarray(given @ part.weight.detach().double().numpy().T + bias)


def gelu(given: Array) -> Array:
    return np.asarray(given * 0.5 * (1 + np.vectorize(math.erf)(given / math.sqrt(2))))


def layer_norm(part: nn.LayerNorm, given: Array) -> Array:
    centred = given - given.mean(axis=1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + part.eps)
    return np.asarray(scaled * part.weight.detach().double().numpy() + part.bias.detach().double().numpy())


def mixed(block: Mixing, vectors: Array) -> Array:
    """One block on the vectors [M, D] of one image."""
    normed = layer_norm(block.before_attention, vectors)
    query, key, value = np.split(linear(block.queries_keys_values, normed), 3, axis=1)
    size = query.shape[1] // block.heads
    heads = []
    for head in range(block.heads):
        own = slice(head * size, (head + 1) * size)
        scores = query[:, own] @ key[:, own].T / math.sqrt(size)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        heads.append(weights / weights.sum(axis=1, keepdims=True) @ value[:, own])
    vectors = vectors + linear(block.out[0], np.concatenate(heads, axis=1))
    return vectors + linear(block.feed[3], gelu(linear(block.feed[0], layer_norm(block.before_feeding, vectors))))


def written(head: PromptedRegions, regions: Array) -> Array:
    prompts = linear(head.prompt[2], gelu(linear(head.prompt[0], head.texts.double().numpy())))
    logits = np.zeros((len(regions), len(prompts)))
    for row, places in enumerate(regions):
        vectors = np.concatenate([linear(head.place, places), prompts])
        for block in head.blocks:
            assert isinstance(block, Mixing)
            vectors = mixed(block, vectors)
        logits[row] = (vectors[len(places) :] * prompts).sum(axis=1)
    return logits


def test_logits_and_loss_are_the_written_ones(make_context: Callable[..., Context], full: Any) -> None:
    module = stage_of(make_context(full), depth=2).module.double().eval()
    assert isinstance(module, CPRFLModule)
    regions = np.random.default_rng(2).normal(size=(5, 4, DIM))
    observed = full[:5].copy()
    observed[0, 1] = 0
    shown = torch.from_numpy(regions)
    # Regions arrive as float32; the test keeps all of their digits.
    module.features = lambda batch: batch.input[1]  # type: ignore[method-assign]
    batch = Batch(torch.arange(5), (shown.mean(1), shown), torch.from_numpy(observed))
    expected = written(module.head, regions)
    np.testing.assert_allclose(module.logits(batch).detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    p = 1 / (1 + np.exp(-expected))
    shifted = np.minimum(1 - p + 0.05, 1)
    terms = np.where(observed == 1, -np.log(p), -((1 - shifted) ** 4) * np.log(shifted))
    assert module.loss(batch)["loss_cls"].item() == pytest.approx(terms[observed != 0].mean(), rel=1e-5)


@pytest.mark.parametrize(("paths", "reached"), [("both", True), ("features", True), ("prompts", False)])
def test_a_path_that_is_held_back_has_no_gradient(
    make_context: Callable[..., Context], full: Any, paths: str, reached: bool
) -> None:
    """The block is reached through the features alone, and the prompts in every case."""
    module = stage_of(make_context(full), paths=paths).module
    regions = torch.randn(3, 4, DIM)
    sum(module.loss(Batch(torch.arange(3), (regions.mean(1), regions), torch.from_numpy(full[:3]))).values()).backward()
    assert (module.head.place.weight.grad is not None) == reached
    assert module.head.prompt[0].weight.grad is not None


def test_what_is_learned(make_context: Callable[..., Context], full: Any) -> None:
    stage = stage_of(make_context(full), schedule_epochs=80, epochs=30)
    own = sum(parameter.numel() for group in stage.param_groups for parameter in group.params)
    assert own == sum(parameter.numel() for parameter in stage.module.head.parameters())
    assert {group.name: group.weight_decay for group in stage.param_groups} == {"vectors": 0.0, "matrices": 1e-4}
    # One cycle: a tenth of 80 epochs up, then down, cut off after 30.
    (first, *_) = stage.param_groups
    assert first.schedule.factor(79, 10, 30) == pytest.approx(1.0)
    assert first.schedule.factor(299, 10, 30) > 0.5
    assert len(stage.module.head.texts) == len(NAMES)


class OnCache(CPRFL):
    """From cached features, which the kit goes through in a fraction of the time."""

    class Config(CPRFL.Config):
        tower: Literal["trained", "frozen"] = Field("frozen", description="as presets for shapes")
        images: Literal["backbone", "squeezed"] = Field("backbone", description="as presets for shapes")


def test_the_contract_is_kept(ltbench_check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Those that a formula cannot show; ``ltbench plugin check`` has them all.
    titles = ("presets valid", "gradients only where declared", "another class count works")
    monkeypatch.setattr(kit, "CHECKS", {title: CHECKS[title] for title in titles})
    ltbench_check(OnCache, weights="random")
