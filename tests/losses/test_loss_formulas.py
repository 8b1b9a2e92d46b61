"""Element-wise families against their formulas written out number by number, where no golden vectors are at hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from ltbench.losses import (
    ClassBalancedLoss,
    DistributionBalancedLoss,
    FocalLoss,
    LSEPLoss,
    MultiLabelLoss,
    NegativeTolerantRegularization,
    RebalancedBCELoss,
    ReweightedBCELoss,
    ZLPRLoss,
)

COUNTS = [40, 9, 2]
N = 60
LOGITS = [[0.7, -1.2, 0.3], [-0.4, 2.1, -3.0]]
LABELS = [[1, -1, 1], [1, 0, -1]]
KNOWN = 5

Element = Callable[[int, int, float, int], float]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def bce(s: float, y: int) -> float:
    return -math.log(sigmoid(y * s))


def focal(s: float, y: int, gamma: float, factor: float) -> float:
    return factor * (1 - sigmoid(y * s)) ** gamma * bce(s, y)


def effective(n: float, beta: float = 0.9) -> float:
    return (1 - beta) / (1 - beta**n)


def counts_present(row: int) -> list[int]:
    return [n for n, y in zip(COUNTS, LABELS[row], strict=True) if y > 0]


def rebalanced(row: int, column: int, *, everywhere: bool = False) -> float:
    total = sum(1 / n for n in (COUNTS if everywhere else counts_present(row)))
    return 0.1 + sigmoid(10 * (1 / COUNTS[column] / total - 0.3))


def tolerant(c: int, s: float, y: int, kappa: float, scale: float) -> tuple[float, float]:
    z = s - kappa * math.log(N / COUNTS[c] - 1)
    return (z, 1.0) if y > 0 else (scale * z, 1 / scale)


def db(b: int, c: int, s: float, y: int, *, code: bool, everywhere: bool = False, factor: float = 2.0) -> float:
    z, weight = tolerant(c, s, y, 0.05 / 5 if code else 0.05, 5.0)
    return weight * rebalanced(b, c, everywhere=everywhere) * focal(z, y, 2.0, factor)


FORMULAS: dict[str, tuple[Callable[..., MultiLabelLoss], Element]] = {
    "inverse": (
        lambda **o: ReweightedBCELoss(COUNTS, N, mode="inverse", **o),
        lambda b, c, s, y: N / COUNTS[c] * bce(s, y),
    ),
    "inverse-sqrt": (
        lambda **o: ReweightedBCELoss(COUNTS, N, **o),
        lambda b, c, s, y: math.sqrt(N / COUNTS[c]) * bce(s, y),
    ),
    "focal": (lambda **o: FocalLoss(gamma=1.5, **o), lambda b, c, s, y: focal(s, y, 1.5, 0.25)),
    "by_class": (
        lambda **o: ClassBalancedLoss(COUNTS, gamma=None, **o),
        lambda b, c, s, y: effective(COUNTS[c]) * bce(s, y),
    ),
    "average_n": (
        lambda **o: ClassBalancedLoss(COUNTS, mode="average_n", **o),
        lambda b, c, s, y: effective(sum(counts_present(b)) / len(counts_present(b))) * focal(s, y, 2.0, 2.0),
    ),
    "average_w": (
        lambda **o: ClassBalancedLoss(COUNTS, mode="average_w", **o),
        lambda b, c, s, y: sum(map(effective, counts_present(b))) / len(counts_present(b)) * focal(s, y, 2.0, 2.0),
    ),
    "min_n": (
        lambda **o: ClassBalancedLoss(COUNTS, mode="min_n", **o),
        lambda b, c, s, y: effective(min(counts_present(b))) * focal(s, y, 2.0, 2.0),
    ),
    "rbce": (lambda **o: RebalancedBCELoss(COUNTS, **o), lambda b, c, s, y: rebalanced(b, c) * bce(s, y)),
    "db-paper": (lambda **o: DistributionBalancedLoss(COUNTS, N, **o), lambda *a: db(*a, code=False)),
    "db-code": (lambda **o: DistributionBalancedLoss(COUNTS, N, variant="code", **o), lambda *a: db(*a, code=True)),
    "db-lmpt": (
        lambda **o: DistributionBalancedLoss(COUNTS, N, normalise="all", focal_factor=1.0, **o),
        lambda *a: db(*a, code=False, everywhere=True, factor=1.0),
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_elements_follow_the_formula(name: str) -> None:
    build, element = FORMULAS[name]
    logits = torch.tensor(LOGITS, dtype=torch.float64)
    expected = torch.tensor(
        [[element(b, c, LOGITS[b][c], y) if y else 0.0 for c, y in enumerate(row)] for b, row in enumerate(LABELS)],
        dtype=torch.float64,
    )
    torch.testing.assert_close(build(reduction="none")(logits, torch.tensor(LABELS)), expected)
    torch.testing.assert_close(build()(logits, torch.tensor(LABELS)), expected.sum() / KNOWN)


def test_lmpt_code_modulates_the_batch_by_one_number() -> None:
    plain, weighted = [], []
    for b, row in enumerate(LABELS):
        for c, y in enumerate(row):
            if y:
                z, weight = tolerant(c, LOGITS[b][c], y, 0.05 / 5, 5.0)
                plain.append(bce(z, y))
                weighted.append(weight * rebalanced(b, c) * bce(z, y))
    expected = 2 * (1 - math.exp(-sum(plain) / KNOWN)) ** 2 * sum(weighted) / KNOWN
    loss = DistributionBalancedLoss(COUNTS, N, variant="lmpt-code")
    assert float(loss(torch.tensor(LOGITS, dtype=torch.float64), torch.tensor(LABELS))) == pytest.approx(expected)


def test_ntr_may_leave_the_weight_of_negatives() -> None:
    ntr = NegativeTolerantRegularization(COUNTS, N, weight_negatives=False)
    logits, labels = torch.tensor(LOGITS, dtype=torch.float64), torch.tensor(LABELS)
    shifted, weights = ntr(logits, labels)
    assert (weights == 1).all()
    expected = tolerant(1, LOGITS[0][1], -1, 0.05, 5.0)[0]
    assert float(shifted[0, 1]) == pytest.approx(expected)


def pairs(rows: list[list[float]], labels: list[list[int]], gamma: float) -> list[float]:
    return [
        math.log(
            1
            + sum(
                math.exp(gamma * (a - p))
                for p, yp in zip(row, signs, strict=True)
                for a, ya in zip(row, signs, strict=True)
                if yp > 0 and ya < 0
            )
        )
        for row, signs in zip(rows, labels, strict=True)
    ]


@pytest.mark.parametrize("gamma", [1.0, 3.0])
def test_lsep_sums_over_pairs(gamma: float) -> None:
    logits, labels = torch.tensor(LOGITS, dtype=torch.float64), torch.tensor(LABELS)
    for axis, rows, signs in (("image", logits, labels), ("class", logits.T, labels.T)):
        options: dict[str, Any] = {"gamma": gamma, "axis": axis, "reduction": "none"}
        expected = torch.tensor(pairs(rows.tolist(), signs.tolist(), gamma), dtype=torch.float64)
        torch.testing.assert_close(LSEPLoss(**options)(logits, labels), expected)


def test_zlpr_adds_both_sides() -> None:
    logits, labels = torch.tensor(LOGITS, dtype=torch.float64), torch.tensor(LABELS)
    e = math.exp
    expected = [
        math.log(1 + e(-0.7) + e(-0.3)) + math.log(1 + e(-1.2)),
        math.log(1 + e(0.4)) + math.log(1 + e(-3.0)),
    ]
    torch.testing.assert_close(ZLPRLoss(reduction="none")(logits, labels), torch.tensor(expected, dtype=torch.float64))
