"""Attention over a few vectors an image: by a query, and among its places."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class AdditiveAttention(nn.Module):
    """``sum_k a_k x_k`` with ``a = softmax_k(v . tanh(W_q q + W_k x_k))``, all maps without bias.

    Source: Bahdanau, Cho and Bengio, Neural Machine Translation by Jointly Learning to Align and Translate, ICLR 2015,
    with the values as their own keys.

    Args:
        dim: size of queries and values.
        hidden: size in which they are compared; None takes `dim`.
        dropout: probability of leaving out a weight in training mode, in [0, 1).
    """

    def __init__(self, dim: int, hidden: int | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        width = dim if hidden is None else hidden
        self.query = nn.Linear(dim, width, bias=False)
        self.key = nn.Linear(dim, width, bias=False)
        self.score = nn.Linear(width, 1, bias=False)
        self.dropout = nn.Dropout(dropout)

    def weights(self, query: Tensor, values: Tensor) -> Tensor:
        """Weights [n, K] of values [n, K, dim] for queries [n, dim]; they sum to 1."""
        compared = torch.tanh(self.query(query)[:, None] + self.key(values))
        return torch.softmax(self.score(compared).squeeze(2), dim=1)

    def forward(self, query: Tensor, values: Tensor) -> Tensor:
        """Mixed values [n, dim]; arguments as in :meth:`weights`."""
        weights: Tensor = self.dropout(self.weights(query, values))
        return (weights[:, None] @ values).squeeze(1)


class ModulatedAttention(nn.Module):
    """What attention among the places of an image adds to their mean: ``mean_l a_l m_l``.

    ``m = W_m softmax(q k^T) g`` is attention among the places x_l, with ``q``, ``k`` and ``g`` maps of x to half the
    size; ``a = softmax(W_a x)`` says, from all places at once, how much of it each place takes. ``W_m`` starts at 0, so
    that nothing is added before something was learned.

    Source: Liu et al., Large-Scale Long-Tailed Recognition in an Open World, CVPR 2019, section 3.1, and its release,
    of whose ``x + a m`` this is the mean over places less that of x.

    Args:
        dim: size of a place's vector D.
        places: number of places L, which `a` is made for.
    """

    def __init__(self, dim: int, places: int) -> None:
        super().__init__()
        half = max(1, dim // 2)
        self.query = nn.Linear(dim, half)
        self.key = nn.Linear(dim, half)
        self.value = nn.Linear(dim, half)
        self.back = nn.Linear(half, dim, bias=False)
        self.place = nn.Linear(places * dim, places)
        for part in (self.query, self.key, self.value):
            nn.init.kaiming_normal_(part.weight)
            nn.init.zeros_(part.bias)
        nn.init.zeros_(self.back.weight)

    def forward(self, places: Tensor) -> Tensor:
        """Vectors [n, D] of places [n, L, D]."""
        attended = torch.softmax(self.query(places) @ self.key(places).transpose(1, 2), dim=2) @ self.value(places)
        shares = torch.softmax(self.place(places.flatten(1)), dim=1)
        added: Tensor = (shares[:, :, None] * self.back(attended)).mean(dim=1)
        return added
