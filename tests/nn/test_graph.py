"""Label graphs: ML-GCN's adjacency in both forms, its normalisation, and graph convolutions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import leaky_relu

from ltbench.method import Stats
from ltbench.nn import (
    GraphConvolution,
    GraphStack,
    conditional_cooccurrence,
    label_adjacency,
    normalised_adjacency,
)

# a: 10 rows, b: 5 of them with a, c: 4, of which 2 with a and 1 with b, d: never observed.
PAIRS = np.array([[10, 5, 2, 0], [5, 5, 1, 0], [2, 1, 4, 0], [0, 0, 0, 0]])
COUNTS = np.array([10, 5, 4, 0])


def test_the_release_to_the_bit_of_its_arithmetic(shared: Path) -> None:
    path = shared / "golden" / "limited-labels" / "mlgcn_adjacency.npz"
    golden = np.load(path)
    matrix = label_adjacency(golden["coco__adj_counts"], golden["coco__nums"], form="code")
    np.testing.assert_allclose(matrix, golden["coco__A"], rtol=1e-10, atol=0)
    np.testing.assert_allclose(
        normalised_adjacency(matrix, form="code").numpy(), golden["coco__gen_adj"], rtol=2e-6, atol=1e-9
    )


def test_the_papers_weights_on_real_counts(shared: Path) -> None:
    golden = np.load(shared / "golden" / "limited-labels" / "mlgcn_adjacency.npz")
    counts, pairs = golden["coco__nums"], golden["coco__adj_counts"]
    matrix = label_adjacency(pairs, counts)
    linked = (pairs / counts[:, None] >= 0.4).any(axis=1)
    assert linked.any()
    assert not linked.all()
    np.testing.assert_allclose(matrix.sum(axis=1), np.where(linked, 1.0, 0.8))
    np.testing.assert_allclose(np.diag(matrix), 0.8)


def test_conditional_cooccurrence_reads_rows_as_conditions() -> None:
    expected = [[0, 0.5, 0.2, 0], [1, 0, 0.2, 0], [0.5, 0.25, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(conditional_cooccurrence(PAIRS, COUNTS), expected)


def test_cooccurrence_is_counted_where_both_are_known() -> None:
    """Labels hidden at random leave the estimate as it is; over all rows it would shrink with the known share."""
    rng = np.random.default_rng(5)
    first = rng.random(20_000) < 0.3
    second = np.where(first, rng.random(20_000) < 0.6, rng.random(20_000) < 0.1)
    complete = np.where(np.stack([first, second], axis=1), 1, -1).astype(np.int8)
    everything = Stats.of(complete)
    assert everything.told is None
    truth = conditional_cooccurrence(everything.cooccurrence, everything.positives)
    shown = Stats.of(np.where(rng.random(complete.shape) < 0.3, complete, 0).astype(np.int8))
    assert shown.told is not None
    known = shown.told[0, 1]
    assert shown.positives[0] > 3 * known
    np.testing.assert_allclose(
        conditional_cooccurrence(shown.cooccurrence, shown.positives, shown.told), truth, atol=0.05
    )
    thinned = conditional_cooccurrence(shown.cooccurrence, shown.positives)
    np.testing.assert_allclose(thinned, 0.3 * truth, atol=0.03)
    with pytest.raises(ValueError, match="known pairs"):
        conditional_cooccurrence(PAIRS, COUNTS, COUNTS)


def test_both_forms_by_hand() -> None:
    # Links at 0.4: a - b, b - a, c - a.
    paper = label_adjacency(PAIRS, COUNTS)
    np.testing.assert_allclose(paper, [[0.8, 0.2, 0, 0], [0.2, 0.8, 0, 0], [0.2, 0, 0.8, 0], [0, 0, 0, 0.8]])
    code = label_adjacency(PAIRS, COUNTS, form="code")
    # Two links into a share 0.25, the one into b has it alone.
    expected = [[1, 0.25, 0, 0], [0.125, 1, 0, 0], [0.125, 0, 1, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(code, expected, rtol=2e-6)
    assert label_adjacency(PAIRS, COUNTS, weight=0.5)[0].tolist() == [0.5, 0.5, 0, 0]
    assert label_adjacency(PAIRS, COUNTS, threshold=0.2)[1].tolist() == pytest.approx([0.1, 0.8, 0.1, 0])


def test_a_threshold_of_nothing_links_all_but_a_label_with_itself() -> None:
    matrix = label_adjacency(PAIRS, COUNTS, threshold=0.0, weight=0.3)
    np.testing.assert_allclose(matrix, 0.7 * np.eye(4) + 0.1 * (1 - np.eye(4)))


def test_normalisation_by_hand() -> None:
    matrix = np.array([[1.0, 3.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    paper = normalised_adjacency(matrix)
    assert paper.dtype == torch.float32
    np.testing.assert_allclose(paper.numpy(), [[0.25, 1.5, 0], [0, 1, 0], [0, 0, 0]], rtol=1e-6)
    code = normalised_adjacency(matrix, form="code")
    np.testing.assert_allclose(code.numpy(), [[0.25, 0, 0], [1.5, 1, 0], [0, 0, 0]], rtol=1e-6)


@pytest.mark.parametrize(
    ("pairs", "counts", "options", "named"),
    [
        (PAIRS, COUNTS[:3], {}, r"\[4, 4\] and \[3\]"),
        (-PAIRS, COUNTS, {}, "never negative"),
        (PAIRS, COUNTS, {"threshold": 1.5}, "threshold"),
        (PAIRS, COUNTS, {"weight": -0.1}, "weight"),
    ],
)
def test_bad_counts_and_options_are_named(pairs, counts, options, named) -> None:
    with pytest.raises(ValueError, match=named):
        label_adjacency(pairs, counts, **options)


def test_bad_matrices_are_named() -> None:
    with pytest.raises(ValueError, match=r"\[2, 3\]"):
        normalised_adjacency(np.ones((2, 3)))
    with pytest.raises(ValueError, match="negative"):
        normalised_adjacency(-np.ones((2, 2)))


@pytest.mark.parametrize("bias", [False, True])
def test_convolution_is_two_products(bias: bool) -> None:
    torch.manual_seed(0)
    layer = GraphConvolution(3, 4, bias=bias)
    assert float(layer.weight.detach().abs().max()) <= 0.5
    nodes, adjacency = torch.randn(5, 3), torch.rand(5, 5)
    expected = adjacency @ nodes @ layer.weight + (layer.bias if bias else 0)
    torch.testing.assert_close(layer(nodes, adjacency), expected)


def test_stack_bends_between_layers_and_not_behind_the_last() -> None:
    torch.manual_seed(0)
    stack = GraphStack((3, 6, 2), slope=0.2)
    assert [tuple(p.shape) for p in stack.parameters()] == [(3, 6), (6, 2)]
    nodes, adjacency = torch.randn(5, 3), torch.eye(5)
    first, second = stack.layers
    expected = leaky_relu(nodes @ first.weight, 0.2) @ second.weight
    torch.testing.assert_close(stack(nodes, adjacency), expected)
    assert (expected < 0).any()


def test_features_of_a_label_reach_its_neighbours_only() -> None:
    torch.manual_seed(0)
    stack = GraphStack((3, 2))
    adjacency = normalised_adjacency(label_adjacency(PAIRS, COUNTS))
    nodes = torch.randn(4, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(stack(nodes, adjacency)[2].sum(), [nodes])
    assert (gradient != 0).any(dim=1).tolist() == [True, False, True, False]
    with pytest.raises(ValueError, match="two sizes"):
        GraphStack((3,))
