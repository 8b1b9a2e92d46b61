"""Every loss in each form that differs, on five classes, and labels for them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ltbench.losses import (
    AssumeNegativeLoss,
    AsymmetricLoss,
    BCELoss,
    CircleLoss,
    ClassBalancedLoss,
    DistributionallyRobustLoss,
    DistributionBalancedLoss,
    EntropyMaximizationLoss,
    EpochLoss,
    ExpectedPositivesLoss,
    FocalFactors,
    FocalLoss,
    HillLoss,
    IgnoreUnknownLoss,
    LargeLoss,
    LDAMLoss,
    LSEPLoss,
    MarginRankingLoss,
    MultiFocalLoss,
    MultiLabelLoss,
    NegativeTolerantRegularization,
    OwnUnknownLoss,
    PairwiseRankingLoss,
    PartialAsymmetricLoss,
    PartialBCELoss,
    RankNetLoss,
    RebalancedBCELoss,
    ReweightedBCELoss,
    SelectiveAsymmetricLoss,
    SoftPartialBCELoss,
    SPLCLoss,
    WeakAssumeNegativeLoss,
    ZLPRLoss,
)

COUNTS = [40, 25, 9, 3, 1]
N = 60
NTR = {"class_counts": COUNTS, "num_images": N, "neg_scale": 2.0}


def later(loss: EpochLoss) -> EpochLoss:
    loss.set_epoch(2)
    return loss


LOSSES: dict[str, Callable[..., MultiLabelLoss]] = {
    "bce": lambda **o: BCELoss(**o),
    "inverse": lambda **o: ReweightedBCELoss(COUNTS, N, mode="inverse", **o),
    "inverse-sqrt": lambda **o: ReweightedBCELoss(COUNTS, N, **o),
    "focal": lambda **o: FocalLoss(**o),
    "focal-half": lambda **o: FocalLoss(gamma=0.5, **o),
    "focal-ntr": lambda **o: FocalLoss(ntr=NegativeTolerantRegularization(**NTR), **o),
    "cb": lambda **o: ClassBalancedLoss(COUNTS, **o),
    "cb-average-n": lambda **o: ClassBalancedLoss(COUNTS, mode="average_n", **o),
    "cb-average-w": lambda **o: ClassBalancedLoss(COUNTS, mode="average_w", gamma=None, **o),
    "cb-min-n": lambda **o: ClassBalancedLoss(COUNTS, mode="min_n", **o),
    "rbce": lambda **o: RebalancedBCELoss(COUNTS, **o),
    "rbce-focal": lambda **o: RebalancedBCELoss(COUNTS, gamma=2.0, **o),
    "db": lambda **o: DistributionBalancedLoss(COUNTS, N, gamma=None, **o),
    "db-focal": lambda **o: DistributionBalancedLoss(COUNTS, N, **o),
    "db-focal-code": lambda **o: DistributionBalancedLoss(COUNTS, N, variant="code", weight_norm="by_image", **o),
    "db-lmpt": lambda **o: DistributionBalancedLoss(COUNTS, N, normalise="all", focal_factor=1.0, **o),
    "asl": lambda **o: AsymmetricLoss(**o),
    "asl-no-clip": lambda **o: AsymmetricLoss(clip=0.0, gamma_neg=0.5, gamma_pos=0.5, **o),
    "asl-root": lambda **o: AsymmetricLoss(gamma_neg=0.5, **o),
    "asl-code": lambda **o: AsymmetricLoss(variant="code", **o),
    "ldam": lambda **o: LDAMLoss(COUNTS, **o),
    "ldam-scaled": lambda **o: LDAMLoss(COUNTS, max_margin=1.0, scale=3.0, **o),
    "lsep": lambda **o: LSEPLoss(gamma=5.0, **o),
    "c-lsep": lambda **o: LSEPLoss(gamma=5.0, axis="class", **o),
    "zlpr": lambda **o: ZLPRLoss(**o),
    "c-zlpr": lambda **o: ZLPRLoss(axis="class", **o),
    "dr": lambda **o: DistributionallyRobustLoss(**o),
    "dr-gc": lambda **o: DistributionallyRobustLoss(gamma2=10.0, constraint="both", **o),
    # Paces that are constants to the gradient would not agree with differences of values; see test_ldam_circle.py.
    "circle": lambda **o: CircleLoss(gamma=2.0, detach_paces=False, **o),
    "c-circle": lambda **o: CircleLoss(gamma=2.0, scale=4.0, axis="class", detach_paces=False, **o),
    "db-lmpt-code": lambda **o: DistributionBalancedLoss(COUNTS, N, variant="lmpt-code", **o),
    "an": lambda **o: AssumeNegativeLoss(**o),
    "an-code": lambda **o: AssumeNegativeLoss(variant="code", **o),
    "lsan": lambda **o: AssumeNegativeLoss(smoothing=0.1, **o),
    "wan": lambda **o: WeakAssumeNegativeLoss(**o),
    "iu": lambda **o: IgnoreUnknownLoss(**o),
    "pr": lambda **o: PairwiseRankingLoss(**o),
    "epr": lambda **o: ExpectedPositivesLoss(2.9, **o),
    "em": lambda **o: EntropyMaximizationLoss(alpha=0.2, **o),
    "em-code": lambda **o: EntropyMaximizationLoss(variant="code", **o),
    "ll-first": lambda **o: LargeLoss("R", **o),
    **{
        f"ll-{scheme}-{variant}": lambda o=(scheme, variant), **k: later(LargeLoss(o[0], variant=o[1], delta=0.1, **k))
        for scheme in ("R", "Ct", "Cp")
        for variant in ("paper", "code")
    },
    "hill": lambda **o: HillLoss(**o),
    "splc": lambda **o: SPLCLoss(**o),
    "splc-later": lambda **o: later(SPLCLoss(**o)),
    # Powers that are constants to the gradient: as for circle, see test_limited_losses.py.
    "dualcoop-positive": lambda **o: PartialAsymmetricLoss(prompts="positive", detach_weights=False, **o),
    "dualcoop-negative": lambda **o: PartialAsymmetricLoss(
        prompts="negative", detach_weights=False, variant="code", **o
    ),
    "mfm": lambda **o: MultiFocalLoss(COUNTS, factors=FocalFactors(variant="paper"), **o),
    "mfm-code": lambda **o: MultiFocalLoss(COUNTS, factors=FocalFactors(detach=False), **o),
    "mfm-together": lambda **o: MultiFocalLoss(
        COUNTS, factors=FocalFactors(detach=False), cooccurrence=torch.diag(torch.tensor(COUNTS)) + 1, **o
    ),
    "p-asl": lambda **o: SelectiveAsymmetricLoss(top_k=1, detach_weights=False, **o),
    "p-asl-code": lambda **o: SelectiveAsymmetricLoss(top_k=1, clip=0.05, detach_weights=False, variant="code", **o),
    "durand": lambda **o: PartialBCELoss(**o),
    "soft-partial": lambda **o: SoftPartialBCELoss(**o),
    "ranknet": lambda **o: RankNetLoss(**o),
    "margin-ranking": lambda **o: MarginRankingLoss(**o),
}
MEAN_ONLY = {"db-lmpt-code", "epr"}
# "mean" divides by B * C: where unknown labels are read, and where a release does so anyhow.
OVER_ALL = {name for name, make in LOSSES.items() if isinstance(make(), OwnUnknownLoss)} | {"iu"}
READING = [name for name, make in LOSSES.items() if isinstance(make(), OwnUnknownLoss)]
LEAVING_OUT = [name for name in LOSSES if name not in READING]
# The smallest element: an entropy that is maximised, or the log of 1 + 1e-5.
LOWEST = {"an-code": -1.1e-5, "em": -0.2, "em-code": -0.1}
LABELS = torch.tensor([[1, -1, 0, 1, -1], [-1, 0, 0, -1, 0], [1, 1, 1, -1, 1], [0, -1, -1, 0, 1]], dtype=torch.int8)


def grad_of(loss: MultiLabelLoss, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    leaf = logits.detach().clone().requires_grad_()
    value = loss(leaf, labels)
    (grad,) = torch.autograd.grad(value.sum(), leaf)
    return value.detach(), grad
