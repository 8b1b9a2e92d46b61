"""Between the features of a tower and a head."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import batch_norm


class BatchNormNeck(nn.Module):
    """``dropout(BN(W x + b))``, without a non-linearity: the neck of the DB and DR releases.

    Weights start from N(0, 2 / width) (He et al. 2015, by fan-out), biases from 0. In training mode the batch is
    normalised by its own statistics, a batch of one row, which has none, by the running ones.

    Source: configurations of Distribution-Balanced Loss (Wu et al., ECCV 2020): 2048 to 256, dropout 0.5.

    Args:
        dim: size of a feature.
        width: size of the result.
        dropout: probability of leaving out an entry in training mode, in [0, 1).
    """

    def __init__(self, dim: int, width: int = 256, dropout: float = 0.5) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, width)
        self.norm = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(dropout)
        nn.init.kaiming_normal_(self.linear.weight, mode="fan_out")
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Features [n, width] of features [n, dim]."""
        hidden: Tensor = self.linear(features)
        norm = self.norm
        if self.training and len(hidden) == 1:
            hidden = batch_norm(hidden, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        else:
            hidden = norm(hidden)
        result: Tensor = self.dropout(hidden)
        return result
