"""The optimisers of stages are torch's to the bit, without its compiler."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ltbench.engine.optimizers import optimizer_of, set_rates
from ltbench.method import GradientStage, ParamGroup

TORCHS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def stage_of(optimizer: Any) -> GradientStage:
    module = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    first, last = list(module[0].parameters()), list(module[2].parameters())
    groups = [ParamGroup(first, lr=0.1, weight_decay=0.01), ParamGroup(last, lr=0.02)]
    return GradientStage("train", module, groups, epochs=2, optimizer=optimizer)


def moved(module: nn.Module, optimizer: torch.optim.Optimizer, rows: Tensor) -> list[Tensor]:
    module(rows).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    assert all(p.grad is None for p in module.parameters())
    return [p.detach().clone() for p in module.parameters()]


@pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])
@pytest.mark.parametrize("name", TORCHS)
def test_steps_and_states_are_those_of_torch(name: str, fused: bool) -> None:
    torch.manual_seed(0)
    stage = stage_of(name)
    other = copy.deepcopy(stage.module)
    ours = optimizer_of(stage, fused)
    how = {"momentum": stage.momentum} if name == "sgd" else {"betas": stage.betas}
    groups = [
        {"params": list(part.parameters()), "weight_decay": described.weight_decay}
        for part, described in zip((other[0], other[2]), stage.param_groups, strict=True)
    ]
    torchs = TORCHS[name](groups, lr=0.0, **how, **({"fused": True} if fused else {}))
    for step in range(6):
        for optimizer in (ours, torchs):
            set_rates(optimizer, stage, step, 3)
        if step == 3:
            # As a run goes on from a checkpoint.
            ours.load_state_dict(copy.deepcopy(torchs.state_dict()))
        rows = torch.randn(4, 6)
        one, two = moved(stage.module, ours, rows), moved(other, torchs, rows)
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    state, expected = ours.state_dict(), torchs.state_dict()
    assert state["param_groups"] == expected["param_groups"]
    assert state["state"].keys() == expected["state"].keys()
    for number, held in expected["state"].items():
        for key, value in held.items():
            assert torch.equal(torch.as_tensor(state["state"][number][key]), torch.as_tensor(value))


def test_a_step_is_not_part_of_the_graph() -> None:
    stage = stage_of("sgd")
    optimizer = optimizer_of(stage)
    moved(stage.module, optimizer, torch.randn(4, 6))
    assert torch.is_grad_enabled()
    assert all(p.is_leaf and p.requires_grad for p in stage.module.parameters())
