"""Zero-shot baselines: golden vectors through the recipes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from ltbench.backbones.base import Backbone
from ltbench.method import Batch, GradientStage
from ltbench_baselines.unseen.conse import ConvexModule, convex_combination
from ltbench_baselines.unseen.directions import DiverseDirections
from ltbench_baselines.unseen.visual_semantic import VisualSemantic
from tests.golden import golden
from tests.plugins.unseen.zsl_toys import batch_of, build


def module_with_words(stage: GradientStage, words: Tensor) -> VisualSemantic:
    assert isinstance(stage.module, VisualSemantic)
    stage.module.words = words
    return stage.module


def fed_directions(stage: GradientStage, flat: Tensor, words: Tensor) -> VisualSemantic:
    """The recipe's module, whose map passes a given direction on and whose words are given."""
    module = module_with_words(stage, words)
    module.head.net = torch.nn.Identity()  # type: ignore[assignment]
    return module


def given(features: Tensor, labels: Tensor) -> Batch:
    return Batch(torch.arange(len(features)), features, labels.to(torch.int8))


def signs(labels: npt.NDArray[Any]) -> Tensor:
    """Golden labels of 0 and 1 as -1 and +1."""
    return torch.from_numpy(np.where(labels > 0, 1, -1))


@pytest.fixture
def raw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Features reach the map as they are: golden directions are not to be rescaled."""
    monkeypatch.setattr("ltbench_baselines.unseen.directions.unit_scale", lambda features: features)


def test_golden_fast0tag(backbone: Backbone, full: npt.NDArray[np.int8], raw: None) -> None:
    data = golden("limited-labels", "fast0tag_ranknet")
    direction, words = (torch.from_numpy(data[f"s0__{field}"]) for field in ("direction", "wordvec"))
    module = fed_directions(build(backbone, "fast0tag", full), direction, words)
    (loss,) = module.loss(given(direction, signs(data["s0__labels"]))).values()
    torch.testing.assert_close(loss, torch.tensor(float(data["s0__loss"]), dtype=torch.float64), rtol=1e-9, atol=0)


@pytest.mark.parametrize(("case", "weight"), [("s0", 0.01), ("s2_w0.3", 0.3)])
def test_golden_sdl(
    backbone: Backbone,
    full: npt.NDArray[np.int8],
    raw: None,
    case: str,
    weight: float,
) -> None:
    data = golden("limited-labels", "sdl_loss")
    flat = torch.from_numpy(data[f"{case}__x"]).clone().requires_grad_(True)
    module = fed_directions(
        build(backbone, "sdl", full, spread=weight), flat, torch.from_numpy(data[f"{case}__wordvec"])[0].T
    )
    assert isinstance(module.head, DiverseDirections)
    (loss,) = module.loss(given(flat, signs(data[f"{case}__labels"]))).values()
    torch.testing.assert_close(loss.detach(), torch.tensor(data[f"{case}__loss"]), rtol=2e-6, atol=0)
    (gradient,) = torch.autograd.grad(loss, [flat])
    torch.testing.assert_close(gradient, torch.from_numpy(data[f"{case}__grad"]), rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("case", ["s0", "s2_allneg"])
@pytest.mark.parametrize("name", ["lesa", "biam", "one-attention-per-label"])
def test_golden_ranking_loss_of_lesa_and_biam(
    backbone: Backbone, full: npt.NDArray[np.int8], name: str, case: str
) -> None:
    data = golden("limited-labels", "lesa_biam_ranking_loss")
    module = build(backbone, name, full).module
    assert isinstance(module, VisualSemantic)
    logits = torch.from_numpy(data[f"{case}__logits"]).clone().requires_grad_(True)
    loss = module.head.criterion(logits, torch.from_numpy(data[f"{case}__labels"]).to(torch.int8))
    (gradient,) = torch.autograd.grad(loss, [logits])
    np.testing.assert_allclose(float(loss.detach()), float(data[f"{case}__loss"]), rtol=1e-9)
    np.testing.assert_allclose(gradient.numpy(), data[f"{case}__grad"], rtol=1e-7, atol=1e-12)


def test_golden_conse(backbone: Backbone, full: npt.NDArray[np.int8]) -> None:
    data = golden("limited-labels", "conse")
    shown, seen, unseen = (torch.from_numpy(data[field]) for field in ("seen_prob", "seen_vec", "unseen_vec"))
    np.testing.assert_allclose(convex_combination(shown, seen, 3).numpy(), data["T3__embedding"], atol=1e-12)
    module = build(backbone, "conse", full, top=3).module
    assert isinstance(module, ConvexModule)
    module.seen, module.words = seen, unseen
    module.probe.logits = lambda batch: torch.logit(shown)  # type: ignore[method-assign]
    found = module.logits(batch_of(full))
    np.testing.assert_allclose(found.detach().numpy(), data["T3__scores_unseen"], atol=1e-12)
