"""What the golden vectors of limited labels do not show: edges, unknown labels, and parts that are no plain loss."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ltbench.losses import (
    AssumeNegativeLoss,
    BCELoss,
    IgnoreUnknownLoss,
    ROLELoss,
    WeakAssumeNegativeLoss,
    initial_label_logits,
)

LABELS = torch.tensor([[1, -1, 0, 0, -1], [-1, 0, 0, 1, 0], [0, 0, 1, -1, 1], [0, 0, 0, 0, 0]], dtype=torch.int8)


@pytest.fixture
def logits() -> Tensor:
    return 2 * torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_assumed_negatives_are_bce_on_completed_labels(logits: Tensor) -> None:
    completed = torch.where(LABELS == 0, -1, LABELS)
    torch.testing.assert_close(AssumeNegativeLoss()(logits, LABELS), BCELoss()(logits, completed))


def test_wan_weakens_assumed_absences_only(logits: Tensor) -> None:
    elements = WeakAssumeNegativeLoss(reduction="none")(logits, LABELS)
    plain = AssumeNegativeLoss(reduction="none")(logits, LABELS)
    torch.testing.assert_close(elements[LABELS != 0], plain[LABELS != 0])
    torch.testing.assert_close(elements[LABELS == 0], plain[LABELS == 0] / 4)


def test_ignoring_divides_by_all_entries(logits: Tensor) -> None:
    known = BCELoss(reduction="sum")(logits, LABELS)
    torch.testing.assert_close(IgnoreUnknownLoss()(logits, LABELS), known / LABELS.numel())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_role_is_finite_and_half_precise(dtype: torch.dtype) -> None:
    for sign in (1, -1):
        f = (100 * sign * torch.where(LABELS > 0, 1, -1)).to(dtype).requires_grad_()
        g = (-f.detach()).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = ROLELoss(1.5)(f, LABELS, g)
        assert value.dtype == torch.float32
        assert torch.isfinite(value)
        assert all(torch.isfinite(grad).all() for grad in torch.autograd.grad(value, (f, g)))


def test_role_checks_both_sets_of_logits(logits: Tensor) -> None:
    with pytest.raises(ValueError, match=r"labels: expected shape \[3, 5\]"):
        ROLELoss(1.5)(logits, LABELS, logits[:3])
    with pytest.raises(TypeError, match=r"label_logits: .*float"):
        ROLELoss(1.5)(logits, LABELS, LABELS)
    with pytest.raises(ValueError, match="'mean' only"):
        ROLELoss(1.5, reduction="none")
    assert ROLELoss(1.5)(torch.zeros(0, 5), torch.zeros(0, 5), torch.zeros(0, 5)) == 0


def test_role_teaches_each_side_by_the_other_as_a_constant(logits: Tensor) -> None:
    """The gradient of f is that of the loss with sigmoid(g) written out as a number, and the other way round."""
    other = logits.flip(0)

    def half(own: Tensor, constant: Tensor) -> Tensor:
        q = torch.sigmoid(constant)
        observed = (LABELS != 0) * torch.nn.functional.softplus(-LABELS * own)
        softplus = torch.nn.functional.softplus
        cross = q * softplus(-own) + (1 - q) * softplus(own)
        penalty = (torch.sigmoid(own).sum(1).mean() - 1.5) ** 2 / 25
        return 0.5 * ((observed + cross).mean() + penalty)

    f, g = logits.clone().requires_grad_(), other.clone().requires_grad_()
    grads = torch.autograd.grad(ROLELoss(1.5)(f, LABELS, g), (f, g))
    torch.testing.assert_close(grads[0], torch.autograd.grad(half(f, other), f)[0])
    torch.testing.assert_close(grads[1], torch.autograd.grad(half(g, logits), g)[0])


def test_label_logits_refuse_other_labels_and_probabilities() -> None:
    with pytest.raises(ValueError, match="labels: "):
        initial_label_logits(torch.full((2, 3), 2))
    with pytest.raises(ValueError, match=r"unknown: .*got 1.0"):
        initial_label_logits(LABELS, unknown=1.0)
    start = initial_label_logits(LABELS, generator=torch.Generator().manual_seed(3))
    assert (start[LABELS == 0].abs() <= 0.4055).all()
    assert start[LABELS == 0].unique().numel() > 5
