"""SSGRL and KGGR, and what SST and SARB share with them: formulas, rows without labels, what is trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from ltbench.backbones.base import Backbone
from ltbench.method import Batch
from ltbench.nn import ensemble_features
from ltbench.plugin import UserError
from ltbench_baselines.partial.graph_recipes import RECIPES
from ltbench_baselines.partial.region_sources import TrainedRegions
from ltbench_baselines.partial.ssgrl import SSGRL, RoutedScores
from tests.plugins.partial.graph_toys import SPECS, MapEncoder, batch_of, build, scan_of, total


class NoMap(MapEncoder):
    def encode_regions(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return Backbone.encode_regions(self, images)


def test_logits_are_the_formula(encoder: MapEncoder, observed: npt.NDArray[np.int8]) -> None:
    _, module = build("ssgrl", encoder, observed)
    batch, graph = batch_of(observed), module.graph
    assert isinstance(batch.input, tuple)
    places = batch.input[1] / batch.input[1].square().mean(dim=2, keepdim=True).sqrt()
    words = ensemble_features(encoder.text, ("cat", "dog", "traffic light", "person", "bus"))
    features = graph.decoupling(places, words)
    present = (observed == 1).astype(np.float64)
    links = (present.T @ present) / present.sum(axis=0)[:, None]
    torch.testing.assert_close(graph.adjacency, torch.from_numpy(links.astype(np.float32)))
    joined = torch.cat((graph.graph(features, graph.adjacency), features), dim=2)
    torch.testing.assert_close(module.logits(batch), graph.classifiers(torch.tanh(graph.output(joined))))


def test_the_released_reset_gate_is_the_form_code(encoder: MapEncoder, observed: npt.NDArray[np.int8]) -> None:
    def own(**options: Any) -> bool:
        return build("ssgrl", encoder, observed, **options)[1].graph.graph.reset_node is not None

    assert own()
    assert not own(variant="code")
    assert own(variant="code", reset="own")
    assert not own(reset="shared")


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("epoch", [0, 9])
def test_rows_and_classes_without_known_labels(recipe: str, epoch: int, encoder: MapEncoder) -> None:
    rng = np.random.default_rng(2)
    labels = np.where(rng.random((20, 5)) < 0.3, 1, -1).astype(np.int8)
    labels[rng.random((20, 5)) < 0.4] = 0
    labels[labels[:, 3] == 1, 3] = 0
    labels[:3] = 0
    _, module = build(recipe, encoder, labels)
    batch = batch_of(labels)
    module.train()
    if hasattr(module, "on_epoch_start"):
        if epoch:
            module.on_epoch_start(5, scan_of(batch))
        module.on_epoch_start(epoch, scan_of(batch))
    before = {name: value.clone() for name, value in module.named_buffers() if "running" in name}
    regions = batch.input[1].clone().requires_grad_(True)
    shown = replace(batch, input=(batch.input[0], regions))
    loss = total(module, shown)
    assert torch.isfinite(loss)
    (gradient,) = torch.autograd.grad(loss, [regions])
    assert not gradient[:3].any()
    assert gradient[3:].any()
    # Nothing known: no loss, no gradient, and batch statistics where they were.
    after = {name: value.clone() for name, value in module.named_buffers() if "running" in name}
    assert all(not torch.equal(before[name], after[name]) for name in before)
    none = total(module, replace(batch, observed=torch.zeros_like(batch.observed)))
    none.backward()
    assert none.item() == 0
    assert all(not parameter.grad.any() for parameter in module.parameters() if parameter.grad is not None)
    assert all(torch.equal(value, after[name]) for name, value in module.named_buffers() if name in after)
    one = Batch(batch.rows[5:6], (batch.input[0][5:6], batch.input[1][5:6]), batch.observed[5:6])
    assert torch.isfinite(total(module, one))
    module.eval()
    assert torch.isfinite(module.logits(one)).all()
    assert bool(torch.isfinite(module.graph.adjacency).all())
    assert module.graph.adjacency[3].tolist() == [0, 0, 0, 1, 0]


def test_a_trained_tower_but_for_what_is_frozen(encoder: MapEncoder, observed: npt.NDArray[np.int8]) -> None:
    stage, module = build("ssgrl", encoder, observed, tower="trained", freeze=["stem"], lr=1e-4)
    assert isinstance(module.source, TrainedRegions)
    tower, graph = stage.param_groups
    assert (tower.lr, graph.lr, stage.optimizer) == (1e-4, 1e-5, "adam")
    assert {id(p) for p in tower.params} == {id(p) for p in encoder.visual.last.parameters()}
    assert not {id(p) for p in graph.params} & {id(p) for p in encoder.visual.parameters()}
    images = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    module.train()
    total(module, Batch(torch.arange(3), images, torch.from_numpy(observed[:3]))).backward()
    assert all(bool(p.grad.any()) for p in tower.params)
    assert SSGRL(SSGRL.Config()).needs().input == "image"
    asked = {name: spec.load()(spec.load().Config()).needs() for name, spec in SPECS.items()}
    made_up = {"ssgrl": None, "kggr": None, "sst": "own", "sarb": "own"}
    assert {name: needs.unknown for name, needs in asked.items()} == made_up
    assert {name for name, needs in asked.items() if needs.calibrated} == {"ssgrl", "kggr"}
    needs = SSGRL(SSGRL.Config(tower="frozen", image_size=448)).needs()
    assert (needs.input, needs.images, needs.image_size) == ("region", "squeezed", 448)


def test_a_tower_without_a_map_is_refused(encoder: MapEncoder, observed: npt.NDArray[np.int8]) -> None:
    other = NoMap(card=encoder.card, visual=encoder.visual, text=encoder.text)
    with pytest.raises(UserError, match="no map of places"):
        build("ssgrl", other, observed, tower="trained")


def test_classifiers_of_linked_classes_hear_of_each_other() -> None:
    torch.manual_seed(0)
    links = torch.eye(3)
    links[0, 1] = 0.5
    scores = RoutedScores(3, 4, 3, links)
    features = torch.randn(2, 3, 4)
    before = scores(features)
    with torch.no_grad():
        scores.weight[1] += 1.0
    moved = ((scores(features) - before).abs() > 1e-6).any(dim=0)
    assert moved.tolist() == [True, True, False]
