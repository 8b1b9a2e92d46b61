"""The optimiser that a gradient stage describes, and its rates at each step."""

from __future__ import annotations

from typing import Any

import torch

from ltbench.method import GradientStage


def optimizer_of(stage: GradientStage, fused: bool = False) -> torch.optim.Optimizer:
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
        return torch.optim.SGD(groups, lr=0.0, momentum=stage.momentum, **how)
    maker = torch.optim.Adam if stage.optimizer == "adam" else torch.optim.AdamW
    return maker(groups, lr=0.0, betas=stage.betas, **how)


def set_rates(optimizer: torch.optim.Optimizer, stage: GradientStage, step: int, length: int) -> None:
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
