"""Graphs over labels: who occurs with whom, and convolutions that pass features along."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

Matrix = npt.NDArray[np.float64]
GraphForm = Literal["paper", "code"]

NEIGHBOUR_WEIGHT: dict[GraphForm, float] = {"paper": 0.2, "code": 0.25}
"""Share p of the neighbours in ML-GCN: section 4.2 of the paper, and its release."""


def conditional_cooccurrence(
    cooccurrence: npt.NDArray[Any], positives: npt.NDArray[Any], told: npt.NDArray[Any] | None = None
) -> Matrix:
    """Estimate of P(label j | label i), float64 [C, C], with a zero diagonal.

    A pair that was never looked at has no estimate and gets 0.

    Args:
        cooccurrence: rows where both labels are present [C, C]; its diagonal is not read.
        positives: rows where a label is present [C].
        told: rows where label i is present and label j is known [C, C], over which the estimate is made; None takes
            all rows where i is present, which is too small by the share of known labels where some are hidden.

    Raises:
        ValueError: other shapes, or a negative count.
    """
    pairs, counts = np.asarray(cooccurrence, dtype=np.float64), np.asarray(positives, dtype=np.float64)
    if counts.ndim != 1 or pairs.shape != (len(counts), len(counts)):
        raise ValueError(f"expected counts [C, C] and [C], got {list(pairs.shape)} and {list(counts.shape)}")
    over = np.broadcast_to(counts[:, None], pairs.shape) if told is None else np.asarray(told, dtype=np.float64)
    if over.shape != pairs.shape:
        raise ValueError(f"expected counts of known pairs {list(pairs.shape)}, got {list(over.shape)}")
    if (pairs < 0).any() or (counts < 0).any() or (over < 0).any():
        raise ValueError("counts are never negative")
    given: Matrix = pairs / np.maximum(over, 1.0)
    np.fill_diagonal(given, 0.0)
    return given


def label_adjacency(
    cooccurrence: npt.NDArray[Any],
    positives: npt.NDArray[Any],
    *,
    threshold: float = 0.4,
    weight: float | None = None,
    form: GraphForm = "paper",
    told: npt.NDArray[Any] | None = None,
) -> Matrix:
    """Re-weighted correlation matrix of ML-GCN, float64 [C, C], before normalisation.

    Labels i and j are linked, A_ij = 1, where P(j | i) reaches the threshold. "paper": each label shares p among its
    links and keeps the rest, ``p A_ij / sum_j A_ij`` and 1 - p on the diagonal. "code": the links *into* a label share
    p (columns instead of rows, 1e-6 added to their sum), and the diagonal is 1. A label without links keeps its
    diagonal only.

    Source: Chen et al., Multi-Label Image Recognition with Graph Convolutional Networks, CVPR 2019, Eq. 6 to 8 (8 as
    corrected by the authors), and their release.
    Golden keys: mlgcn_adjacency ``coco__A`` ("code").

    Args:
        cooccurrence, positives, told: see :func:`conditional_cooccurrence`.
        threshold: tau, in [0, 1].
        weight: p, in [0, 1]; None takes that of the form, :data:`NEIGHBOUR_WEIGHT`.

    Raises:
        ValueError: threshold or weight outside [0, 1]; see also :func:`conditional_cooccurrence`.
    """
    share = NEIGHBOUR_WEIGHT[form] if weight is None else weight
    for name, value in (("threshold", threshold), ("weight", share)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name}: expected a number in [0, 1], got {value!r}")
    given = conditional_cooccurrence(cooccurrence, positives, told)
    # With a threshold of 0 labels that never met are linked too, as the formula says, but none with itself.
    links = (given >= threshold).astype(np.float64)
    np.fill_diagonal(links, 0.0)
    own = np.eye(len(links))
    if form == "code":
        return np.asarray(share * links / (links.sum(axis=0, keepdims=True) + 1e-6) + own, dtype=np.float64)
    degrees = np.maximum(links.sum(axis=1, keepdims=True), 1.0)
    return np.asarray(share * links / degrees + (1.0 - share) * own, dtype=np.float64)


def similarity_adjacency(
    similarity: npt.NDArray[Any], *, keep: int | None = None, neighbour_share: float = 0.2
) -> Matrix:
    """Links to the most similar labels, float64 [C, C]; used as it is, without further normalisation.

    Of each row the `keep` largest entries stay, the diagonal always among them. Neighbours share r in proportion to
    their similarity, ``r a_ij / sum_j a_ij``, and the diagonal is 1 - r. A similarity that is not positive is no link;
    a label without links keeps its diagonal only. Of equal similarities the first stays.

    Source: HSPNet (Wang et al., Hierarchical Prompt Learning Using CLIP for Multi-label Classification with Single
    Positive Labels, ACM MM 2023, Eq. 5 to 7) and its release.
    Golden keys: hspnet_adjacency.

    Args:
        similarity: [C, C], such as cosines of text features; its diagonal is not read.
        keep: K >= 1, the diagonal counted; None takes three quarters of the labels, as the release does.
        neighbour_share: r, in [0, 1].

    Raises:
        ValueError: no square matrix, `keep` below 1, or `neighbour_share` outside [0, 1].
    """
    matrix = np.array(similarity, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"expected similarities [C, C], got shape {list(matrix.shape)}")
    if not 0 <= neighbour_share <= 1:
        raise ValueError(f"neighbour_share: expected a number in [0, 1], got {neighbour_share!r}")
    count = max(1, len(matrix) * 3 // 4) if keep is None else keep
    if count < 1:
        raise ValueError(f"keep: expected at least 1 entry a row, the diagonal, got {keep!r}")
    np.fill_diagonal(matrix, np.inf)
    dropped = np.argsort(-matrix, axis=1, kind="stable")[:, count:]
    np.put_along_axis(matrix, dropped, 0.0, axis=1)
    np.fill_diagonal(matrix, 0.0)
    links = np.maximum(matrix, 0.0)
    totals = links.sum(axis=1, keepdims=True)
    shares = np.divide(links, totals, out=np.zeros_like(links), where=totals > 0)
    return np.asarray(neighbour_share * shares + (1.0 - neighbour_share) * np.eye(len(links)), dtype=np.float64)


def normalised_adjacency(matrix: npt.NDArray[Any], *, form: GraphForm = "paper") -> Tensor:
    """``D^-1/2 A D^-1/2`` with D the row sums of A, float32 [C, C]; a row of zeros stays one.

    "paper": as written. "code": of the transposed matrix with D still from the rows of A, which is what ML-GCN's
    release computes: a label takes from those in whose row it stands.

    Source: Kipf and Welling, Semi-Supervised Classification with Graph Convolutional Networks, ICLR 2017; Chen et al.
    2019 and their release.
    Golden keys: mlgcn_adjacency ``coco__gen_adj`` ("code").

    Args:
        matrix: [C, C], not negative; links of a label with itself (A + I) must be in it already.

    Raises:
        ValueError: no square matrix, or a negative entry.
    """
    adjacency = np.asarray(matrix, dtype=np.float64)
    if adjacency.ndim != 2 or adjacency.shape[0] != adjacency.shape[1]:
        raise ValueError(f"expected a matrix [C, C], got shape {list(adjacency.shape)}")
    if (adjacency < 0).any():
        raise ValueError("links are never negative")
    degrees = adjacency.sum(axis=1)
    root = np.zeros_like(degrees)
    np.divide(1.0, np.sqrt(degrees), out=root, where=degrees > 0)
    moved = adjacency.T if form == "code" else adjacency
    return torch.from_numpy((root[:, None] * moved * root[None, :]).astype(np.float32))


class GraphConvolution(nn.Module):
    """``A (H W)``: each node's features through one matrix, then mixed along the links.

    Weights (and biases) start from U(-1/sqrt(out), 1/sqrt(out)), as in the releases of ML-GCN and HSPNet.

    Source: Kipf and Welling, ICLR 2017.

    Args:
        dim_in, dim_out: size of a node's features before and after.
        bias: add a bias [dim_out] in the end.
    """

    def __init__(self, dim_in: int, dim_out: int, bias: bool = False) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(dim_out)
        self.weight = nn.Parameter(torch.empty(dim_in, dim_out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(dim_out).uniform_(-bound, bound)) if bias else None

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        """Node features [C, dim_out] of node features [C, dim_in] and a normalised adjacency [C, C]."""
        mixed = adjacency @ (nodes @ self.weight)
        return mixed if self.bias is None else mixed + self.bias


class GraphStack(nn.Module):
    """Graph convolutions with LeakyReLU between them, none after the last.

    Args:
        dims: sizes of a node's features, from the input's to the output's; ML-GCN: 300, 1024, 2048.
        slope: of LeakyReLU for negative values [ML-GCN and HSPNet: 0.2].

    Raises:
        ValueError: fewer than two sizes.
    """

    def __init__(self, dims: Sequence[int], slope: float = 0.2) -> None:
        super().__init__()
        if len(dims) < 2:
            raise ValueError(f"expected at least two sizes, got {list(dims)}")
        self.slope = slope
        self.layers = nn.ModuleList(GraphConvolution(a, b) for a, b in pairwise(dims))

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        """Node features [C, dims[-1]] of node features [C, dims[0]] and a normalised adjacency [C, C]."""
        for number, layer in enumerate(self.layers):
            nodes = layer(leaky_relu(nodes, self.slope) if number else nodes, adjacency)
        return nodes


class GraphClassifiers(nn.Module):
    """Class vectors that two graph convolutions make of the class names: ``G(words, A)``.

    Source: ML-GCN (Chen et al., CVPR 2019). Heads derive from it and say what a score is.

    Args:
        words: vectors of the class names [C, W].
        adjacency: normalised [C, C].
        hidden: size of a node's features between the two convolutions.
        dim: size of a class vector.
        slope: of LeakyReLU.
    """

    words: Tensor
    adjacency: Tensor

    def __init__(self, words: Tensor, adjacency: Tensor, hidden: int, dim: int, slope: float) -> None:
        super().__init__()
        self.register_buffer("words", words)
        self.register_buffer("adjacency", adjacency)
        self.graph = GraphStack((words.shape[1], hidden, dim), slope)

    def classifiers(self) -> Tensor:
        """Class vectors [C, dim]."""
        vectors: Tensor = self.graph(self.words, self.adjacency)
        return vectors


class ResidualGraph(nn.Module):
    """Graph convolutions with a way around them: ``g G(x) + (1 - g) x`` with g learned, or ``x + G(x)``.

    Source: HSPNet (Wang et al., ACM MM 2023); the sum is its section 3.2, the learned weight its release (0.9 at the
    start).
    Golden keys: hspnet_gcn.

    Args:
        stack: G; it must end in the size it starts from.
        gate: g at the start; None adds.
    """

    gate: nn.Parameter | None

    def __init__(self, stack: GraphStack, gate: float | None = None) -> None:
        super().__init__()
        self.stack = stack
        self.gate = None if gate is None else nn.Parameter(torch.tensor([float(gate)]))

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        """Node features [C, D] of node features [C, D] and an adjacency [C, C]."""
        moved: Tensor = self.stack(nodes, adjacency)
        return nodes + moved if self.gate is None else self.gate * moved + (1.0 - self.gate) * nodes
