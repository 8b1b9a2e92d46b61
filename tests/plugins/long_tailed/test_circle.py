"""The recipe circle: its options reach the loss, and its scores are logits over a scale."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ltbench.method import Stats
from ltbench_baselines.common.losses_by_name import LossConfig, build_loss

LABELS = np.array([[1, -1, -1], [1, 1, -1], [-1, 1, 0]], dtype=np.int8)


@pytest.mark.parametrize("axis", ["image", "class"])
def test_pairs_of_a_present_and_an_absent_score(axis: str) -> None:
    config = LossConfig(loss="circle", circle_margin=0.4, circle_gamma=20.0, circle_scale=5.0, ranking_axis=axis)
    logits = torch.tensor([[3.0, -1.0, 2.0], [4.0, -2.0, 1.0], [0.5, 6.0, 9.0]])
    found = build_loss(config, Stats.of(LABELS), "paper")(logits, torch.from_numpy(LABELS))
    scores, margin, gamma = logits.double().numpy() / 5.0, 0.4, 20.0
    labels = LABELS if axis == "image" else LABELS.T
    values = []
    for row, known in zip(scores if axis == "image" else scores.T, labels, strict=True):
        pairs = [
            np.exp(gamma * max(n + margin, 0) * (n - margin) - gamma * max(1 + margin - p, 0) * (p - 1 + margin))
            for p in row[known == 1]
            for n in row[known == -1]
        ]
        values.append(np.log1p(sum(pairs)))
    assert float(found) == pytest.approx(np.mean(values), rel=1e-5)
