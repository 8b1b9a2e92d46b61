"""OLTR: centroids and hallucinator start from the first stage, the embedding's arithmetic, its loss, resuming."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ltbench.backbones.registry import open_backbone
from ltbench.method import Batch, FineTuned, GradientStage
from ltbench.nn import ClassAwareSampler, ModulatedAttention, ShuffleSampler
from ltbench.plugin import UserError
from ltbench_baselines.long_tailed.oltr import OLTR, CentroidLoss, MemoryModule, MetaEmbedding, attention_for
from tests.plugins.two_stream_toys import (
    DIM,
    ROWS,
    SIDE,
    ToyEncoder,
    batch_of,
    context_of,
    encoder,
    interrupted_and_not,
    long_tail,
    make_trainable,
    train_a_little,
)


def build(labels: np.ndarray, **options: Any) -> tuple[GradientStage, GradientStage]:
    first, second = OLTR(OLTR.Config(**options)).stages(context_of(labels))
    assert isinstance(first, GradientStage)
    assert isinstance(second, GradientStage)
    return first, second


def memory_of(stage: GradientStage) -> MemoryModule:
    assert isinstance(stage.module, MemoryModule)
    return stage.module


def scan_of(batch: Batch) -> Any:
    def scan() -> Iterator[Batch]:
        for start in range(0, ROWS, 16):
            cut = slice(start, start + 16)
            yield Batch(batch.rows[cut], batch.features[cut], batch.observed[cut])

    return scan


def test_memory_starts_from_the_first_stage_and_only_once() -> None:
    labels = long_tail()
    first, second = build(labels)
    module, batch = memory_of(second), batch_of(labels)
    assert isinstance(first.module, FineTuned)
    torch.nn.init.normal_(first.module.head.linear.weight)
    module.eval()
    module.on_epoch_start(0, scan_of(batch))
    with torch.no_grad():
        features = module.features(batch)
    present = labels == 1
    for column in range(4):
        mean = features[torch.from_numpy(present[:, column])].mean(dim=0)
        torch.testing.assert_close(module.centroids[column].detach(), mean)
    torch.testing.assert_close(module.centroids[4].detach(), features.mean(dim=0))  # nobody has the fifth
    assert torch.equal(module.head.hallucinator.weight, first.module.head.linear.weight)
    assert module.head.hallucinator.weight is not first.module.head.linear.weight
    before = module.centroids.detach().clone()
    with torch.no_grad():
        module.tower.conv1.weight.add_(1.0)
    module.on_epoch_start(1, scan_of(batch))
    assert torch.equal(module.centroids.detach(), before)


def test_embedding_is_that_of_the_card() -> None:
    torch.manual_seed(0)
    embedding = MetaEmbedding(DIM, torch.tensor([0.5, 0.2, 0.9]), scale=16.0, reach=10.0)
    features, centroids = torch.randn(4, DIM), torch.randn(3, DIM)
    found = embedding(features, centroids)
    for row, v in enumerate(features):
        shares = torch.softmax(embedding.hallucinator.weight @ v + embedding.hallucinator.bias, 0)
        recalled = sum(share * centroid for share, centroid in zip(shares, centroids, strict=True))
        gate = torch.tanh(embedding.selector.weight @ v + embedding.selector.bias)
        reach = 10.0 / min((v - centroid).norm() for centroid in centroids)
        u = reach * (v + gate * recalled)
        for column, w in enumerate(embedding.weight):
            cosine = (u @ w) / (u.norm() * w.norm())
            expected = 16.0 * u.norm() / (1 + u.norm()) * cosine + embedding.bias[column]
            torch.testing.assert_close(found[row, column], expected)
    torch.testing.assert_close(embedding.bias.sigmoid(), torch.tensor([0.5, 0.2, 0.9]))


def test_a_feature_on_a_centroid_gives_finite_logits_and_gradients() -> None:
    embedding = MetaEmbedding(DIM, torch.full((2,), 0.5), scale=16.0, reach=10.0)
    for features in (torch.zeros(1, DIM), torch.ones(1, DIM), torch.full((1, DIM), 1e4)):
        given = features.clone().requires_grad_(True)
        logits = embedding(given, features.expand(2, DIM))
        logits.sum().backward()
        assert bool(logits.isfinite().all())
        assert given.grad is not None
        assert bool(given.grad.isfinite().all())


def test_centroids_draw_present_classes_and_push_absent_ones_up_to_a_margin() -> None:
    features = torch.tensor([[0.0, 0.0], [2.0, 0.0], [5.0, 5.0]])
    centroids = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    labels = torch.tensor([[1, 1], [1, -1], [0, -1]], dtype=torch.int8)
    # Present: mean(1, 9) / 2 and 1 / 2, over two images. Absent: 4 + 9 and 25 + 4, over two labels.
    attract, away = (2.5 + 0.5) / 2, (13 + 29) / 2
    assert float(CentroidLoss(10.0, 0.01)(features, centroids, labels)) == pytest.approx(attract)
    found = float(CentroidLoss(30.0, 0.1)(features, centroids, labels))
    assert found == pytest.approx(attract + 0.1 * (30 - away))
    assert float(CentroidLoss(10.0, 1.0)(features, centroids, torch.zeros(3, 2))) == 0.0


def gradients(loss: Tensor, *tensors: Tensor) -> list[bool]:
    found = torch.autograd.grad(loss, tensors, allow_unused=True, retain_graph=True)
    return [g is not None and bool(g.any()) for g in found]


def test_classification_leaves_the_centroids_to_their_own_loss() -> None:
    labels = long_tail()
    _, stage = build(labels)
    module, batch = memory_of(stage), batch_of(labels)
    module.eval()
    module.on_epoch_start(0, scan_of(batch))
    make_trainable(stage)
    module.train()
    terms = module.loss(batch)
    assert gradients(terms["loss_cls"], module.centroids, module.tower.conv1.weight, module.head.weight) == [
        False,
        True,
        True,
    ]
    assert gradients(terms["loss_centroids"], module.centroids, module.tower.conv1.weight, module.head.weight) == [
        True,
        True,
        False,
    ]


def test_unknown_labels_and_their_rows_move_nothing() -> None:
    labels = long_tail()
    labels[3] = 0
    _, stage = build(labels, margin=1e6)
    module, batch = memory_of(stage), batch_of(labels)
    module.eval()
    module.on_epoch_start(0, scan_of(batch))
    make_trainable(stage)
    batch.features.requires_grad_(True)
    sum(module.loss(batch).values()).backward()
    assert batch.features.grad.flatten(1).any(dim=1).tolist() == [row != 3 for row in range(ROWS)]
    labels[:] = 0
    assert not torch.stack(list(module.loss(batch_of(labels)).values())).any()


def test_both_stages_learn_what_they_declare() -> None:
    labels = long_tail()
    batch = batch_of(labels)
    first, second = build(labels)
    assert [group.name for group in second.param_groups] == ["memory", "centroids", "tower"]
    for stage in (first, second):
        if isinstance(stage.module, MemoryModule):
            stage.module.eval()
            stage.module.on_epoch_start(0, scan_of(batch))
        declared = {id(p) for group in stage.param_groups for p in group.params}
        assert declared == {id(p) for p in stage.module.parameters()}
        values = train_a_little(stage, batch)
        assert values[-1] < values[0]
    _, fixed = build(labels, memory_lr=None)
    assert [group.name for group in fixed.param_groups] == ["memory", "centroids"]


def test_rows_are_even_first_and_class_aware_then() -> None:
    first, second = build(long_tail(), epochs=3, memory_epochs=2)
    assert isinstance(first.sampler, ShuffleSampler)
    assert isinstance(second.sampler, ClassAwareSampler)
    assert (first.epochs, second.epochs, second.sampler.draws_per_class) == (3, 2, 4)
    assert build(long_tail(), sampler="shuffle")[1].sampler is None
    with pytest.raises(UserError, match="no class has an observed positive"):
        build(np.full((4, 5), -1, dtype=np.int8))


@pytest.mark.parametrize("memory_lr", [1e-3, None])
def test_an_interrupted_run_ends_in_the_same_weights(tmp_path: Path, memory_lr: float | None) -> None:
    options: dict[str, Any] = {"epochs": 2, "memory_epochs": 3, "batch_size": 16, "augment": "none"}
    whole, resumed = interrupted_and_not(OLTR(OLTR.Config(**options, memory_lr=memory_lr)), tmp_path, stop_after=1)
    expected, found = whole.module.state_dict(), resumed.module.state_dict()
    assert set(expected) == set(found)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


class MapEncoder(ToyEncoder):
    """The toy tower with the map that it takes the mean of."""

    def encode_regions(self, images: Tensor) -> tuple[Tensor, Tensor]:
        tower: Any = self.visual
        places = tower.layer4(tower.conv1(images).relu()).flatten(2).transpose(1, 2)
        return places.mean(dim=1), places


def with_attention(**options: Any) -> GradientStage:
    plain = encoder()
    context = context_of(long_tail(), MapEncoder(card=plain.card, visual=plain.visual))
    torch.manual_seed(3)
    _, second = OLTR(OLTR.Config(attention="modulated", **options)).stages(context)
    assert isinstance(second, GradientStage)
    return second


def test_attention_adds_what_the_card_says() -> None:
    torch.manual_seed(1)
    layer = ModulatedAttention(DIM, 4)
    places = torch.randn(3, 4, DIM)
    assert not layer(places).any()
    torch.nn.init.normal_(layer.back.weight)
    for image, found in zip(places, layer(places), strict=True):
        q, k, g = layer.query(image), layer.key(image), layer.value(image)
        shares = torch.softmax(layer.place(image.flatten()), 0)
        total = torch.zeros(DIM)
        for place in range(4):
            near = torch.softmax(torch.stack([q[place] @ k[other] for other in range(4)]), 0)
            mixed = sum(weight * value for weight, value in zip(near, g, strict=True))
            total = total + shares[place] * (layer.back.weight @ mixed)
        torch.testing.assert_close(found, total / 4)


def test_attention_starts_as_nothing_and_reaches_the_logits() -> None:
    labels = long_tail()
    stage, batch = with_attention(), batch_of(labels)
    module = memory_of(stage)
    assert module.attention is not None
    module.eval()
    module.on_epoch_start(0, scan_of(batch))
    with torch.no_grad():
        torch.testing.assert_close(module.features(batch), FineTuned.features(module, batch))
    assert [group.name for group in stage.param_groups] == ["memory", "centroids", "attention", "tower"]
    assert {id(p) for group in stage.param_groups for p in group.params} == {id(p) for p in module.parameters()}
    values = train_a_little(stage, batch)
    assert values[-1] < values[0]
    assert module.attention.back.weight.any()
    with torch.no_grad():
        learned = module.logits(batch)
        module.attention.back.weight.zero_()
        assert not torch.allclose(learned, module.logits(batch))


def test_attention_is_learned_where_the_tower_is_fixed() -> None:
    stage = with_attention(memory_lr=None, memory_head_lr=0.1)
    assert [(group.name, group.lr) for group in stage.param_groups][-1] == ("attention", pytest.approx(0.01))


def test_attention_needs_a_map_of_the_features_size() -> None:
    with pytest.raises(UserError, match="no map of places of its feature's size"):
        build(long_tail(), attention="modulated")
    resnet = attention_for(open_backbone("timm:resnet50.tv_in1k", weights="random"))
    assert (resnet.query.in_features, resnet.place.out_features) == (2048, 49)
    assert sum(p.numel() for p in resnet.parameters()) == 13_308_977
    assert attention_for(MapEncoder(card=encoder().card, visual=encoder().visual)).place.out_features == SIDE**2
