"""Additive attention over a few vectors an image."""

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
