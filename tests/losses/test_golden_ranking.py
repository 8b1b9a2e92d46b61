"""ASL and the log-sum-exp families against published code and printed formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from ltbench.losses import AsymmetricLoss, DistributionallyRobustLoss, LSEPLoss, MultiLabelLoss, ZLPRLoss

CODE: dict[str, Callable[[Any, Any], MultiLabelLoss]] = {
    "lmpt_asl": lambda c, r: AsymmetricLoss(gamma_pos=0.0, detach_weights=True, variant="code", reduction=r),
    "lmpt_asl_defaults": lambda c, r: AsymmetricLoss(variant="code", reduction=r),
    "dr_loss_g5_7": lambda c, r: DistributionallyRobustLoss(reduction=r),
    "dr_loss_g5_10": lambda c, r: DistributionallyRobustLoss(gamma2=10.0, reduction=r),
    "dr_loss_g1_1": lambda c, r: DistributionallyRobustLoss(gamma1=1.0, gamma2=1.0, reduction=r),
    "dr_loss_g5_1": lambda c, r: DistributionallyRobustLoss(gamma2=1.0, reduction=r),
}


@pytest.mark.parametrize("key", CODE)
def test_meets_the_published_implementation(key: str, matches_reference: Any) -> None:
    matches_reference(key, CODE[key])


PAPER: dict[str, Callable[..., MultiLabelLoss]] = {
    "paper_lsep": LSEPLoss,
    "paper_lsep_g3": lambda **o: LSEPLoss(gamma=3.0, **o),
    "paper_lsep_g5": lambda **o: LSEPLoss(gamma=5.0, **o),
    "paper_clsep_g1": lambda **o: LSEPLoss(axis="class", **o),
    "paper_clsep_g3": lambda **o: LSEPLoss(gamma=3.0, axis="class", **o),
    "paper_clsep_g5": lambda **o: LSEPLoss(gamma=5.0, axis="class", **o),
    "paper_zlpr": ZLPRLoss,
    "paper_czlpr": lambda **o: ZLPRLoss(axis="class", **o),
    **{
        f"{stem}_g5_{gamma2}": lambda stem=stem, constraint=constraint, gamma2=gamma2, **o: DistributionallyRobustLoss(
            gamma2=gamma2, constraint=constraint, **o
        )
        for stem, constraint in (
            ("paper_dr", "negative"),
            ("paper_clsep_pgc", "positive"),
            ("paper_clsep_gc", "both"),
        )
        for gamma2 in (7, 10)
    },
}


@pytest.mark.parametrize("key", PAPER)
def test_meets_the_printed_formula(key: str, golden: Any, case: Any, dtype: torch.dtype, assert_matches: Any) -> None:
    arrays = golden(key)
    logits = case.logits(dtype)
    assert_matches(PAPER[key](reduction="none")(logits, case.labels), arrays[f"{case.name}__vector"], dtype)
    assert_matches(PAPER[key](reduction="mean")(logits, case.labels), arrays[f"{case.name}__mean"], dtype)
    total = PAPER[key](reduction="sum")(logits, case.labels)
    assert_matches(total, arrays[f"{case.name}__sum"], dtype)
    (grad,) = torch.autograd.grad(total, logits)
    # An exponent of gamma * |s| = 10 * 50 is itself known to 6e-5 in float32, and so is the softmax in the gradient.
    rtol = 1e-4 if (case.name, dtype) == ("voc_big_wrong", torch.float32) else None
    assert_matches(grad, arrays[f"{case.name}__grad_of_sum"], dtype, rtol=rtol)


def test_without_constraint_dr_is_classwise_lsep() -> None:
    logits = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.where(logits > 0.3, 1, -1)
    dr = DistributionallyRobustLoss(constraint="none")(logits, labels)
    torch.testing.assert_close(dr, LSEPLoss(gamma=5.0, axis="class")(logits, labels))


def test_classes_without_one_side() -> None:
    """All-positive column: 0; no positive: log(1 + sum exp(gamma2 s)); and LSEP needs both sides."""
    logits = torch.tensor([[0.5, -0.2], [1.5, 0.1]], dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[1, -1], [1, -1]])
    losses = DistributionallyRobustLoss(reduction="none")(logits, labels)
    expected = torch.stack([torch.zeros(()), torch.log1p(torch.exp(7 * logits[:, 1]).sum())])
    torch.testing.assert_close(losses, expected)
    (grad,) = torch.autograd.grad(losses.sum(), logits)
    assert (grad[:, 0] == 0).all()
    assert (grad[:, 1] > 0).all()
    assert (LSEPLoss(axis="class", reduction="none")(logits, labels) == 0).all()


def test_asl_paper_equals_its_formula_and_code_where_neither_bound_applies() -> None:
    logits = torch.linspace(-6, 6, 40, dtype=torch.float64).view(4, 10)
    labels = torch.tensor([1, -1] * 20).view(4, 10)
    p = torch.sigmoid(logits)
    for clip, positive, negative in ((0.05, 1.0, 4.0), (0.0, 0.0, 2.0), (0.2, 2.0, 0.0)):
        p_m = (p - clip).clamp(min=0)
        expected = torch.where(labels > 0, -((1 - p) ** positive) * torch.log(p), -(p_m**negative) * torch.log(1 - p_m))
        options: dict[str, Any] = {"gamma_neg": negative, "gamma_pos": positive, "clip": clip, "reduction": "none"}
        torch.testing.assert_close(AsymmetricLoss(**options)(logits, labels), expected)
        torch.testing.assert_close(AsymmetricLoss(variant="code", **options)(logits, labels), expected)


def test_asl_detached_weights_change_the_gradient_only() -> None:
    logits = torch.linspace(-3, 3, 8).view(2, 4).requires_grad_()
    labels = torch.tensor([[1, -1, 1, -1]] * 2)
    values = [AsymmetricLoss(detach_weights=flag)(logits, labels) for flag in (False, True)]
    assert torch.equal(*values)
    grads = [torch.autograd.grad(value, logits)[0] for value in values]
    assert not torch.allclose(*grads)


def test_asl_code_is_finite_where_its_release_in_half_precision_is_not(golden: Any) -> None:
    arrays, inputs = golden("lmpt_fp16"), golden("inputs")
    loss = AsymmetricLoss(gamma_pos=0.0, detach_weights=True, variant="code")
    for case in ("voc_b8_s0", "voc_mid20", "voc_big_wrong"):
        logits = torch.from_numpy(inputs[f"{case}__x"]).half()
        value = loss(logits, torch.from_numpy(inputs[f"{case}__y"]) * 2 - 1)
        assert torch.isfinite(value)
        reference = float(arrays[f"asl__{case}__loss"])
        if case == "voc_b8_s0":
            assert float(value) == pytest.approx(reference, rel=2e-3)
        else:
            assert not torch.isfinite(torch.tensor(reference))
