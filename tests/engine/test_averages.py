"""Momentum that goes against the rate, and averages of batch statistics: schedule, optimiser, module."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from engine import toys
from engine.harness import DIM, NAMES, Result, make_world, run
from engine.toy_modules import NormalisedHead
from ltbench.engine.seeds import reseed
from ltbench.method.stages import Schedule

EPOCHS = 3


def trained(folder: Path, **options: object) -> Result:
    return run(toys.Cycling(toys.Cycling.Config(epochs=EPOCHS, **options)), make_world(), folder)


@pytest.mark.parametrize("peak", [0.2, 0.3, 0.5])
@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_one_cycle_is_that_of_torch(name: str, peak: float) -> None:
    """Rates and momenta at every step, of training that stops before the end of its schedule."""
    weight = [torch.nn.Parameter(torch.zeros(1))]
    steps, epochs = 7, 5
    optimizer = torch.optim.Adam(weight, lr=0.0) if name == "adam" else torch.optim.SGD(weight, lr=0.0, momentum=0.9)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=steps * epochs, pct_start=peak)
    ours = Schedule("onecycle", peak=peak, momenta=(0.95, 0.85))
    for step in range(steps * epochs):
        (group,) = optimizer.param_groups
        assert 0.1 * ours.factor(step, steps, epochs) == pytest.approx(group["lr"], rel=1e-12)
        momentum = group["betas"][0] if name == "adam" else group["momentum"]
        assert ours.momentum(step, steps, epochs) == pytest.approx(momentum, rel=1e-12)
        optimizer.step()
        if step + 1 < steps * epochs:
            theirs.step()


def test_momentum_is_the_stage_s_own_unless_it_cycles() -> None:
    assert Schedule("onecycle").momentum(3, 5, 2) is None
    held = Schedule("onecycle", momenta=(0.9, 0.8), hold_epochs=1)
    assert [held.momentum(step, 5, 2) for step in (0, 4, 5)] == [0.9, 0.9, 0.9]
    by_epoch = Schedule("onecycle", momenta=(0.9, 0.8), per="epoch")
    assert by_epoch.momentum(9, 5, 2) == by_epoch.momentum(5, 5, 2) != by_epoch.momentum(4, 5, 2)


@pytest.mark.parametrize(("kind", "momenta"), [("cosine", (0.95, 0.85)), ("onecycle", (1.0, 0.85))])
def test_momenta_that_cannot_be(kind: Literal["cosine", "onecycle"], momenta: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="momenta"):
        Schedule(kind, momenta=momenta)


def by_hand(name: str) -> dict[str, torch.Tensor]:
    """What ``Cycling`` should do, in plain torch with torch's own scheduler; returns the averaged state."""
    world, options = make_world(), toys.Cycling.Config()
    rows = len(world.train)
    inputs = torch.from_numpy(np.stack([world.table[row][0] for row in world.train.ids]))
    labels = torch.from_numpy(world.train.observed)
    reseed(0, "init")
    module = NormalisedHead(DIM, len(NAMES))
    weights = list(module.parameters())
    if name == "sgd":
        optimizer: torch.optim.Optimizer = torch.optim.SGD(weights, lr=0.0, momentum=0.9)
    else:
        optimizer = (torch.optim.Adam if name == "adam" else torch.optim.AdamW)(weights, lr=0.0, weight_decay=0)
    size = options.batch_size
    total = -(-rows // size) * EPOCHS
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.05, total_steps=total, pct_start=0.4)
    average = {key: value.clone() for key, value in module.state_dict().items() if value.is_floating_point()}
    step = 0
    for epoch in range(EPOCHS):
        order = reseed(0, "train", epoch).permutation(rows)
        for start in range(0, rows, size):
            at = order[start : start + size]
            optimizer.zero_grad()
            toys.known_bce(module.linear(module.norm(inputs[at])), labels[at]).backward()
            optimizer.step()
            step += 1
            if step < total:
                scheduler.step()
            state = module.state_dict()
            average = {key: 0.8 * value + 0.2 * state[key] for key, value in average.items()}
    return average


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_cycled_momentum_and_averages_equal_plain_torch(name: str, tmp_path: Path) -> None:
    found = trained(tmp_path, optimizer=name).phase.module.state_dict()
    wanted = by_hand(name)
    assert {"linear.weight", "norm.weight", "norm.running_mean", "norm.running_var"} < set(wanted)
    for key, value in wanted.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-6, msg=key)


def test_batch_statistics_are_averaged_where_asked_for(tmp_path: Path) -> None:
    results = {flag: trained(tmp_path / str(flag), ema_buffers=flag) for flag in (True, False)}
    modules: dict[bool, NormalisedHead] = {flag: result.phase.module for flag, result in results.items()}
    # Weights and statistics are learned alike; what predicts differs in the statistics alone.
    torch.testing.assert_close(modules[True].linear.weight, modules[False].linear.weight, rtol=0, atol=0)
    last = modules[False].norm.running_mean
    assert last is not None
    begun = [*modules[True].seen, last]
    average = begun[0]
    for after in begun[1:]:
        average = 0.8 * average + 0.2 * after
    found = modules[True].norm.running_mean
    assert found is not None
    torch.testing.assert_close(found, average, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(found, last)
    # A count has no mean.
    assert modules[True].norm.num_batches_tracked == modules[False].norm.num_batches_tracked == len(begun) - 1
