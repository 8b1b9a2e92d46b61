"""The image tower as the released code runs it: frozen weights, batch statistics that move."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ltbench.backbones.base import Backbone
from ltbench.plugin.errors import UserError


class DriftingTower(nn.Module):
    """An image tower whose batch normalisation is in training mode while prompts are learned in front of it.

    In training mode it normalises by the statistics of the batch and moves the running ones; in evaluation mode it
    normalises by where those have got to. No weight is trained. It works on a copy, so that the encoder of other runs
    stays as it was; only the batch normalisation is a part of this module and of its state, since all else follows from
    the encoder's weights.

    Args:
        backbone: its image tower is copied; the text tower is not.

    Raises:
        UserError: the image tower has no batch normalisation that could drift.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self._backbone = copy.deepcopy(backbone, {id(backbone.text): backbone.text})
        tower = self._backbone.visual
        norms = [part for part in tower.modules() if isinstance(part, nn.BatchNorm2d)] if tower is not None else []
        if tower is None or not norms:
            raise UserError(
                f"backbone {backbone.card.name} has no batch normalisation that could drift", "-o batch_norm=frozen"
            )
        tower.eval().requires_grad_(False)
        # In a tuple, so that the weights are no part of this module.
        self._towers = (tower,)
        self.norms = nn.ModuleList(norms)

    def forward(self, images: Tensor) -> Tensor:
        """Global features [n, dim] of images [n, 3, H, W], without gradients."""
        with torch.no_grad():
            return self._backbone.encode_global(images)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        # The tower moves with its batch normalisation, which is the same modules.
        self._towers[0]._apply(fn)  # type: ignore[no-untyped-call]
        return self
