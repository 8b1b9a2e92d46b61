"""Streams keep their shares, resume exactly, and start over only when they have run out; branches go their own way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ltbench.method.stages import Sampler
from ltbench.nn import (
    ClassAwareSampler,
    ClassDrawSampler,
    ShuffleSampler,
    StreamSampler,
    TowerBranches,
    split_streams,
)


def rng(epoch: int) -> np.random.Generator:
    return np.random.default_rng([3, epoch])


def long_tailed() -> np.ndarray:
    """Classes with 30, 6 and 2 rows, one without any; the last rows belong to none."""
    observed = np.full((40, 4), -1, dtype=np.int8)
    observed[:30, 0] = 1
    observed[28:34, 1] = 1
    observed[34:36, 2] = 1
    observed[:, 3] = 0
    return observed


def three_streams(rows: int = 7) -> StreamSampler:
    observed = long_tailed()
    reversed_ = ClassDrawSampler(observed, [1 / 30, 1 / 6, 1 / 2, 1.0])
    return StreamSampler([ShuffleSampler(40), reversed_, ClassAwareSampler(observed, 2, 3)], rows)


def test_rows_come_in_turns_and_split_back_into_their_streams() -> None:
    sampler: Sampler = three_streams(rows=12)
    order = sampler.epoch(0, rng(0))
    assert len(order) == 36
    for start in range(0, 36, 9):
        batch = torch.from_numpy(order[start : start + 9])
        shares = split_streams(batch, 3)
        assert [share.tolist() for share in shares] == [batch[k::3].tolist() for k in range(3)]
    uniform, drawn, aware = split_streams(torch.from_numpy(order), 3)
    assert len(set(uniform.tolist())) == 12
    has_class = (long_tailed() == 1).any(axis=1)
    assert has_class[drawn.numpy()].all()
    assert has_class[aware.numpy()].all()
    with pytest.raises(ValueError, match="10 rows does not split into 3"):
        split_streams(torch.zeros(10), 3)


def test_a_short_epoch_leaves_the_rest_of_a_shuffle_for_the_next() -> None:
    sampler = StreamSampler([ShuffleSampler(40)], rows=10)
    seen = np.concatenate([sampler.epoch(e, rng(e)) for e in range(4)])
    assert sorted(seen.tolist()) == list(range(40))
    # One that is longer than its streams draws them several times.
    twice = StreamSampler([ShuffleSampler(5)], rows=10).epoch(0, rng(0))
    assert sorted(twice.tolist()) == sorted([*range(5), *range(5)])


def test_resumed_streams_go_on_alike() -> None:
    whole, first = three_streams(), three_streams()
    expected = [whole.epoch(e, rng(e)) for e in range(6)]
    for e in range(3):
        np.testing.assert_array_equal(first.epoch(e, rng(e)), expected[e])
    state: dict[str, Any] = first.state_dict()
    resumed = three_streams()
    resumed.load_state_dict(state)
    first.epoch(3, rng(99))  # the state is a copy, not a view
    for e in range(3, 6):
        np.testing.assert_array_equal(resumed.epoch(e, rng(e)), expected[e])
    with pytest.raises(ValueError, match="state is of 3 streams, not of 1"):
        StreamSampler([ShuffleSampler(4)], 2).load_state_dict(state)


def test_reversed_draws_turn_the_tail_around() -> None:
    observed = long_tailed()
    sampler = ClassDrawSampler(observed, [1 / 30, 1 / 6, 1 / 2, 1.0], rows=6000)
    np.testing.assert_allclose(sampler.shares, np.array([1 / 30, 1 / 6, 1 / 2, 0]) / 0.7)
    drawn = sampler.epoch(0, rng(0))
    # Rows 28 and 29 have classes 0 and 1; 0 to 27 only class 0; 34 and 35 only class 2.
    assert np.isin(drawn, [34, 35]).mean() == pytest.approx(0.5 / 0.7, abs=0.03)
    assert (drawn < 28).mean() == pytest.approx(28 / 30 / 30 / 0.7, abs=0.01)
    assert np.isin(drawn, [28, 29]).mean() == pytest.approx((2 / 30 / 30 + 2 / 6 / 6) / 0.7, abs=0.02)
    assert drawn.max() < 36


@pytest.mark.parametrize(
    ("weights", "message"),
    [([1.0, 1.0], "expected 4"), ([1, 1, 1, -1], ">= 0"), ([0, 0, 0, 1], "no class with a weight")],
)
def test_weights_that_draw_nothing_are_refused(weights: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClassDrawSampler(long_tailed(), weights)


def test_no_stream_or_an_empty_one_is_refused() -> None:
    with pytest.raises(ValueError, match="0 streams"):
        StreamSampler([], 3)
    with pytest.raises(ValueError, match="stream 0 drew no row"):
        StreamSampler([ShuffleSampler(0)], 3).epoch(0, rng(0))


class Scaled(nn.Module):
    """Takes a keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, rows: Tensor, *, factor: float) -> Tensor:
        return rows * self.weight * factor


