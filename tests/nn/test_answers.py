"""Answers: log p of the softmax over classes, exact where float32's own softmax ties, ranked as the metric ranks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ltbench.metrics.ap import softmax_log_odds
from ltbench.metrics.contract import softmax_ranking
from ltbench.metrics.judged import judged
from ltbench.nn import answer
from ltbench.nn.answers import log_softmax


def drawn(rows: int, classes: int, spread: float = 10.0) -> torch.Tensor:
    return spread * torch.randn(rows, classes, generator=torch.Generator().manual_seed(rows))


@pytest.mark.parametrize(("rows", "classes"), [(300, 20), (1, 2), (4, 80), (0, 3)])
def test_it_is_the_logarithm_of_the_softmax(rows: int, classes: int) -> None:
    logits = drawn(rows, classes)
    torch.testing.assert_close(log_softmax(logits), torch.log_softmax(logits.double(), dim=1).float())


def test_logits_are_handed_through() -> None:
    logits = drawn(5, 4)
    assert answer(logits, "logits") is logits
    assert torch.equal(answer(logits, "softmax"), log_softmax(logits))


def test_classes_that_lead_by_far_do_not_tie() -> None:
    """With leads of 20 and 30 torch's log-softmax is 0 for both in float32, and so is no order."""
    logits = torch.tensor([[20.0, 0.0], [30.0, 0.0], [80.0, 0.0]])
    assert torch.log_softmax(logits, dim=1)[:, 0].tolist() == [0.0, 0.0, 0.0]
    found = log_softmax(logits)[:, 0]
    assert found[0] < found[1] < found[2] < 0
    assert found.double().tolist() == pytest.approx([-np.log1p(np.exp(-lead)) for lead in (20.0, 30.0, 80.0)])


def test_one_class_is_certain_everywhere() -> None:
    assert log_softmax(drawn(3, 1)).tolist() == [[0.0], [0.0], [0.0]]


def test_a_class_without_a_chance_stays_finite() -> None:
    found = log_softmax(torch.tensor([[0.0, -1e4, 300.0]]))
    assert bool(torch.isfinite(found).all())
    assert found[0, 1] == -10300.0


def test_average_precision_of_the_answer_is_the_softmax_metric_of_the_logits() -> None:
    logits = drawn(400, 12).numpy()
    rng = np.random.default_rng(0)
    truth = np.where(rng.random(logits.shape) < 1 / (1 + np.exp(-logits / 8)), 1, -1).astype(np.int8)
    handed = log_softmax(torch.from_numpy(logits)).numpy()
    once = np.ones((len(logits), 1), dtype=np.int64)
    by_metric = softmax_ranking(judged(logits, truth))(once)["ap"]
    again = softmax_ranking(judged(handed, truth))(once)["ap"]
    np.testing.assert_allclose(again, by_metric, atol=2e-4)
    ranked = np.argsort(softmax_log_odds(logits), axis=0)
    assert (np.argsort(handed.astype(np.float64), axis=0) == ranked).mean() > 0.99
