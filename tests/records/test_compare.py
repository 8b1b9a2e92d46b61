from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ltbench.metrics.bootstrap import multiplicities
from ltbench.metrics.contract import evaluate
from ltbench.records.compare import replicates_of, spread_of, subset_replicates
from ltbench.tasks.views import open_truth
from records import builders as b

TRUTH = open_truth(b.task(), b.data_set())
STRONG = [b.logits_for(TRUTH, seed, 1.5) for seed in range(3)]
WEAK = [b.logits_for(TRUTH, seed + 10, 0.2) for seed in range(2)]


@pytest.mark.parametrize("metric", ["mAP", "CF1", "F1@3"])
def test_a_replicate_is_the_score_of_the_drawn_images_averaged_over_seeds(metric: str) -> None:
    found = replicates_of(STRONG, TRUTH, metric, draws=5)
    weights = np.concatenate(list(multiplicities(len(TRUTH.ids), 5, 0)), axis=1)
    for column, value in enumerate(found):
        drawn = np.repeat(np.arange(len(TRUTH.ids)), weights[:, column])
        scores = [evaluate(one[drawn], TRUTH.labels[drawn], None, [metric])[metric]["total"] for one in STRONG]
        assert value == pytest.approx(np.mean([score for score in scores if score is not None]), abs=1e-9)


def test_groups_come_from_the_same_draws() -> None:
    found = subset_replicates(STRONG, TRUTH, {"first": (0,), "all": range(5)}, draws=7)
    assert np.array_equal(found["total"], replicates_of(STRONG, TRUTH, draws=7))
    assert np.array_equal(found["all"], found["total"])
    assert not np.array_equal(found["first"], found["total"])


def test_the_spread_of_a_difference_is_symmetric_and_less_than_of_independent_rows() -> None:
    a, c = (replicates_of(side, TRUTH, draws=200) for side in (STRONG, STRONG[:1]))
    assert spread_of(a, c) == spread_of(c, a)
    assert (spread_of(a, c) or 0.0) < np.hypot(a.std(), c.std()), "both see the same images"
    assert spread_of(a, a) == 0.0
    gone = a.copy()
    gone[1:] = np.nan
    assert spread_of(gone, a) is None
    assert spread_of(np.where(np.arange(200) < 5, np.nan, a), c) == pytest.approx(np.std((a - c)[5:], ddof=1), abs=1e-6)


def test_nothing_to_compare_without_positives() -> None:
    empty = dataclasses.replace(TRUTH, labels=-np.ones_like(TRUTH.labels))
    assert np.isnan(replicates_of(WEAK, empty, draws=5)).all()
