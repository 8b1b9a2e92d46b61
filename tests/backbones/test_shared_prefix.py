"""What all prompts begin with is computed once: the same features and gradients as prompt by prompt."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ltbench.backbones import text as towers
from ltbench.backbones.clip_backbone import ClipBackbone
from ltbench.backbones.registry import open_backbone
from ltbench.backbones.text import ClipTextTower
from ltbench.nn import PromptLearner
from ltbench.nn.prompts import Position

from .conftest import as_backbone, small_resnet

FEW = ("aeroplane", "cat", "dining table", "tv monitor")
MANY = tuple(f"{kind} number {n}" for kind in ("cat", "tall potted plant") for n in range(36))


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> ClipTextTower:
    """A small tower that shares, in float64: there a mistake does not look like rounding."""
    monkeypatch.setattr(towers, "SHARES_FROM", 32)
    text = as_backbone(small_resnet()).text
    assert isinstance(text, ClipTextTower)
    return text.double()


def both(learner: PromptLearner, keep: int | None = None) -> list[tuple[Tensor, Tensor]]:
    """Class features and the gradient of the context: prompt by prompt, and as the learner has them."""
    found: list[tuple[Tensor, Tensor]] = []
    for shared in (False, True):
        learner.ctx.grad = None
        plain = learner.tower.encode_embeddings(*learner(keep))
        features = learner.class_features(keep=keep) if shared else normalize(plain, dim=-1)
        target = torch.randn(features.shape, generator=torch.Generator().manual_seed(0)).to(features)
        torch.autograd.backward((features * target).sum())
        assert learner.ctx.grad is not None
        found.append((features.detach(), learner.ctx.grad.clone()))
    return found


def rows_of(tower: ClipTextTower) -> list[tuple[int, int]]:
    """Shapes [rows, positions] that go through the transformer from here on."""
    shapes: list[tuple[int, int]] = []
    tower.transformer.register_forward_pre_hook(lambda _, given: shapes.append(tuple(given[0].shape[:2])))
    return shapes


@pytest.mark.parametrize("names", [FEW, MANY], ids=["one row", "several rows"])
@pytest.mark.parametrize(("position", "keep"), [("end", None), ("end", 2), ("middle", None), ("middle", 5)])
def test_features_and_gradients_are_those_of_each_prompt_alone(
    exact: ClipTextTower, names: tuple[str, ...], position: Position, keep: int | None
) -> None:
    learner = PromptLearner(exact, names, 6, None, position=position, seed=0).double()
    shapes = rows_of(exact)
    (plain, gradient), (shared, shared_gradient) = both(learner, keep)
    assert shapes[-1] != shapes[0]
    torch.testing.assert_close(shared, plain, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(shared_gradient, gradient, rtol=1e-8, atol=1e-10)
    assert float(gradient.abs().max()) > 1e-3


def test_what_is_alike_stands_once_before_the_rest(exact: ClipTextTower) -> None:
    learner = PromptLearner(exact, MANY, 4, "a photo of a").double()
    longest = int(learner.ends.max()) + 1
    shapes = rows_of(exact)
    learner.class_features()
    # 72 prompts in 3 rows of 24, behind the start and four context tokens.
    assert shapes == [(3, 5 + 24 * (longest - 5))]


def test_the_gradient_check_of_torch_agrees(exact: ClipTextTower) -> None:
    embeddings, ends = PromptLearner(exact, FEW, 2, None, seed=0).double()()
    alike = embeddings[0, :3].detach()
    own = embeddings[:, 3:].detach()
    given = torch.randn(3, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)

    def features(factors: Tensor) -> Tensor:
        first = (alike * factors[:, None]).expand(len(own), -1, -1)
        return exact.encode_alike(torch.cat([first, own], dim=1), ends, 3)

    assert torch.autograd.gradcheck(features, (given,), eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("how", ["class-specific", "front"])
def test_prompts_that_share_only_the_start_go_alone(exact: ClipTextTower, how: str) -> None:
    position: Position = "front" if how == "front" else "end"
    learner = PromptLearner(exact, FEW, 4, None, how == "class-specific", position, seed=0).double()
    shapes = rows_of(exact)
    (plain, gradient), (shared, shared_gradient) = both(learner)
    assert len(set(shapes)) == 1
    assert torch.equal(shared, plain)
    assert torch.equal(shared_gradient, gradient)


def test_chunks_share_as_well(exact: ClipTextTower) -> None:
    learner = PromptLearner(exact, MANY, 4, "a photo of a").double()
    torch.testing.assert_close(learner.class_features(chunk=40), learner.class_features(), rtol=1e-9, atol=1e-11)


def test_prompts_that_are_too_long_are_refused(exact: ClipTextTower) -> None:
    with pytest.raises(ValueError, match="exceed the context"):
        exact.encode_alike(torch.zeros(3, 78, exact.width).double(), torch.tensor([5, 6, 7]), 3)
    with pytest.raises(ValueError, match="lies outside"):
        exact.encode_alike(torch.zeros(3, 5, exact.width).double(), torch.tensor([4, 4, 5]), 3)


def test_the_bundled_tower_keeps_its_bits_and_released_ones_share(resnet: ClipBackbone) -> None:
    tiny = open_backbone("tiny-clip")
    assert isinstance(tiny.text, ClipTextTower)
    shapes = rows_of(tiny.text)
    (plain, gradient), (shared, shared_gradient) = both(PromptLearner(tiny.text, FEW, 4, None, seed=0))
    assert len(set(shapes)) == 1
    assert torch.equal(shared, plain)
    assert torch.equal(shared_gradient, gradient)
    assert "shared-prefix" not in tiny.card.revision
    released = open_backbone("clip-rn50", weights="random")
    assert isinstance(released.text, ClipTextTower)
    assert "shared-prefix" in released.card.revision
    (plain, gradient), (shared, shared_gradient) = both(PromptLearner(released.text, FEW, 4, "a photo of a"))
    assert not torch.equal(shared, plain)
    torch.testing.assert_close(shared, plain, rtol=0, atol=2e-6)
    assert float((shared_gradient - gradient).abs().max() / gradient.abs().max()) < 2e-5
