"""ML-GCN: its graph comes from observed labels, its classifiers from the graph, and its words from where it is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from ltbench.backbones.base import Backbone
from ltbench.engine.facts import facts_of
from ltbench.engine.prepare import prepare
from ltbench.engine.request import RunRequest
from ltbench.method import Batch, Context, FineTuned, GradientStage, Stats
from ltbench.method.config import build_config
from ltbench.nn import ensemble_features, label_adjacency, normalised_adjacency, words_of
from ltbench.plugin import UserError
from ltbench.tasks.registry import load_task
from ltbench_baselines.long_tailed.ml_gcn import MLGCN, GraphHead

NAMES = ("cat", "dog", "traffic light", "person", "bus")


class Encoder(Backbone):
    """A linear tower on the mean colours of an image, and the text tower of the other tests."""

    def preprocess(self, image: Any) -> Tensor:
        raise NotImplementedError

    def encode_global(self, images: Tensor) -> Tensor:
        assert self.visual is not None
        features: Tensor = self.visual(images.mean(dim=(2, 3)))
        return features


@pytest.fixture
def encoder(backbone: Backbone) -> Encoder:
    return Encoder(card=backbone.card, visual=nn.Linear(3, backbone.card.dim), text=backbone.text)


def build(
    encoder: Encoder, labels: npt.NDArray[np.int8], variant: Any = "paper", **options: Any
) -> tuple[GradientStage, FineTuned, GraphHead]:
    context = Context(
        NAMES[: labels.shape[1]],
        Stats.of(labels),
        encoder,
        torch.device("cpu"),
        0,
        variant=variant,
        observed=torch.from_numpy(labels),
    )
    torch.manual_seed(0)
    (stage,) = MLGCN(build_config(MLGCN.Config, "ml-gcn", options)).stages(context)
    assert isinstance(stage, GradientStage)
    assert isinstance(stage.module, FineTuned)
    assert isinstance(stage.module.head, GraphHead)
    return stage, stage.module, stage.module.head


def batch_of(labels: npt.NDArray[np.int8]) -> Batch:
    images = torch.randn(len(labels), 3, 4, 4, generator=torch.Generator().manual_seed(4))
    return Batch(torch.arange(len(labels)), images, torch.from_numpy(labels))


@pytest.mark.parametrize("variant", ["paper", "code"])
def test_few_known_labels_leave_the_graph_at_the_published_threshold(encoder: Encoder, variant: Any) -> None:
    """P(dog | cat) is 0.7 and cats do not follow from dogs; one label in five is known."""
    rng = np.random.default_rng(3)
    cat = rng.random(20_000) < 0.2
    dog = np.where(cat, rng.random(20_000) < 0.7, rng.random(20_000) < 0.4)
    complete = np.where(np.stack([cat, dog], axis=1), 1, -1).astype(np.int8)
    shown = np.where(rng.random(complete.shape) < 0.2, complete, 0).astype(np.int8)
    whole, part = (build(encoder, labels, variant)[2].adjacency for labels in (complete, shown))
    assert (whole - torch.diag(whole.diag()) > 0).sum() == 1
    torch.testing.assert_close(part, whole)


@pytest.mark.parametrize("variant", ["paper", "code"])
def test_the_graph_is_that_of_the_observed_labels(
    encoder: Encoder, observed: npt.NDArray[np.int8], variant: Any
) -> None:
    _, _, head = build(encoder, observed, variant, threshold=0.3)
    present = (observed == 1).astype(int)
    links = label_adjacency(present.T @ present, present.sum(axis=0), threshold=0.3, form=variant)
    assert (links[~np.eye(len(links), dtype=bool)] > 0).any()
    torch.testing.assert_close(head.adjacency, normalised_adjacency(links, form=variant))
    torch.testing.assert_close(head.words, ensemble_features(encoder.text, NAMES))


def test_a_class_that_nobody_observed_stands_alone(encoder: Encoder, full: npt.NDArray[np.int8]) -> None:
    labels = full.copy()
    labels[:, 4] = -1
    _, module, head = build(encoder, labels)
    assert head.adjacency[4].tolist() == [0, 0, 0, 0, 1]
    assert head.adjacency[:, 4].tolist() == [0, 0, 0, 0, 1]
    assert torch.isfinite(module.logits(batch_of(labels))).all()


def test_logits_are_features_times_what_the_graph_makes_of_the_words(
    encoder: Encoder, full: npt.NDArray[np.int8]
) -> None:
    _, module, head = build(encoder, full, hidden=7)
    batch = batch_of(full)
    first, second = (layer.weight for layer in head.graph.layers)
    assert (first.shape, second.shape) == ((encoder.card.dim, 7), (7, encoder.card.dim))
    hidden = head.adjacency @ head.words @ first
    vectors = head.adjacency @ torch.where(hidden > 0, hidden, 0.2 * hidden) @ second
    torch.testing.assert_close(module.logits(batch), encoder.encode_global(batch.features) @ vectors.T)


def test_tower_and_graph_have_rates_of_their_own_and_words_none(encoder: Encoder, full: npt.NDArray[np.int8]) -> None:
    stage, module, head = build(encoder, full)
    tower, graph = stage.param_groups
    assert (stage.optimizer, tower.lr, graph.lr, stage.clip_norm) == ("sgd", 0.01, 0.1, 10.0)
    assert {id(p) for p in graph.params} == {id(p) for p in head.graph.parameters()}
    module.loss(batch_of(full))["loss_cls"].backward()
    assert all(bool((p.grad != 0).any()) for p in (*tower.params, *graph.params))
    assert all(p.grad is None for p in encoder.text.parameters())
    assert {"head.words", "head.adjacency"} <= set(module.state_dict())


def test_unknown_labels_have_no_gradient(encoder: Encoder, full: npt.NDArray[np.int8]) -> None:
    labels = full.copy()
    labels[:3] = 0
    _, module, _ = build(encoder, full)
    batch = batch_of(labels)
    images = batch.features.clone().requires_grad_(True)
    loss = module.loss(Batch(batch.rows, images, batch.observed))["loss_cls"]
    (gradient,) = torch.autograd.grad(loss, [images])
    assert not gradient[:3].any()
    assert gradient[3:].any()


def test_where_the_words_come_from_decides_what_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("cat 1 2\n", encoding="utf-8")
    asked = {
        words: MLGCN(build_config(MLGCN.Config, "ml-gcn", {"words": words, **more})).needs()
        for words, more in (("text", {}), ("one-hot", {}), ("glove", {"glove_file": str(file)}))
    }
    assert {words: (needs.text, needs.extras) for words, needs in asked.items()} == {
        "text": (True, ()),
        "one-hot": (False, ()),
        "glove": (False, ("GloVe",)),
    }
    assert all(needs.input == "image" for needs in asked.values())


def test_words_from_a_file_and_one_hot(encoder: Encoder, full: npt.NDArray[np.int8], tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    words = ("cat", "dog", "traffic", "light", "person", "bus")
    file.write_text("".join(f"{word} {number} -1.5\n" for number, word in enumerate(words)), encoding="utf-8")
    encoder.text = None
    _, module, head = build(encoder, full, words="glove", glove_file=str(file))
    assert head.words[:, 0].tolist() == [0, 1, 2.5, 4, 5]
    assert module.logits(batch_of(full)).shape == full.shape
    _, _, head = build(encoder, full, words="one-hot")
    assert torch.equal(head.words, torch.eye(5))
    file.write_text("cat 1 2\n", encoding="utf-8")
    with pytest.raises(UserError, match="lack dog for class 'dog', and for 3 more"):
        build(encoder, full, words="glove", glove_file=str(file))


def test_a_row_with_glove_names_it_and_no_path(tmp_path: Path) -> None:
    task = load_task("shapes-micro")
    file = tmp_path / "words.txt"
    words = sorted({word for name in task.classes for word in words_of(name)})
    file.write_text("".join(f"{word} 1 2\n" for word in words), encoding="utf-8")
    options = {"words": "glove", "glove_file": str(file)}
    request = RunRequest(task, "ml-gcn", "tiny-clip", preset="none", overrides=options, out=tmp_path)
    facts = facts_of(prepare(request))
    assert facts.extras == ("GloVe",)
    assert str(facts.method.config["glove_file"]).startswith("words.txt (sha256 ")
    other = facts_of(prepare(replace(request, overrides={})))
    assert other.extras == ()
    assert other.key != facts.key
