from __future__ import annotations

import numpy as np
import pytest

from ltbench.metrics.bootstrap import paired_bootstrap
from ltbench.records.compare import paired_difference
from ltbench.tasks.views import open_truth
from records import builders as b

TRUTH = open_truth(b.task(), b.data_set())
STRONG = [b.logits_for(TRUTH, seed, 1.5) for seed in range(3)]
WEAK = [b.logits_for(TRUTH, seed + 10, 0.2) for seed in range(2)]


@pytest.mark.parametrize("metric", ["mAP", "CF1", "F1@3"])
def test_one_seed_each_is_the_paired_bootstrap_of_the_contract(metric: str) -> None:
    found = paired_difference(STRONG[:1], WEAK[:1], TRUTH, metric, replicates=60)
    expected = paired_bootstrap(STRONG[0], WEAK[0], TRUTH.labels, metric=metric, replicates=60)["total"]
    assert found is not None
    assert expected is not None
    for name in ("value", "low", "high"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-6)


def test_seeds_are_averaged_and_sides_swap_signs() -> None:
    found = paired_difference(STRONG, WEAK, TRUTH, replicates=60)
    back = paired_difference(WEAK, STRONG, TRUTH, replicates=60)
    assert found is not None
    assert back is not None
    singles = [
        paired_bootstrap(a, w, TRUTH.labels, replicates=1)["total"].value  # type: ignore[union-attr]
        for a in STRONG
        for w in WEAK
    ]
    assert found.value == pytest.approx(np.mean(singles), abs=1e-6)
    assert (found.value, found.low, found.high) == pytest.approx((-back.value, -back.high, -back.low), abs=1e-6)
    assert found.separated


def test_a_side_compared_with_itself_is_not_told_apart() -> None:
    found = paired_difference(STRONG, STRONG, TRUTH, replicates=20)
    assert found is not None
    assert (found.value, found.low, found.high, found.separated) == (0, 0, 0, False)


def test_nothing_to_compare_without_positives() -> None:
    import dataclasses

    empty = dataclasses.replace(TRUTH, labels=-np.ones_like(TRUTH.labels))
    assert paired_difference(STRONG, WEAK, empty, replicates=5) is None
