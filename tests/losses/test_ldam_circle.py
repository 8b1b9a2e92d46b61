"""LDAM and Circle against their formulas, written out label by label."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ltbench.losses import BCELoss, CircleLoss, LDAMLoss

COUNTS = [81, 16, 1]
LABELS = torch.tensor([[1, -1, 1], [-1, 1, 0], [-1, -1, -1], [1, 1, 1]], dtype=torch.int8)


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(6))


def test_ldam_margins_are_those_of_the_fourth_root() -> None:
    assert LDAMLoss(COUNTS).margins().tolist() == pytest.approx([0.5 / 3, 0.25, 0.5])
    assert LDAMLoss(COUNTS, max_margin=0.2).margins().max() == pytest.approx(0.2)


def test_ldam_by_hand(logits: Tensor) -> None:
    margins = [0.5 / 3, 0.25, 0.5]
    loss = LDAMLoss(COUNTS, scale=2.0, reduction="none")(logits, LABELS)
    for row in range(4):
        for column in range(3):
            score, label = float(logits[row, column]), int(LABELS[row, column])
            shifted = 2.0 * (score - margins[column]) if label > 0 else -2.0 * score
            expected = math.log1p(math.exp(-shifted)) if label else 0.0
            assert float(loss[row, column]) == pytest.approx(expected, rel=1e-12)


def test_ldam_without_margin_is_bce(logits: Tensor) -> None:
    torch.testing.assert_close(LDAMLoss(COUNTS, max_margin=0.0)(logits, LABELS), BCELoss()(logits, LABELS))


def test_ldam_names_what_is_wrong(logits: Tensor) -> None:
    with pytest.raises(ValueError, match="class_counts: every class needs at least 1"):
        LDAMLoss([3, 0, 1])
    with pytest.raises(ValueError, match=r"class_counts: expected shape \[3\]"):
        LDAMLoss([3, 2])(logits, LABELS)
    with pytest.raises(ValueError, match="max_margin"):
        LDAMLoss(COUNTS, max_margin=-0.1)
    with pytest.raises(ValueError, match="scale"):
        LDAMLoss(COUNTS, scale=0.0)


def circle_by_hand(scores: list[float], labels: list[int], margin: float, gamma: float) -> float:
    pairs = 0.0
    for present, y in zip(scores, labels, strict=True):
        for absent, z in zip(scores, labels, strict=True):
            if y > 0 > z:
                push = max(absent + margin, 0.0) * (absent - margin)
                pull = max(1 + margin - present, 0.0) * (present - (1 - margin))
                pairs += math.exp(gamma * (push - pull))
    return math.log1p(pairs)


@pytest.mark.parametrize("detach_paces", [True, False])
def test_circle_by_hand(logits: Tensor, detach_paces: bool) -> None:
    options = {"margin": 0.3, "gamma": 4.0, "scale": 2.0, "detach_paces": detach_paces, "reduction": "none"}
    similar = (logits / 2.0).tolist()
    rows = CircleLoss(**options)(logits, LABELS)
    expected = [circle_by_hand(s, y, 0.3, 4.0) for s, y in zip(similar, LABELS.tolist(), strict=True)]
    assert rows.tolist() == pytest.approx(expected, rel=1e-12)
    assert expected[2:] == [0.0, 0.0]  # one side is missing
    columns = CircleLoss(axis="class", **options)(logits, LABELS)
    turned = zip((logits / 2.0).T.tolist(), LABELS.T.tolist(), strict=True)
    assert columns.tolist() == pytest.approx([circle_by_hand(s, y, 0.3, 4.0) for s, y in turned], rel=1e-12)


def test_detached_paces_weigh_the_gradient() -> None:
    """One pair: ``dl/ds_n = z g a_n`` and ``dl/ds_p = -z g a_p`` with z the sigmoid of the pair's exponent."""
    logits = torch.tensor([[0.4, 0.1]], dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[1, -1]], dtype=torch.int8)
    loss = CircleLoss(margin=0.25, gamma=8.0)(logits, labels)
    loss.backward()
    present, absent = 1.25 - 0.4, 0.1 + 0.25
    share = 1 / (1 + math.exp(-8.0 * (absent * (0.1 - 0.25) - present * (0.4 - 0.75))))
    assert logits.grad is not None
    assert logits.grad[0].tolist() == pytest.approx([-share * 8.0 * present, share * 8.0 * absent], rel=1e-12)


def test_scores_beyond_their_optimum_are_left_alone() -> None:
    logits = torch.tensor([[1.5, -0.5, 0.0]], dtype=torch.float64, requires_grad=True)
    CircleLoss(margin=0.25)(logits, torch.tensor([[1, -1, 0]], dtype=torch.int8)).backward()
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_circle_with_detached_paces_is_finite_at_large_logits(dtype: torch.dtype) -> None:
    for sign in (1, -1):
        logits = (sign * 100 * LABELS.to(dtype)).requires_grad_()
        loss = CircleLoss(gamma=256.0)(logits, LABELS)
        loss.backward()
        assert torch.isfinite(loss)
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()


def test_circle_names_what_is_wrong() -> None:
    for name, value in (("margin", -0.1), ("gamma", 0.0), ("scale", 0.0), ("axis", "row")):
        with pytest.raises(ValueError, match=name):
            CircleLoss(**{name: value})
