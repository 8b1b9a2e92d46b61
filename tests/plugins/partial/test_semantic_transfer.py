"""SST and SARB: labels made up, prototypes, blends, and what a resumed run needs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from ltbench.losses import mixed_labels
from ltbench.plugin import MethodSpec
from ltbench.plugin.manager import extra_specs
from ltbench.testing import checks, kit
from ltbench_baselines.partial.representation_blending import SARBModule, cluster_centres
from ltbench_baselines.partial.semantic_transfer import CoOccurrence, SSTModule
from tests.plugins.partial.graph_toys import SMALL, SPECS, MapEncoder, batch_of, build, scan_of, total


def test_pairs_are_the_formula_with_all_its_matrices() -> None:
    torch.manual_seed(0)
    module = CoOccurrence(4, 6, 5, 7)
    features = torch.randn(2, 4, 6)
    found = module(features)
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    assert found.shape == (2, len(pairs))
    for number, (i, j) in enumerate(pairs):
        both = torch.cat((module.reduce(features[:, i]), module.reduce(features[:, j])), dim=1)
        hidden = module.pair(torch.relu(module.join(both)))
        expected = hidden @ module.classifiers.weight[number] + module.classifiers.bias[number]
        torch.testing.assert_close(found[:, number], expected)


def test_the_memory_keeps_the_latest_positives(encoder: MapEncoder, observed: npt.NDArray[np.int8]) -> None:
    _, module = build("sst", encoder, observed, examples=3)
    assert isinstance(module, SSTModule)
    features = torch.randn(4, 5, 8)
    labels = torch.zeros(4, 5, dtype=torch.int8)
    labels[:2, 1] = 1
    labels[2, 2] = -1
    module.remember(features, labels)
    module.remember(features + 1, labels)
    expected = torch.cat((features[:2, 1] + 1, features[:1, 1]))
    torch.testing.assert_close(module.memory[1], expected)
    assert not module.memory[[0, 2, 3, 4]].any()
    assert "memory" in module.state_dict()


def test_terms_of_transfer_by_epoch(encoder: MapEncoder, observed: npt.NDArray[np.int8]) -> None:
    _, module = build("sst", encoder, observed, warmup=2, batch_size=10)
    batch = batch_of(observed)
    module.train()
    module.on_epoch_start(0, scan_of(batch))
    shares = [module.risen() for _ in range(5)]
    assert shares == [0, 0.25, 0.5, 0.75, 1]
    module.on_epoch_start(1, scan_of(batch))
    first = module.loss(batch)
    assert set(first) == {"loss_cls", "loss_pairs", "loss_contrast"}
    module.on_epoch_start(2, scan_of(batch))
    terms = module.loss(batch)
    assert set(terms) == set(first) | {"loss_within", "loss_across"}
    margins = []
    for epoch in (0, 2, 3, 6, 30):
        module.on_epoch_start(epoch, scan_of(batch))
        margins.append(module.margin())
    assert margins == pytest.approx([0.95, 0.95, 0.925, 0.85, 0.75])


def test_made_up_labels_are_classified(encoder: MapEncoder, observed: npt.NDArray[np.int8]) -> None:
    _, module = build("sst", encoder, observed, warmup=0, margin=0.0, margin_floor=0.0)
    batch = batch_of(observed)
    known = (batch.observed != 0).any(dim=1)
    module.eval()
    module.on_epoch_start(1, scan_of(batch))
    terms = module.loss(batch)
    labels, logits = batch.observed[known], module.logits(batch)[known]
    expected = module.criterion(logits, torch.where(labels == 0, 1, labels))
    torch.testing.assert_close(terms["loss_within"], expected)
    assert terms["loss_cls"] != terms["loss_within"]


def test_prototypes_are_centres_of_known_positives(encoder: MapEncoder, observed: npt.NDArray[np.int8]) -> None:
    labels = observed.copy()
    labels[:, 4] = -1
    _, module = build("sarb", encoder, labels, warmup=2, renew=3, prototypes=4)
    assert isinstance(module, SARBModule)
    batch = batch_of(labels)
    module.eval()
    module.on_epoch_start(1, scan_of(batch))
    assert not module.prototypes.any()
    module.on_epoch_start(2, scan_of(batch))
    assert module.shown.tolist() == [True, True, True, True, False]
    assert not module.prototypes[4].any()
    with torch.no_grad():
        features = module.features(batch)[batch.observed[:, 1] > 0, 1]
    # The centres of clusters, weighted by their sizes, have the mean of the points.
    nearest = torch.cdist(features, module.prototypes[1]).argmin(dim=1)
    sizes = torch.bincount(nearest, minlength=4).float()
    weighted = (module.prototypes[1] * sizes[:, None]).sum(dim=0) / sizes.sum()
    torch.testing.assert_close(weighted, features.mean(dim=0), rtol=1e-3, atol=1e-4)
    kept = module.prototypes.clone()
    with torch.no_grad():
        module.graph.entry.weight.mul_(-1.0)
    module.on_epoch_start(4, scan_of(batch))
    assert torch.equal(module.prototypes, kept)
    module.on_epoch_start(5, scan_of(batch))
    assert not torch.equal(module.prototypes, kept)
    assert {"prototypes", "shown", "alpha", "beta"} <= set(module.state_dict())


def test_fewer_points_than_clusters_are_repeated() -> None:
    points = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert cluster_centres(points, 5, 0).tolist() == [[1, 2], [3, 4], [1, 2], [3, 4], [1, 2]]
    many = torch.cat((torch.zeros(6, 2), torch.ones(6, 2)))
    assert sorted(cluster_centres(many, 2, 2**40).tolist()) == [[0, 0], [1, 1]]


def test_blends_of_features_and_labels(encoder: MapEncoder, observed: npt.NDArray[np.int8]) -> None:
    _, module = build("sarb", encoder, observed, share=0.75, prototypes=2)
    batch = batch_of(observed)
    module.eval()
    module.on_epoch_start(5, scan_of(batch))
    features = torch.randn(4, 5, 8)
    labels = torch.tensor([[1, 0, -1, 0, 1], [1, 1, 1, 1, 1], [0, 1, 0, -1, 1], [0, 1, -1, 0, 0]], dtype=torch.int8)
    mixed, targets = module.with_partner(features, labels)
    weights, expected = mixed_labels(labels, labels.flip(0), 0.75)
    torch.testing.assert_close(targets, expected)
    torch.testing.assert_close(mixed[0, 1], 0.75 * features[0, 1] + 0.25 * features[3, 1])
    assert targets[0].tolist() == [1, 0.25, -1, 0, 1]
    assert torch.equal(mixed[weights == 1], features[weights == 1])
    drawn = set()
    for seed in range(12):
        torch.manual_seed(seed)
        mixed, targets = module.with_prototype(features, labels)
        changed = (mixed != features).any(dim=2)
        assert changed.sum(dim=1).tolist() == [1, 0, 1, 1]
        assert bool((labels[changed] == 0).all())
        assert torch.equal(targets[~changed], labels[~changed].float())
        assert targets[changed].tolist() == [0.25] * 3
        row, column = changed.nonzero()[0].tolist()
        options = 0.75 * features[row, column] + 0.25 * module.prototypes[column]
        assert bool(torch.isclose(options, mixed[row, column]).all(dim=1).any())
        drawn.add(column)
    assert drawn == {1, 3}


def test_shares_are_learned_and_kept_in_their_range(encoder: MapEncoder, observed: npt.NDArray[np.int8]) -> None:
    stage, module = build("sarb", encoder, observed)
    batch = batch_of(observed)
    module.train()
    module.on_epoch_start(5, scan_of(batch))
    with torch.no_grad():
        module.alpha.fill_(1.4)
        module.beta.fill_(0.5)
    total(module, batch).backward()
    assert module.alpha.item() == 1.0
    assert module.beta.grad is not None
    assert module.beta.grad.item() != 0
    assert any(parameter is module.beta for group in stage.param_groups for parameter in group.params)


@pytest.mark.parametrize("recipe", ["sst", "sarb"])
def test_state_is_all_there_is_after_the_warm_up(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = ("finite loss", "resume equals no interruption", "state safe to save")
    monkeypatch.setattr(kit, "CHECKS", {title: checks.CHECKS[title] for title in kept})
    base = SPECS[recipe]
    spec = MethodSpec(
        name="warm",
        target=base.target,
        summary="a toy",
        config={**SMALL, "channels": 8, "warmup": 1, "renew": 3, "prototypes": 2}
        if recipe == "sarb"
        else {**SMALL, "channels": 8, "warmup": 1, "margin": 0.5, "margin_floor": 0.5},
    )
    with extra_specs([spec]):
        results = kit.check_method("warm", weights="random")
    assert [(result.name, result.status) for result in results] == [(title, "passed") for title in kept], results
