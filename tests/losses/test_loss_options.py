"""Counts and options of losses: those that are wrong are named, and those at their ends give exact weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from ltbench.losses import (
    AssumeNegativeLoss,
    AsymmetricLoss,
    BCELoss,
    ClassBalancedLoss,
    DistributionallyRobustLoss,
    DistributionBalancedLoss,
    EntropyMaximizationLoss,
    ExpectedPositivesLoss,
    FocalLoss,
    HillLoss,
    LargeLoss,
    LSEPLoss,
    MarginRankingLoss,
    MultiLabelLoss,
    NegativeTolerantRegularization,
    PartialAsymmetricLoss,
    PartialBCELoss,
    RebalancedBCELoss,
    ReweightedBCELoss,
    SelectiveAsymmetricLoss,
    SoftPartialBCELoss,
    SPLCLoss,
    labels_from_binary,
)
from tests.losses.contract_losses import (
    COUNTS,
    N,
)

BAD_COUNTS: list[tuple[Any, type[Exception], str]] = [
    ([3, 0, 2], ValueError, r"class_counts: .*at least 1.*got 0 at index \[1\]"),
    ([3, -4, -1], ValueError, r"class_counts: .*got -4 at index \[1, 2\]"),
    ([[3, 1]], ValueError, r"class_counts: expected shape \[C\].*got \[1, 2\]"),
    ([], ValueError, r"class_counts: .*got \[0\]"),
    ([1.5, 2.0], ValueError, "class_counts: expected whole numbers"),
    ([float("nan"), 2.0], ValueError, "class_counts: expected whole numbers"),
    ([True, False], TypeError, "class_counts: .*torch.bool"),
]


@pytest.mark.parametrize(("counts", "error", "message"), BAD_COUNTS)
@pytest.mark.parametrize(
    "build",
    [
        lambda c: ReweightedBCELoss(c, N),
        ClassBalancedLoss,
        RebalancedBCELoss,
        lambda c: DistributionBalancedLoss(c, N),
        lambda c: NegativeTolerantRegularization(c, N),
    ],
)
def test_bad_counts_are_named(build: Any, counts: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build(counts)


def test_counts_against_the_number_of_images() -> None:
    with pytest.raises(ValueError, match="61 positive images in a class, but num_images is 60"):
        ReweightedBCELoss([61, 1], N)
    with pytest.raises(ValueError, match=r"below num_images \(60\); classes \[0\]"):
        DistributionBalancedLoss([60, 1], N)
    for bad in (0, -3, 2.5, True):
        with pytest.raises(ValueError, match="num_images"):
            ReweightedBCELoss([1, 1], bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: BCELoss(reduction="average"), "reduction: expected one of 'mean', 'sum', 'none', got 'average'"),
        (lambda: FocalLoss(gamma=-1), "gamma: .*>= 0, got -1"),
        (lambda: FocalLoss(factor=0), "factor: .*> 0, got 0"),
        (lambda: FocalLoss(gamma=float("nan")), "gamma: .*got nan"),
        (lambda: ClassBalancedLoss(COUNTS, beta=1.0), r"beta: .*\[0, 1\)"),
        (lambda: ClassBalancedLoss(COUNTS, mode="max_n"), "mode: .*'min_n', got 'max_n'"),
        (lambda: ReweightedBCELoss(COUNTS, N, mode="log"), "mode: .*got 'log'"),
        (lambda: DistributionBalancedLoss(COUNTS, N, variant="codes"), "variant: .*got 'codes'"),
        (lambda: RebalancedBCELoss(COUNTS, normalise="none"), "normalise: .*got 'none'"),
        (lambda: DistributionBalancedLoss(COUNTS, N, neg_scale=0), "neg_scale: .*> 0"),
        (lambda: AsymmetricLoss(clip=1.0), r"clip: .*\[0, 1\)"),
        (lambda: AsymmetricLoss(variant="asl"), "variant: .*got 'asl'"),
        (lambda: AssumeNegativeLoss(smoothing=1.0), r"smoothing: .*\[0, 1\), got 1"),
        (lambda: AssumeNegativeLoss(variant="cole"), "variant: .*got 'cole'"),
        (lambda: ExpectedPositivesLoss(0), "expected: .*> 0, got 0"),
        (lambda: ExpectedPositivesLoss(1.5, reduction="sum"), "reduction: .*'mean' only, got 'sum'"),
        (lambda: EntropyMaximizationLoss(alpha=-1), "alpha: .*>= 0, got -1"),
        (lambda: LargeLoss("Cx"), "scheme: .*'Cp', got 'Cx'"),
        (lambda: LargeLoss("R", delta=2), r"delta: .*\[0, 1\], got 2"),
        (lambda: HillLoss(lam=0.5), "lam: .*>= 1, got 0.5"),
        (lambda: SPLCLoss(tau=1.5), r"tau: .*\[0, 1\], got 1.5"),
        (lambda: SPLCLoss().set_epoch(-1), "epoch: .*>= 0, got -1"),
        (lambda: SPLCLoss().set_epoch(0.5), "epoch: .*got 0.5"),
        (lambda: PartialAsymmetricLoss(prompts="both"), "prompts: .*'negative', got 'both'"),
        (lambda: SelectiveAsymmetricLoss(top_k=-1), "top_k: .*>= 0, got -1"),
        (lambda: SelectiveAsymmetricLoss(prior=torch.tensor([2.0])), "prior: expected probabilities"),
        (lambda: PartialBCELoss(slope=float("nan")), "slope: .*finite number, got nan"),
        (lambda: SoftPartialBCELoss(margin=1.5), r"margin: .*\[0, 1\], got 1.5"),
        (lambda: MarginRankingLoss(eps=0), "eps: .*> 0, got 0"),
        (lambda: LSEPLoss(axis="batch"), "axis: .*got 'batch'"),
        (lambda: DistributionallyRobustLoss(constraint="ngc"), "constraint: .*got 'ngc'"),
        (lambda: DistributionallyRobustLoss(gamma1=0), "gamma1: .*> 0"),
    ],
)
def test_bad_options_are_named(build: Callable[[], MultiLabelLoss], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_labels_from_binary() -> None:
    expected = torch.tensor([[-1, 1]], dtype=torch.int8)
    for kind in (torch.bool, torch.uint8, torch.int64, torch.float32):
        translated = labels_from_binary(torch.tensor([[0, 1]]).to(kind))
        assert translated.dtype == torch.int8
        assert torch.equal(translated, expected)
    with pytest.raises(ValueError, match="only 0 and 1"):
        labels_from_binary(torch.tensor([[-1, 1]]))


def test_an_image_without_positives() -> None:
    """The class-balanced averages are NaN there in the reference; the rebalanced weight is alpha + 1."""
    absent = -torch.ones(1, 5)
    for mode in ("average_n", "average_w", "min_n"):
        weights = ClassBalancedLoss(COUNTS, mode=mode, beta=0.9).weights(absent)
        torch.testing.assert_close(weights, torch.full((1, 1), 0.1))
    torch.testing.assert_close(RebalancedBCELoss(COUNTS).weights(absent), torch.full((1, 5), 1.1))


def test_class_balanced_weight_keeps_its_digits_near_one() -> None:
    """1 - 0.9999^n of a rare class in float32: exact to float32, where a power of 0.9999 is off by up to 1e-3."""
    exact = (1 - 0.9999) / (1 - 0.9999 ** torch.tensor(COUNTS, dtype=torch.float64))
    weights = ClassBalancedLoss(COUNTS, beta=0.9999).weights(torch.ones(1, 5))
    torch.testing.assert_close(weights.double(), exact, rtol=1e-6, atol=0)
