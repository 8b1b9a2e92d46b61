"""What the golden vectors of limited labels do not show: edges, unknown labels, and parts that are no plain loss."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ltbench.losses import (
    AssumeNegativeLoss,
    BCELoss,
    EntropyMaximizationLoss,
    HillLoss,
    IgnoreUnknownLoss,
    LargeLoss,
    ROLELoss,
    SPLCLoss,
    WeakAssumeNegativeLoss,
    initial_label_logits,
    select_soft_negatives,
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


def test_entropy_is_largest_at_even_odds(logits: Tensor) -> None:
    labels = torch.zeros_like(LABELS)
    elements = EntropyMaximizationLoss(alpha=0.2, reduction="none")(torch.zeros_like(logits), labels)
    torch.testing.assert_close(elements, torch.full_like(elements, -0.2 * torch.log(torch.tensor(2.0)).item()))
    assert (EntropyMaximizationLoss(alpha=0.2, reduction="none")(logits, labels) > elements).all()


def test_soft_labels_count_where_nothing_is_known(logits: Tensor) -> None:
    loss = EntropyMaximizationLoss(alpha=0.1, beta=0.5, reduction="none")
    soft = torch.full(LABELS.shape, torch.nan, dtype=torch.float64)
    torch.testing.assert_close(loss(logits, LABELS, soft), loss(logits, LABELS))
    soft[:] = 0.25
    elements = loss(logits, LABELS, soft)
    cross = torch.nn.functional.binary_cross_entropy_with_logits(logits, soft, reduction="none")
    unknown = LABELS == 0
    torch.testing.assert_close(elements[unknown], 0.5 * cross[unknown])
    torch.testing.assert_close(elements[~unknown], loss(logits, LABELS)[~unknown])
    assert torch.autograd.gradcheck(lambda x: loss(x, LABELS, soft), logits.requires_grad_())


def test_soft_labels_are_checked(logits: Tensor) -> None:
    loss = EntropyMaximizationLoss(beta=0.5)
    with pytest.raises(ValueError, match="give beta for EM"):
        EntropyMaximizationLoss()(logits, LABELS, torch.zeros(4, 5))
    with pytest.raises(ValueError, match=r"soft: .*\[4, 5\], got torch.float32 of shape \[4, 4\]"):
        loss(logits, LABELS, torch.zeros(4, 4))
    with pytest.raises(ValueError, match=r"soft: .*\[0, 1\] or NaN, got -0.5"):
        loss(logits, LABELS, torch.full((4, 5), -0.5))


def test_soft_negatives_grow_to_the_share() -> None:
    """Epoch by epoch the same number, the lowest first, never one twice, never a known one."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.where(torch.rand(200, 3, generator=generator) < 0.3, 1, 0)
    scores = torch.rand(200, 3, generator=generator)
    soft, unknown = None, (labels == 0).sum(dim=0)
    for epoch in range(1, 6):
        before = soft
        soft = select_soft_negatives(scores, labels, soft, epochs=10, warmup=5)
        if before is not None:
            assert torch.equal(soft[~before.isnan()], before[~before.isnan()])
        counts = (~soft.isnan()).sum(dim=0)
        assert counts.tolist() == [epoch * int(0.9 * u / 5) for u in unknown.tolist()]
        assert (labels[~soft.isnan()] == 0).all()
        for c in range(3):
            free = (labels[:, c] == 0) & soft[:, c].isnan()
            assert scores[free, c].min() >= soft[~soft[:, c].isnan(), c].max()
    assert select_soft_negatives(scores, torch.ones_like(labels), None, epochs=2, warmup=1).isnan().all()


@pytest.mark.parametrize("options", [{"epochs": 5, "warmup": 5}, {"epochs": 5, "warmup": 1, "share": 1.1}])
def test_selection_refuses_impossible_plans(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"warmup: |share: "):
        select_soft_negatives(torch.full((4, 5), 0.5), LABELS, None, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="probabilities: "):
        select_soft_negatives(torch.full((4, 5), 1.5), LABELS, None, epochs=5, warmup=1)


def large_loss(scheme: str, variant: str, delta: float, epoch: int) -> LargeLoss:
    loss = LargeLoss(scheme, variant=variant, delta=delta, reduction="none")  # type: ignore[arg-type]
    loss.set_epoch(epoch)
    return loss


def test_a_threshold_of_zero_takes_everything_in_the_release_only() -> None:
    """Two unknown entries, k = 4: the fourth largest loss is 0."""
    logits = torch.tensor([[2.0, -1.0, 3.0, 0.5]], dtype=torch.float64)
    labels = torch.tensor([[1, -1, 0, 0]])
    plain = LargeLoss("R", reduction="none")(logits, labels)
    assert (large_loss("R", "code", 1.0, 1)(logits, labels) == 0).all()
    softplus = torch.nn.functional.softplus
    swapped = torch.tensor([[1.0, -1.0, -1.0, -1.0]]) * logits  # the observed positive is pushed to absent
    torch.testing.assert_close(large_loss("Ct", "code", 1.0, 1)(logits, labels), softplus(swapped))
    for scheme in ("R", "Ct", "Cp"):
        ours = large_loss(scheme, "paper", 1.0, 1)(logits, labels)
        torch.testing.assert_close(ours[:, :2], plain[:, :2])
        expected = torch.zeros(1, 2, dtype=torch.float64) if scheme == "R" else softplus(-logits[:, 2:])
        torch.testing.assert_close(ours[:, 2:], expected)


def test_losses_that_underflow_are_not_corrected() -> None:
    logits, labels = torch.full((2, 3), -200.0), torch.zeros(2, 3)
    assert (large_loss("Ct", "paper", 0.5, 1)(logits, labels) == 0).all()
    assert (large_loss("Ct", "code", 0.5, 1)(logits, labels) > 100).all()


def test_only_the_intended_cp_is_permanent() -> None:
    assert large_loss("Cp", "paper", 0.1, 1).permanent
    assert not any(large_loss(s, v, 0.1, 1).permanent for s, v in (("Cp", "code"), ("Ct", "paper"), ("R", "paper")))


def test_k_grows_with_the_epoch_except_for_cp() -> None:
    logits = torch.randn(10, 10, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(10, 10)
    for epoch in (1, 3):
        assert (large_loss("R", "paper", 0.05, epoch)(logits, labels) == 0).sum() == 5 * epoch
        assert large_loss("Cp", "paper", 0.05, epoch).corrections(logits, labels).sum() == 4  # strictly above the fifth
    assert not large_loss("R", "paper", 0.05, 0).corrections(logits, labels).any()


def test_splc_corrects_confident_unknown_labels_only() -> None:
    logits = torch.tensor([[3.0, 3.0, 3.0, 0.4, -3.0]])
    labels = torch.tensor([[1, -1, 0, 0, 0]])
    loss = SPLCLoss()
    assert not loss.corrections(logits, labels).any()
    loss.set_epoch(1)
    assert loss.corrections(logits, labels).tolist() == [[False, False, True, False, False]]


def test_hill_reads_unknown_as_absent(logits: Tensor) -> None:
    absent = torch.where(LABELS == 0, -1, LABELS)
    torch.testing.assert_close(HillLoss()(logits, LABELS), HillLoss()(logits, absent))
