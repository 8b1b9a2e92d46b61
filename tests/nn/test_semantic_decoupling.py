"""Semantic decoupling and the gated graph: the release's values, and the formulas by another way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ltbench.nn import ClassWiseLinear, GatedGraph, SemanticDecoupling

PARTS = {"update": "1", "reset": "2", "new": "3"}


@pytest.fixture
def golden(shared: Path) -> dict[str, Tensor]:
    path = shared / "golden" / "limited-labels" / "hcp_semantic_decoupling_ggnn.npz"
    with np.load(path) as archive:
        return {key: torch.from_numpy(np.array(archive[key])) for key in archive.files}


def filled(module: nn.Module, values: dict[str, Tensor]) -> Any:
    with torch.no_grad():
        for name, parameter in module.double().named_parameters():
            parameter.copy_(values[name])
    return module


def graph_of(golden: dict[str, Tensor], reset: Any = "own") -> GatedGraph:
    values = {}
    for name, number in PARTS.items():
        for ours, theirs in (("message", "w"), ("node", "u")):
            for kind in ("weight", "bias"):
                values[f"{name}_{ours}.{kind}"] = golden[f"gnn_fc_{number}_{theirs}_{kind}"]
    module: GatedGraph = filled(GatedGraph(6, 3, reset), values)
    return module


def test_both_parts_to_the_release(golden: dict[str, Tensor]) -> None:
    names = {"region": "fc1", "word": "fc2", "mix": "fc3", "score": "fc4"}
    decoupling = filled(
        SemanticDecoupling(6, 5, 7), {f"{ours}.weight": golden[f"sd_{theirs}_weight"] for ours, theirs in names.items()}
    )
    regions = golden["feature_map"].flatten(2).transpose(1, 2)
    features = decoupling(regions, golden["word"])
    torch.testing.assert_close(features, golden["semantic"], rtol=1e-12, atol=1e-12)
    graph = graph_of(golden)
    torch.testing.assert_close(graph(features, golden["in_matrix"]), golden["ggnn_out"], rtol=1e-12, atol=1e-12)


def test_attention_is_the_formula_with_all_its_matrices() -> None:
    torch.manual_seed(0)
    module = SemanticDecoupling(6, 5, 7).double()
    regions, words = torch.randn(2, 9, 6, dtype=torch.float64), torch.randn(4, 5, dtype=torch.float64)
    expected = torch.empty(2, 9, 4, dtype=torch.float64)
    bias = torch.randn(7, dtype=torch.float64)
    for image in range(2):
        for place in range(9):
            for label in range(4):
                met = torch.tanh(module.region(regions[image, place]) * module.word(words[label]))
                expected[image, place, label] = module.score(module.mix(met) + bias) + 1.5
    torch.testing.assert_close(module.attention(regions, words), expected.softmax(dim=1))


def test_a_shared_reset_gate_reads_the_update_gates_matrix() -> None:
    torch.manual_seed(1)
    own, shared = GatedGraph(6).double(), GatedGraph(6, reset="shared").double()
    shared.load_state_dict({k: v for k, v in own.state_dict().items() if not k.startswith("reset_node")})
    nodes, links = torch.randn(2, 4, 6, dtype=torch.float64), torch.rand(4, 4, dtype=torch.float64)
    assert not torch.allclose(own(nodes, links), shared(nodes, links))
    assert own.reset_node is not None
    own.reset_node.load_state_dict(own.update_node.state_dict())
    torch.testing.assert_close(own(nodes, links), shared(nodes, links))


def test_messages_come_along_the_links_in_both_directions() -> None:
    torch.manual_seed(2)
    graph = GatedGraph(3, steps=1)
    links = torch.zeros(4, 4)
    links[0, 1] = 1.0
    nodes = torch.randn(1, 4, 3)
    moved = nodes.clone()
    moved[0, 1] += 1.0
    changed = (graph(nodes, links) - graph(moved, links)).abs().amax(dim=2)[0] > 1e-6
    assert changed.tolist() == [True, True, False, False]
    moved = nodes.clone()
    moved[0, 0] += 1.0
    changed = (graph(nodes, links) - graph(moved, links)).abs().amax(dim=2)[0] > 1e-6
    assert changed.tolist() == [True, True, False, False]
    torch.testing.assert_close(graph(nodes[0], links), graph(nodes, links)[0])


@pytest.mark.parametrize(("options", "named"), [({"steps": 0}, "steps"), ({"reset": "none"}, "reset")])
def test_options_outside_their_range(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        GatedGraph(4, **options)


def test_each_class_has_a_score_of_its_own() -> None:
    torch.manual_seed(3)
    module = ClassWiseLinear(3, 5)
    assert float(module.weight.detach().abs().max()) <= 5**-0.5
    features = torch.randn(2, 3, 5)
    scores = module(features)
    for label in range(3):
        torch.testing.assert_close(scores[:, label], features[:, label] @ module.weight[label] + module.bias[label])
