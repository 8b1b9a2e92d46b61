"""Which parameters the stages of a method train, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ltbench.backbones.base import Backbone
from ltbench.method import FitStage, GradientStage, Stage


def by_gradient(stages: Sequence[Stage]) -> list[nn.Parameter]:
    """Those that some stage trains by gradient, each once."""
    found = {
        id(p): p
        for stage in stages
        if isinstance(stage, GradientStage)
        for group in stage.param_groups
        for p in group.params
    }
    return list(found.values())


def addresses(stages: Sequence[Stage]) -> set[int]:
    """``data_ptr`` of each parameter trained by gradient."""
    return {p.data_ptr() for p in by_gradient(stages)}


def learned(stages: Sequence[Stage]) -> int:
    """Number of the values trained by gradient or fitted."""
    fitted = {id(p): p for stage in stages if isinstance(stage, FitStage) for p in stage.params}
    return sum(p.numel() for p in by_gradient(stages)) + sum(p.numel() for p in fitted.values())


def used(stages: Sequence[Stage], backbone: Backbone) -> int:
    """Number of the values of the stages' modules and of the encoder's towers."""
    towers = [t for t in (backbone.visual, backbone.text) if t is not None]
    modules = [*towers, *(stage.module for stage in stages)]
    # A module may keep what it fitted in buffers, so parameters alone are counted once each by identity.
    return sum(p.numel() for p in {id(p): p for m in modules for p in m.parameters()}.values())
