"""The optimiser that a gradient stage describes, and its rates at each step.

torch's optimisers import its compiler on their first call, to tell it to leave them alone; that takes longer than short
trainings do. Nothing is compiled here, so that ours are the same functions without that wrapper.
"""

from __future__ import annotations

from inspect import unwrap
from typing import Any

import torch
from torch.optim import Optimizer

from ltbench.method import GradientStage


class _Eager(Optimizer):
    """What all optimisers share, not shown to the compiler."""

    add_param_group = unwrap(Optimizer.add_param_group)
    load_state_dict = unwrap(Optimizer.load_state_dict)
    state_dict = unwrap(Optimizer.state_dict)
    zero_grad = unwrap(Optimizer.zero_grad)


class _SGD(_Eager, torch.optim.SGD):
    step = torch.no_grad()(unwrap(torch.optim.SGD.step))


class _Adam(_Eager, torch.optim.Adam):
    step = torch.no_grad()(unwrap(torch.optim.Adam.step))


class _AdamW(_Eager, torch.optim.AdamW):
    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))


def optimizer_of(stage: GradientStage, fused: bool = False) -> Optimizer:
    """The stage's optimiser over its groups; rates are 0 until :func:`set_rates` sets them.

    Args:
        fused: one kernel for all parameters, as on CUDA; its last bits differ.
    """
    how = {"fused": True} if fused else {}
    groups: list[dict[str, Any]] = [
        {"params": list(group.params), "lr": group.lr, "weight_decay": group.weight_decay}
        for group in stage.param_groups
    ]
    if stage.optimizer == "sgd":
        return _SGD(groups, lr=0.0, momentum=stage.momentum, **how)
    maker = _Adam if stage.optimizer == "adam" else _AdamW
    return maker(groups, lr=0.0, betas=stage.betas, **how)


def set_rates(optimizer: Optimizer, stage: GradientStage, step: int, length: int) -> None:
    """Give each group the learning rate, and the momentum if its schedule has one, of a step.

    Args:
        step: counted from 0 over all epochs.
        length: steps of an epoch.
    """
    for group, described in zip(optimizer.param_groups, stage.param_groups, strict=True):
        group["lr"] = described.lr * described.schedule.factor(step, length, stage.epochs)
        momentum = described.schedule.momentum(step, length, stage.epochs)
        if momentum is not None and "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        elif momentum is not None:
            group["momentum"] = momentum
