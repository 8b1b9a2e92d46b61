"""Image towers that COMIC's models train for themselves, in place of the frozen one that they share."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import nn

from ltbench.backbones.base import Backbone
from ltbench.method import FineTuned
from ltbench_comic.training import FrozenConfig


class TowersConfig(FrozenConfig):
    """Options of training with towers frozen or trained.

    With frozen towers the other options decide nothing. Such a configuration states none of these, so that its runs
    have the key of those that were made before there was a choice.
    """

    towers: Literal["frozen", "trained"] = Field(
        "frozen",
        description="one frozen tower, a single forward pass for all models, or a copy that each model trains. "
        "ResNet-50, 224 px, 32 rows, three copies in single precision: 76.8 M parameters with the feature layers, "
        "1.2 GB with gradients and Adam's moments, and 7.7 GiB of activations (frozen: 6.3 M, 0.1 GB, none) "
        "[release: frozen; paper: trained]",
    )
    tower_lr: float = Field(1e-4, gt=0, description="learning rate of the towers; towers=trained only [ours]")
    batch_norm: Literal["eval", "train"] = Field(
        "eval",
        description="statistics of pre-training, or of the batch; affine parts are trained; towers=trained only "
        "[release: train; ours]",
    )
    freeze: tuple[str, ...] = Field((), description="parts of the towers left alone; towers=trained only [ours]")

    def unstated(self) -> frozenset[str]:
        """All of these, with frozen towers, as before there was a choice."""
        return frozenset(TowersConfig.__annotations__ if self.towers == "frozen" else ())

    def own_towers(self, models: Sequence[str], backbone: Backbone) -> dict[str, FineTuned]:
        """A copy of the image tower for each model, or nothing with frozen towers; the encoder's own stays as it is.

        Raises:
            UserError: see :class:`ltbench.method.FineTuned`.
        """
        if self.towers == "frozen":
            return {}
        found = {}
        for name in models:
            # The text tower is not copied: nobody trains it.
            own = copy.deepcopy(backbone, {id(backbone.text): backbone.text})
            found[name] = FineTuned(own, nn.Identity(), nn.Identity(), self.batch_norm, self.freeze)
            # What convolutions are fastest in on CPUs.
            found[name].tower.to(memory_format=torch.channels_last)
        return found
