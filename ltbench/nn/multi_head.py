"""Normalised multi-head classifier, and the direction that features drift in while a model learns."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


class MultiHeadCosine(nn.Module):
    """``z = (scale / K) sum_k f_k / |f_k| . w_k / (|w_k| + eta)``: K heads, each on its share of the channels.

    Weights start uniform in ±1 / sqrt(dim). A part of a feature that is all zero adds 0.

    Source: Tang, Huang and Zhang, Long-Tailed Classification by Keeping the Good and Removing the Bad Momentum Causal
    Effect, NeurIPS 2020; COMIC (Zhang et al., ICCV 2023), Eq. 9 and 10.

    Args:
        dim: size of a feature.
        classes: number of classes C.
        heads: K, a divisor of `dim`.
        scale: rho.
        eta: added to the norm of a weight vector.

    Raises:
        ValueError: the heads do not divide the channels.
    """

    def __init__(self, dim: int, classes: int, heads: int = 1, scale: float = 16.0, eta: float = 1 / 32) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"{heads} heads do not divide {dim} channels")
        self.heads, self.scale, self.eta = heads, scale, eta
        self.weight = nn.Parameter(torch.empty(classes, dim).uniform_(-1 / math.sqrt(dim), 1 / math.sqrt(dim)))

    def _parts(self, vectors: Tensor) -> Tensor:
        """Vectors [..., dim] as [..., K, dim / K]."""
        return vectors.reshape(*vectors.shape[:-1], self.heads, vectors.shape[-1] // self.heads)

    def _classes(self) -> Tensor:
        parts = self._parts(self.weight)
        scaled: Tensor = parts / (parts.norm(dim=-1, keepdim=True) + self.eta)
        return scaled

    def forward(self, features: Tensor) -> Tensor:
        """Logits [n, C] of features [n, dim]."""
        parts = normalize(self._parts(features), dim=-1)
        return self.scale / self.heads * torch.einsum("nkd,ckd->nc", parts, self._classes())

    def effect(self, features: Tensor, direction: Tensor) -> Tensor:
        """Part that a direction e has in logits: ``(scale / K) sum_k cos(f_k, e_k) e_k / |e_k| . w_k / (|w_k| + eta)``.

        Args:
            features: [n, dim].
            direction: [dim]; gradients do not flow into it; zero gives zero.

        Returns:
            [n, C].
        """
        parts = normalize(self._parts(features), dim=-1)
        along = normalize(self._parts(direction.detach()), dim=-1)
        cosines = (parts * along).sum(dim=-1)
        return self.scale / self.heads * cosines @ torch.einsum("kd,ckd->kc", along, self._classes())


class MovingVector(nn.Module):
    """``e <- momentum e + mean_b f_b``: a decayed sum of batch means, from 0. It is state, not a parameter.

    Source: Tang et al. 2020; the release of COMIC, whose Eq. 7 calls it a sum of gradients.

    Args:
        dim: size of a feature.
        momentum: in [0, 1).
    """

    value: Tensor

    def __init__(self, dim: int, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("value", torch.zeros(dim))

    @torch.no_grad()
    def update(self, features: Tensor) -> None:
        """Take in a batch of features [n, dim]; an empty batch changes nothing."""
        if len(features):
            self.value.mul_(self.momentum).add_(features.mean(dim=0).to(self.value.dtype))
