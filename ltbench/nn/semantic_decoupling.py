"""A feature for each class of an image: attention that the class name guides, and a gated graph over the classes."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

ResetGate: TypeAlias = Literal["own", "shared"]


class SemanticDecoupling(nn.Module):
    """One feature a class: the mean of an image's regions, weighted by how they go with the class name.

    ``f_c = sum_l a_lc x_l`` with ``a_lc = softmax_l u . (V tanh(P x_l * Q w_c) + b)``; regions x, word vectors w. As
    nothing comes between V and u, ``V^T u`` is multiplied out first, and the softmax loses what all regions share, the
    biases of V and u: values and gradients are those of the formula at 1 / hidden of its work.

    Source: Chen et al., Learning Semantic-Specific Graph Representation for Multi-Label Image Recognition (SSGRL), ICCV
    2019; also the decoupling of SST and SARB (AAAI 2022) and their release.
    Golden key: hcp_semantic_decoupling_ggnn (semantic).

    Args:
        dim: size of a region feature D.
        width: size of a word vector W.
        hidden: size in which they are compared.
    """

    def __init__(self, dim: int, width: int, hidden: int) -> None:
        super().__init__()
        self.region = nn.Linear(dim, hidden, bias=False)
        self.word = nn.Linear(width, hidden, bias=False)
        self.mix = nn.Linear(hidden, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)

    def attention(self, regions: Tensor, words: Tensor) -> Tensor:
        """Weights [n, L, C] that sum to 1 over the regions; see :meth:`forward`."""
        met = torch.tanh(self.region(regions).unsqueeze(2) * self.word(words))
        weights: Tensor = torch.softmax(met @ (self.score.weight @ self.mix.weight).squeeze(0), dim=1)
        return weights

    def forward(self, regions: Tensor, words: Tensor) -> Tensor:
        """Class features [n, C, D] of regions [n, L, D] and word vectors [C, W]."""
        return self.attention(regions, words).transpose(1, 2) @ regions


class GatedGraph(nn.Module):
    """A gated graph network: nodes take in, step by step, what comes along the links in either direction.

    ``m = [A h, A^T h]``, ``z = sigmoid(W_z m + U_z h)``, ``r = sigmoid(W_r m + U_r h)``,
    ``h' = (1 - z) h + z tanh(W_h m + U_h (r h))``.

    Source: Li et al., Gated Graph Sequence Neural Networks, ICLR 2016; as SSGRL (ICCV 2019), SST and SARB (AAAI 2022)
    use it.
    Golden key: hcp_semantic_decoupling_ggnn (ggnn_out).

    Args:
        dim: size of a node's features D.
        steps: how often messages are passed.
        reset: "own" has a matrix U_r; "shared" takes U_z in its place, as SSGRL's release does.

    Raises:
        ValueError: no step, or another `reset`.
    """

    def __init__(self, dim: int, steps: int = 3, reset: ResetGate = "own") -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"steps: expected at least 1, got {steps!r}")
        if reset not in ("own", "shared"):
            raise ValueError(f"reset: expected 'own' or 'shared', got {reset!r}")
        self.steps = steps
        self.update_message, self.update_node = nn.Linear(2 * dim, dim), nn.Linear(dim, dim)
        self.reset_message = nn.Linear(2 * dim, dim)
        self.reset_node = nn.Linear(dim, dim) if reset == "own" else None
        self.new_message, self.new_node = nn.Linear(2 * dim, dim), nn.Linear(dim, dim)

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        """Nodes [n, C, D] or [C, D] after the last step, of nodes of the same shape and links [C, C].

        Row i of the links weighs what node i takes in; by the transpose it takes from those whose rows name it.
        """
        for _ in range(self.steps):
            messages = torch.cat((adjacency @ nodes, adjacency.T @ nodes), dim=-1)
            recalled = self.update_node(nodes)
            update = torch.sigmoid(self.update_message(messages) + recalled)
            recalled = recalled if self.reset_node is None else self.reset_node(nodes)
            reset = torch.sigmoid(self.reset_message(messages) + recalled)
            new = torch.tanh(self.new_message(messages) + self.new_node(reset * nodes))
            nodes = (1 - update) * nodes + update * new
        return nodes


class ClassWiseLinear(nn.Module):
    """A linear score of its own for each class: ``s_c = w_c . x_c + b_c``, started from U(-1/sqrt(D), 1/sqrt(D)).

    Args:
        classes: C.
        dim: size of a class feature D.
    """

    def __init__(self, classes: int, dim: int) -> None:
        super().__init__()
        bound = float(dim) ** -0.5
        self.weight = nn.Parameter(torch.empty(classes, dim).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(classes).uniform_(-bound, bound))

    def forward(self, features: Tensor) -> Tensor:
        """Scores [n, C] of class features [n, C, D]."""
        scores: Tensor = (features * self.weight).sum(dim=2) + self.bias
        return scores
