"""Where the places of an image come from: a tower that is trained, or cached regions of a frozen one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ltbench.backbones.base import Backbone
from ltbench.method import Batch, FineTuneConfig, FineTuned
from ltbench.plugin import UserError
from ltbench_baselines.common.places import places


class TrainedRegions(FineTuned):
    """The places of images, by a tower that is trained.

    Args:
        backbone: whose tower is trained.
        config: for the treatment of the tower.

    Raises:
        UserError: the tower has no map of places.
    """

    def __init__(self, backbone: Backbone, config: FineTuneConfig) -> None:
        super().__init__(backbone, nn.Identity(), nn.Identity(), config.batch_norm, config.freeze)
        side = backbone.card.image_size or 224
        device = next(self.tower.parameters()).device
        try:
            with torch.no_grad():
                shown = backbone.encode_regions(torch.zeros(1, 3, side, side, device=device))[1]
        except TypeError:
            message = f"backbone {backbone.card.name} has no map of places to attend to"
            raise UserError(message, "one with regions: ltbench list backbones") from None
        self.dim = shown.shape[2]

    def forward(self, batch: Batch) -> Tensor:
        """Places [n, L, R] of images [n, 3, H, W], with gradients."""
        images = batch.features.contiguous(memory_format=torch.channels_last)
        return self._backbone.encode_regions(images)[1]


class CachedRegions(nn.Module):
    """The places of images, by a frozen tower, scaled to a root mean square of 1.

    Args:
        dim: size of a region feature R.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, batch: Batch) -> Tensor:
        """Places [n, L, R]."""
        return places(batch)