class Keyed(nn.Module):
    """Shared, own, shared, own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block, self.neck, self.end = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 4), Scaled()

    def forward(self, rows: Tensor) -> Tensor:
        out: Tensor = self.end(self.neck(self.block(self.stem(rows))), factor=2.0)
        return out


def by_hand(tower: Keyed, branches: TowerBranches, rows: Tensor, branch: int) -> Tensor:
    parts = [tower.block, tower.end] if branch == 0 else list(branches.copies[branch - 1])
    out: Tensor = parts[1](tower.neck(parts[0](tower.stem(rows))), factor=2.0)
    return out


def branched(count: int = 3) -> tuple[Keyed, TowerBranches]:
    torch.manual_seed(0)
    tower = Keyed()
    branches = TowerBranches(tower, ["block", "end"], count)
    with torch.no_grad():
        for number, parameter in enumerate(branches.parameters(), start=1):
            parameter.add_(0.1 * number)
    return tower, branches


def test_every_branch_sees_all_rows_and_each_its_share() -> None:
    tower, branches = branched()
    rows = torch.randn(6, 3)
    before = tower(rows)
    with branches.every():
        spread = tower(rows)
    torch.testing.assert_close(spread, torch.cat([by_hand(tower, branches, rows, b) for b in range(3)]))
    with branches.each():
        shares = tower(rows)
    torch.testing.assert_close(
        shares, torch.cat([by_hand(tower, branches, rows[2 * b : 2 * b + 2], b) for b in range(3)])
    )
    # Outside, and after an error inside, the tower is what it was.
    with pytest.raises(ValueError, match="5 rows are not 3 equal shares"), branches.each():
        tower(rows[:5])
    torch.testing.assert_close(tower(rows), before, rtol=0, atol=0)


def test_gradients_stay_in_the_branch() -> None:
    tower, branches = branched(2)
    with branches.each():
        tower(torch.randn(4, 3))[2:].sum().backward()
    assert tower.block.weight.grad is None or not tower.block.weight.grad.any()
    assert all(p.grad is not None and p.grad.any() for p in branches.parameters())
    assert tower.stem.weight.grad is not None
    assert tower.stem.weight.grad.any()


def test_copies_start_equal_own_their_state_and_follow_the_mode() -> None:
    tower = nn.ModuleDict({"block": nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout())})
    tower.train()
    tower["block"][1].eval()
    branches = TowerBranches(tower, ["block"])
    branches.eval()
    branches.follow()
    assert [part.training for part in branches.copies[0][0].modules()] == [True, True, False, True]
    assert not {id(p) for p in branches.parameters()} & {id(p) for p in tower.parameters()}
    for own, twin in zip(tower.parameters(), branches.parameters(), strict=True):
        assert torch.equal(own, twin)
    assert all(name.startswith("copies.0.0.") for name in branches.state_dict())
    with pytest.raises(ValueError, match="a part and two branches"):
        TowerBranches(tower, [])
    with pytest.raises(AttributeError):
        TowerBranches(tower, ["elsewhere"])
