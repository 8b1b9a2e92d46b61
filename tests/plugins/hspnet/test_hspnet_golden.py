"""HSPNet against vectors of its release: adjacency, graph, the whole forward pass, loss, schedule and average."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ltbench.method import Batch, Context, GradientStage, Stats
from ltbench.method.config import build_config, choose_preset, load_presets
from ltbench.nn import GraphStack, ResidualGraph, similarity_adjacency
from ltbench_hspnet.labels import LabelHead
from ltbench_hspnet.method import HSPNet
from ltbench_hspnet.module import FrozenModule
from ltbench_hspnet.plugin import ltbench_methods
from tests.golden import golden as vectors
from tests.plugins.hspnet.hspnet_toys import GivenTower, context_for, texts, tower_of

Golden = dict[str, np.ndarray]
SPECS = {spec.name: spec for spec in ltbench_methods()}


@pytest.fixture
def golden() -> Any:
    return partial(vectors, "limited-labels")


@pytest.mark.parametrize("case", ["s0_n12", "s2_n20_p05"])
def test_adjacency(golden: Any, case: str) -> None:
    vectors = golden("hspnet_adjacency")
    relation, r = vectors[f"{case}__relation"], float(vectors[f"{case}__r"])
    found = similarity_adjacency(relation, neighbour_share=r)
    np.testing.assert_allclose(found, vectors[f"{case}__adj"], rtol=1e-12, atol=1e-14)
    assert ((found > 0).sum(axis=1) == vectors[f"{case}__K"]).all()
    kept = similarity_adjacency(relation, keep=int(vectors[f"{case}__K"]), neighbour_share=r)
    np.testing.assert_array_equal(found, kept)


def stage_of(context: Context, **options: Any) -> GradientStage:
    (stage,) = HSPNet(HSPNet.Config(**options)).stages(context)
    assert isinstance(stage, GradientStage)
    return stage


@pytest.mark.parametrize("case", ["s0_n12", "s2_n20_p05"])
def test_the_recipe_links_labels_and_groups_as_the_release(golden: Any, case: str) -> None:
    vectors = golden("hspnet_adjacency")
    features, wanted = vectors[f"{case}__features"], vectors[f"{case}__adj"]
    names = tuple(f"l{row}" for row in range(len(features)))
    r = float(vectors[f"{case}__r"])
    context = context_for(
        tower_of(features, features), names, {f"g{row}": (f"l{row}",) for row in range(len(names))}, features.shape[1]
    )
    labels = stage_of(context, train_encoder=False, neighbour_share=r).module.head.labels
    np.testing.assert_allclose(labels.label_links.numpy(), wanted, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(labels.group_links.numpy(), wanted, rtol=1e-6, atol=1e-8)


def test_graph(golden: Any) -> None:
    vectors = {name.removeprefix("s0__"): torch.from_numpy(v) for name, v in golden("hspnet_gcn").items()}
    weights = [vectors[f"W{layer}"] for layer in (1, 2, 3)]
    graph = ResidualGraph(GraphStack((len(weights[0]), *(w.shape[1] for w in weights))), gate=0.9).double()
    fill(graph, weights, vectors["gamma"])
    features = vectors["features"].requires_grad_()
    out = graph(features, vectors["adj"])
    torch.testing.assert_close(out.detach(), vectors["out"], rtol=1e-12, atol=1e-14)
    out.backward(vectors["cotangent"])
    found = [features.grad, graph.stack.layers[0].weight.grad, graph.stack.layers[2].weight.grad, graph.gate.grad]
    for one, name in zip(found, ("features", "W1", "W3", "gamma"), strict=True):
        torch.testing.assert_close(one, vectors[f"grad_{name}"], rtol=1e-10, atol=1e-12)


def fill(graph: ResidualGraph, weights: Sequence[Tensor], gate: Tensor | None) -> None:
    with torch.no_grad():
        for layer, weight in zip(graph.stack.layers, weights, strict=True):
            layer.weight.copy_(weight)
        if gate is not None:
            graph.gate.copy_(gate)


def toy(golden: Any, variant: str, **options: Any) -> tuple[Golden, LabelHead, FrozenModule]:
    """The module that the recipe builds from the toy encoder of the vector, with the weights of the vector."""
    v = {name.removeprefix("s0__"): array for name, array in golden("hspnet_forward_toy").items()}
    labels = [f"l{row}" for row in range(len(v["parent_index"]))]
    tokens = np.concatenate([v["token_prefix"], v["token_suffix"]], axis=1)
    rng = np.random.default_rng(0)
    tower = GivenTower(
        texts("g", v["group_text_features"]) | texts("l", rng.normal(size=(len(labels), 8))),
        {f"{name}.": torch.from_numpy(rows) for name, rows in zip(labels, tokens, strict=True)},
        torch.from_numpy(v["toy_text_W"]),
    )
    groups = {
        f"g{group}": tuple(name for name, at in zip(labels, v["parent_index"], strict=True) if at == group)
        for group in range(3)
    }
    context = context_for(tower, tuple(labels), groups, 8, variant)
    stage = stage_of(
        context,
        train_encoder=False,
        context_tokens=2,
        graph_hidden=v["gcn_W1"].shape[1],
        meta_hidden=len(v["meta_W1"]),
        **options,
    )
    module = stage.module.double()
    assert isinstance(module, FrozenModule)
    head = module.head
    with torch.no_grad():
        layers = head.labels.prompts.meta.meta.layers
        for layer, number in ((layers[0], 1), (layers[2], 2)):
            layer.weight.copy_(torch.from_numpy(v[f"meta_W{number}"]))
            layer.bias.copy_(torch.from_numpy(v[f"meta_b{number}"]))
        # The vector's prompts each have a start of their own; those of a tower all have the same.
        head.labels.prompts.prompts.prefix = torch.from_numpy(v["token_prefix"])
        head.labels.label_links.copy_(torch.from_numpy(v["adj_label"]))
        head.labels.group_links.copy_(torch.from_numpy(v["adj_group"]))
    for graph in head.labels.graphs:
        weights = [torch.from_numpy(v[f"gcn_W{layer}"]) for layer in (1, 2, 3)]
        fill(graph, weights, None if graph.gate is None else torch.from_numpy(v["gamma"]))
    return v, head, module


def test_forward_pass(golden: Any) -> None:
    v, head, module = toy(golden, "code")
    assert len(head.labels.graphs) == 1
    # Everything behind the start and in front of the name is the group's; start, name and end are the tower's.
    torch.testing.assert_close(head.labels.contexts(), torch.from_numpy(v["prompts"][:, 1:3]), rtol=1e-12, atol=1e-13)
    refined = head.labels.graphs[0](head.labels.groups, head.labels.group_links)
    prompts, _ = head.labels.prompts(refined[None])
    torch.testing.assert_close(prompts[0], torch.from_numpy(v["prompts"]), rtol=1e-12, atol=1e-13)
    images = torch.from_numpy(v["image_features"])
    batch = Batch(torch.arange(2), images, torch.zeros(2, 7, dtype=torch.int8))
    # The scale is kept as a float32 logarithm.
    torch.testing.assert_close(module.logits(batch), torch.from_numpy(v["logits"]), rtol=1e-6, atol=1e-7)
    scaled = module.logits(batch) * (10.0 / head.cosine.log_scale.exp())
    torch.testing.assert_close(scaled, torch.from_numpy(v["logits"]), rtol=1e-12, atol=1e-13)


def test_forward_pass_of_the_paper_differs_as_stated(golden: Any) -> None:
    """Two graphs, each added to what it starts from, and a learned scale: recomputed here from the vector's weights."""
    v, head, module = toy(golden, "paper")
    assert len(head.labels.graphs) == 2
    assert head.cosine.log_scale.requires_grad

    def refine(nodes: np.ndarray, links: np.ndarray) -> np.ndarray:
        moved = nodes
        for layer in (1, 2, 3):
            moved = links @ ((moved if layer == 1 else np.where(moved > 0, moved, 0.2 * moved)) @ v[f"gcn_W{layer}"])
        return nodes + moved

    groups = refine(v["group_text_features"], v["adj_group"])
    hidden = np.maximum(groups @ v["meta_W1"].T + v["meta_b1"], 0)
    contexts = (hidden @ v["meta_W2"].T + v["meta_b2"]).reshape(3, 2, 5)[v["parent_index"]]
    prompts = np.concatenate([v["token_prefix"], contexts, v["token_suffix"]], axis=1)
    labels = refine(np.tanh(prompts.mean(axis=1) @ v["toy_text_W"]), v["adj_label"])
    images = v["image_features"]
    cosines = (images / np.linalg.norm(images, axis=1, keepdims=True)) @ (
        labels / np.linalg.norm(labels, axis=1, keepdims=True)
    ).T
    batch = Batch(torch.arange(2), torch.from_numpy(images), torch.zeros(2, 7, dtype=torch.int8))
    torch.testing.assert_close(module.logits(batch).detach(), torch.from_numpy(10 * cosines), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("variant", ["code", "paper"])
@pytest.mark.parametrize("case", ["s0", "s2_multi", "s4_none", "s6_neartau"])
@pytest.mark.parametrize("epoch", [0, 1])
def test_loss_and_rewritten_labels(golden: Any, case: str, epoch: int, variant: str) -> None:
    v = golden("hspnet_splc_loss")
    labels = torch.from_numpy(v[f"{case}__labels"]).to(torch.int8)
    rows, classes = labels.shape
    names = tuple(f"l{row}" for row in range(classes))
    rng = np.random.default_rng(0)
    tower = tower_of(rng.normal(size=(classes, 8)), rng.normal(size=(1, 8)))
    module = stage_of(context_for(tower, names, {"g0": names}, 8, variant), train_encoder=False).module
    module.criterion.rewritten = torch.zeros(rows, classes, dtype=torch.bool)
    for dtype, suffix, exact in ((torch.float64, "", 1e-12), (torch.float32, "_f32", 2e-6)):
        logits = torch.from_numpy(v[f"{case}__logits"]).to(dtype).requires_grad_()
        module.logits = lambda batch, logits=logits: logits
        module.on_epoch_start(epoch, lambda: iter(()))
        module.criterion.rewritten.zero_()
        loss = module.loss(Batch(torch.arange(rows), torch.zeros(rows, 8), labels))["loss_splc"]
        loss.backward()
        wanted = torch.as_tensor(v[f"{case}__ep{epoch}__loss{suffix}"])
        torch.testing.assert_close(loss.detach(), wanted, rtol=exact, atol=exact)
        gradient = torch.from_numpy(v[f"{case}__ep{epoch}__grad{suffix}"])
        torch.testing.assert_close(logits.grad, gradient, rtol=exact * 10, atol=exact)
        rewritten = (torch.from_numpy(v[f"{case}__ep{epoch}__targets_out"]) == 1) & (labels != 1)
        assert sorted(module.decisions()) == [tuple(pair) for pair in rewritten.nonzero().tolist()]


@pytest.mark.parametrize(
    ("task", "rows", "key"),
    [
        ("spml-coco", 82081, "ema_coco2014_bs128"),
        ("spml-nus", 119103, "ema_nuswide_bs128"),
        ("spml-voc", 5717, "ema_voc2012_bs128"),
        ("spml-cub", 5994, "ema_cub_bs128"),
    ],
)
def test_average(golden: Any, task: str, rows: int, key: str) -> None:
    stage = published(task, rows)
    assert stage.ema == pytest.approx(float(golden("hspnet_schedule_ema")[key]), rel=0, abs=1e-12)


def test_average_with_smaller_batches(golden: Any) -> None:
    stage = published("spml-cub", 5994, batch_size=96)
    assert stage.ema == pytest.approx(float(golden("hspnet_schedule_ema")["ema_cub_bs96"]), rel=0, abs=1e-12)


@pytest.mark.parametrize(("task", "rows", "key"), [("spml-voc", 5717, "voc"), ("spml-nus", 119103, "nus")])
def test_schedule(golden: Any, task: str, rows: int, key: str) -> None:
    """Rates of each group at the first and last step of each of the 60 epochs."""
    stage = published(task, rows)
    table = golden("hspnet_schedule_ema")[f"{key}__lr_first_last_step_of_epoch"]
    steps = int(table[1, 1]) + 1
    assert stage.epochs == 60 == len(table) / 2
    assert steps == -(-rows // stage.batch_size)
    groups = {group.name: group for group in stage.param_groups}
    for epoch, step, *rates in table:
        at = int(epoch) * steps + int(step)
        found = [
            groups[name].lr * groups[name].schedule.factor(at, steps, stage.epochs)
            for name in ("vectors", "matrices", "gate", "graph")
        ]
        np.testing.assert_allclose(found, rates, rtol=1e-9, atol=0)
    assert [groups[name].weight_decay for name in groups] == [0.0, 1e-4, 0.0, 1e-4]
    assert stage.optimizer == "adam"


@pytest.mark.parametrize(("task", "rows", "key"), [("spml-voc", 5717, "voc"), ("spml-nus", 119103, "nus")])
def test_first_beta_of_adam(golden: Any, task: str, rows: int, key: str) -> None:
    """At the first and last step of each of the 60 epochs, of every group."""
    stage, vectors = published(task, rows), golden("hspnet_schedule_ema")
    table = vectors[f"{key}__lr_first_last_step_of_epoch"]
    steps = int(table[1, 1]) + 1
    at = [int(epoch) * steps + int(step) for epoch, step, *_ in table]
    for group in stage.param_groups:
        found = [group.schedule.momentum(step, steps, stage.epochs) for step in at]
        np.testing.assert_allclose(np.array(found, float), vectors[f"{key}__adam_beta1"], rtol=1e-9, atol=0)
    assert stage.ema_buffers


def published(task: str, rows: int, **options: Any) -> GradientStage:
    """The stage of a published preset of the release, on features, with the task's number of rows."""
    preset = choose_preset(load_presets(SPECS["hspnet"]), None, task, "splc", "clip-rn50", "code")
    assert preset is not None
    config = build_config(HSPNet.Config, "hspnet", preset.overrides, {"train_encoder": False}, options)
    rng = np.random.default_rng(0)
    tower = tower_of(rng.normal(size=(6, 8)), rng.normal(size=(2, 8)))
    names = tuple(f"l{row}" for row in range(6))
    context = context_for(tower, names, {"g0": names[:3], "g1": names[3:]}, 8)
    counts = np.ones(6, dtype=np.int64)
    object.__setattr__(context, "stats", Stats(rows, counts, counts * 0, np.diag(counts)))
    (stage,) = HSPNet(config).stages(context)
    assert isinstance(stage, GradientStage)
    return stage
