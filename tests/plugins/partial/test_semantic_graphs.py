"""SSGRL, KGGR, SST and SARB: what is learned from which labels, what is made up, and presets of published rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from ltbench.backbones.base import Backbone
from ltbench.losses import mixed_labels
from ltbench.method import Batch, Context, GradientStage, Stats
from ltbench.method.config import build_config, load_presets
from ltbench.nn import ensemble_features
from ltbench.plugin import MethodSpec, UserError
from ltbench.plugin.manager import extra_specs
from ltbench.report.published import published
from ltbench.testing import checks, kit
from ltbench_baselines.partial.graph_recipes import RECIPES, partial_graph_recipes
from ltbench_baselines.partial.region_sources import TrainedRegions
from ltbench_baselines.partial.representation_blending import SARBModule, cluster_centres
from ltbench_baselines.partial.semantic_graph import SemanticGraphModule
from ltbench_baselines.partial.semantic_transfer import CoOccurrence, SSTModule
from ltbench_baselines.partial.ssgrl import SSGRL, RoutedScores

SPECS = {spec.name: spec for spec in partial_graph_recipes()}
REGIONS, PLACES = 6, 4
SMALL = {"hidden": 5, "output": 7, "tower": "frozen"}


class MapTower(nn.Module):
    """One convolution to a map of 2 x 2 places, and a part that can be frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 3, 1)
        self.last = nn.Conv2d(3, REGIONS, 4, stride=4)

    def forward(self, images: Tensor) -> Tensor:
        mapped: Tensor = self.last(self.stem(images))
        return mapped


class MapEncoder(Backbone):
    def preprocess(self, image: Any) -> Tensor:
        raise NotImplementedError

    def encode_global(self, images: Tensor) -> Tensor:
        raise NotImplementedError

    def encode_regions(self, images: Tensor) -> tuple[Tensor, Tensor]:
        assert self.visual is not None
        regions = self.visual(images).flatten(2).transpose(1, 2)
        return regions.mean(dim=1), regions


class NoMap(MapEncoder):
    def encode_regions(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return Backbone.encode_regions(self, images)


@pytest.fixture
def encoder(backbone: Backbone) -> MapEncoder:
    card = backbone.card.model_copy(update={"region_dim": REGIONS, "image_size": 8})
    torch.manual_seed(1)
    return MapEncoder(card=card, visual=MapTower(), text=backbone.text)


def build(
    recipe: str, encoder: Backbone, labels: npt.NDArray[np.int8], variant: Any = "paper", **options: Any
) -> tuple[GradientStage, Any]:
    names = ("cat", "dog", "traffic light", "person", "bus")[: labels.shape[1]]
    observed = torch.from_numpy(labels)
    device = torch.device("cpu")
    context = Context(names, Stats.of(labels), encoder, device, 0, variant=variant, observed=observed)
    spec = SPECS[recipe]
    method = spec.load()
    small = SMALL if recipe in ("ssgrl", "kggr") else {**SMALL, "channels": 8}
    torch.manual_seed(0)
    (stage,) = method(build_config(method.Config, recipe, spec.config, {**small, **options})).stages(context)
    assert isinstance(stage, GradientStage)
    assert isinstance(stage.module, SemanticGraphModule)
    return stage, stage.module


def batch_of(labels: npt.NDArray[np.int8]) -> Batch:
    regions = torch.randn(len(labels), PLACES, REGIONS, generator=torch.Generator().manual_seed(4))
    return Batch(torch.arange(len(labels)), (regions.mean(dim=1), regions), torch.from_numpy(labels))


def scan_of(batch: Batch, rows: int = 16) -> Any:
    def scan() -> Iterator[Batch]:
        assert isinstance(batch.input, tuple)
        for start in range(0, len(batch.rows), rows):
            cut = slice(start, start + rows)
            yield Batch(batch.rows[cut], (batch.input[0][cut], batch.input[1][cut]), batch.observed[cut])

    return scan


def total(module: SemanticGraphModule, batch: Batch) -> Tensor:
    return torch.stack(list(module.loss(batch).values())).sum()


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


TOWERS = {False: "timm:resnet101.tv_in1k", True: "clip-rn101"}
ROWS = sorted(
    {
        (row.paper, row.table, row.task, row.method, row.method.endswith("*") or "text=yes" in row.variant)
        for row in published()
        if row.method.removesuffix("*").lower() in RECIPES
    }
)


def test_the_rows_of_the_papers_are_found() -> None:
    assert {(paper, table) for paper, table, *_ in ROWS} == {("dualcoop", "1"), ("dualcoop", "4"), ("hspnet", "7")}
    assert {method for *_, method, _ in ROWS} == {"SSGRL", "KGGR", "SST", "SARB", "SST*", "SARB*"}


@pytest.mark.parametrize(("paper", "table", "task", "method", "clip"), ROWS)
def test_every_published_row_has_its_settings(paper: str, table: str, task: str, method: str, clip: bool) -> None:
    spec = SPECS[method.removesuffix("*").lower()]
    title = {"dualcoop": "DualCoOp", "hspnet": "HSPNet"}[paper]
    fitting = [preset for preset in load_presets(spec) if preset.fits(task, "p10", TOWERS[clip], "paper")]
    assert len(fitting) == 1
    rows = fitting[0].origin.removeprefix("published(").removesuffix(")").split("; ")
    assert f"{title} Table {table}, {method}" in rows
    config: Any = build_config(spec.load().Config, spec.name, spec.config, fitting[0].overrides)
    assert (config.tower, config.lr, config.head_lr, config.weight_decay) == ("trained", 1e-5, 1e-5, 5e-4)
    assert (config.epochs, config.batch_size, config.milestones, config.schedule) == (20, 8, (10,), "multistep")
    assert (config.optimizer, config.batch_norm, config.augment) == ("adam", "train", "flip")
    assert config.image_size == (448 if clip else None)
    assert "layer4" not in config.freeze
    assert {"layer1", "layer2", "layer3"} <= set(config.freeze)
