"""From similarities at many places of an image to one a class."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

RegionRule = Literal["softmax", "average", "max"]


class RegionAggregation(nn.Module):
    """``S_kc = sum_l w_lc cos(F_l, t_kc)`` over places l, with weights that each class chooses for itself.

    ``softmax``: ``w_lc = softmax_l(sharpness cos(F_l, t_gc))``; ``max``: the place where that cosine is largest alone;
    ``average``: all places alike. With several sets of class features k (a positive and a negative prompt, say), set g
    guides, and its weights serve all.

    Source: DualCoOp (Sun et al., NeurIPS 2022), Eq. 5 and 6 (sharpness 1 as printed, 20 in its release); ``average``
    and ``max`` are those of its Fig. 3. Golden key: dualcoop_region_aggregation (sharpness 20, result times 100).

    Args:
        rule: how places are weighted.
        sharpness: of the softmax, > 0.

    Raises:
        ValueError: no such rule, or a sharpness that is not positive.
    """

    def __init__(self, rule: RegionRule = "softmax", sharpness: float = 20.0) -> None:
        super().__init__()
        if rule not in ("softmax", "average", "max"):
            raise ValueError(f"rule: expected softmax, average or max, got {rule!r}")
        if not sharpness > 0:
            raise ValueError(f"the sharpness must be positive, not {sharpness}")
        self.rule = rule
        self.sharpness = sharpness

    def forward(self, regions: Tensor, classes: Tensor, guide: int = -1) -> Tensor:
        """Aggregated cosines [n, K, C]; both arguments are normalised here.

        Args:
            regions: features of the places [n, L, D].
            classes: K sets of class features [K, C, D].
            guide: the set whose cosines choose the weights.
        """
        sets, count, dim = classes.shape
        flat = normalize(classes, dim=-1).reshape(sets * count, dim)
        cosines = normalize(regions, dim=-1) @ flat.T
        cosines = cosines.reshape(*cosines.shape[:2], sets, count)
        return torch.einsum("nlc,nlkc->nkc", self.weights(cosines[:, :, guide]), cosines)

    def weights(self, cosines: Tensor) -> Tensor:
        """Weights [n, L, C], which sum to 1 over places, from cosines [n, L, C] of the guiding set."""
        if self.rule == "softmax":
            return torch.softmax(self.sharpness * cosines, dim=1)
        if self.rule == "average":
            return torch.full_like(cosines, 1.0 / cosines.shape[1])
        chosen = cosines.argmax(dim=1, keepdim=True)
        return torch.zeros_like(cosines).scatter(1, chosen, 1.0)
