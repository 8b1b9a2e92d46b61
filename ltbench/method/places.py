"""Places of an image, for methods that compare regions with texts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ltbench.backbones.base import Backbone


class Places:
    """The places of an image that are compared with the classes: its regions, and the mean token of CLIP's pool.

    Args:
        backbone: the encoder; used, not owned, and no part of the module that uses it.
        mean_token: put the mean token in front of the regions, where the encoder has one.
    """

    def __init__(self, backbone: Backbone, mean_token: bool) -> None:
        self._backbone = backbone
        self._mean_token = mean_token

    def __deepcopy__(self, memo: dict[int, Any]) -> Places:
        return self

    def __call__(self, given: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        """Features [n, L, D] of a batch's input: all places of regions, one place where there is a global feature."""
        if not isinstance(given, tuple):
            return given.float()[:, None]
        regions = given[1].float()
        mean = self._backbone.mean_token(regions) if self._mean_token else None
        return regions if mean is None else torch.cat([mean[:, None], regions], dim=1)
