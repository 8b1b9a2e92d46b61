"""BalPoE: what its experts are trained for, what they share, how they are averaged, and what mixup mixes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, normalize

from ltbench.backbones.base import Backbone
from ltbench.method import Batch, Context, GradientStage, Stats
from ltbench.method.config import build_config
from ltbench.plugin import UserError
from ltbench_baselines.long_tailed.balpoe import BalPoE, Experts, adjustments
from tests.plugins.toy_cards import toy_card

DIM, SIDE, NAMES = 6, 4, ("cat", "dog", "tram")
COUNTS = (12, 4, 0)


class Encoder(Backbone):
    """Two layers on the pixels of an image."""

    def preprocess(self, image: Any) -> Tensor:
        raise NotImplementedError

    def encode_global(self, images: Tensor) -> Tensor:
        assert self.visual is not None
        features: Tensor = self.visual(images.flatten(1))
        return features


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(1)
    card = toy_card("image", "global", dim=DIM, image_size=SIDE)
    tower = nn.Sequential(nn.Linear(3 * SIDE * SIDE, 8), nn.Tanh(), nn.Sequential(nn.Linear(8, DIM), nn.Dropout(0.5)))
    return Encoder(card=card, visual=tower.eval())


@pytest.fixture
def labels() -> npt.NDArray[np.int8]:
    made = np.full((16, len(NAMES)), -1, dtype=np.int8)
    rng = np.random.default_rng(2)
    for column, count in enumerate(COUNTS):
        made[rng.choice(15, count, replace=False), column] = 1
    made[-1] = 0
    return made


def build(encoder: Encoder, labels: npt.NDArray[np.int8], **options: Any) -> tuple[GradientStage, Experts]:
    names = NAMES[: labels.shape[1]]
    context = Context(names, Stats.of(labels), encoder, torch.device("cpu"), 0, observed=torch.from_numpy(labels))
    torch.manual_seed(0)
    (stage,) = BalPoE(build_config(BalPoE.Config, "balpoe", options)).stages(context)
    assert isinstance(stage, GradientStage)
    assert isinstance(stage.module, Experts)
    return stage, stage.module


def batch_of(labels: npt.NDArray[np.int8]) -> Batch:
    images = torch.randn(len(labels), 3, SIDE, SIDE, generator=torch.Generator().manual_seed(4))
    return Batch(torch.arange(len(labels)), images, torch.from_numpy(labels))


def bce(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over known labels."""
    known = labels != 0
    return binary_cross_entropy_with_logits(logits[known], (labels[known] > 0).float())


def test_adjustments_are_shares_of_the_log_odds(labels: npt.NDArray[np.int8]) -> None:
    found = adjustments(Stats.of(labels), (1.0, 0.0, -1.0))
    known = 15
    odds = [np.log((count + 0.5) / (known - count + 0.5)) for count in COUNTS]
    np.testing.assert_allclose(found.numpy(), [[0.0] * 3, odds, np.multiply(odds, 2)], rtol=1e-6)
    assert torch.isfinite(found).all()


def test_a_present_label_of_a_class_is_the_posterior_times_the_prior(labels: npt.NDArray[np.int8]) -> None:
    # sigmoid(s + log-odds of the prior) is Bayes' rule with exp(s) the ratio of likelihoods.
    stats = Stats.of(labels)
    (shift,) = adjustments(stats, (0.0,))
    ratio = torch.tensor([3.0, 0.5, 2.0])
    prior = torch.tensor(stats.prior, dtype=torch.float32)
    bayes = ratio * prior / (ratio * prior + 1 - prior)
    torch.testing.assert_close(torch.sigmoid(ratio.log() + shift), bayes)


def test_logits_are_the_mean_of_cosines_without_adjustment(encoder: Encoder, labels: npt.NDArray[np.int8]) -> None:
    _, module = build(encoder, labels, scale=7.0)
    batch = batch_of(labels)
    module.eval()
    features = normalize(encoder.encode_global(batch.features), dim=1)
    each = [7.0 * features @ normalize(head.vectors, dim=1).T for head in module.head]
    assert len(each) == 3
    assert not torch.allclose(each[0], each[1])
    torch.testing.assert_close(module.opinions(batch), torch.stack(each))
    torch.testing.assert_close(module.logits(batch), sum(each) / 3)


def test_loss_is_the_mean_over_experts_of_adjusted_logits(encoder: Encoder, labels: npt.NDArray[np.int8]) -> None:
    _, module = build(encoder, labels, mixup=0, targets=(1.0, -1.0))
    module.eval()
    batch = batch_of(labels)
    shifts = adjustments(Stats.of(labels), (1.0, -1.0))
    expected = [bce(o + s, batch.observed) for o, s in zip(module.opinions(batch), shifts, strict=True)]
    torch.testing.assert_close(module.loss(batch)["loss_cls"], sum(expected) / 2)


def test_mixup_mixes_images_and_the_losses_of_both_labels(
    encoder: Encoder, labels: npt.NDArray[np.int8], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, module = build(encoder, labels, mixup=0.3)
    module.train()
    encoder.visual.eval()  # without its dropout
    batch = batch_of(labels)
    torch.manual_seed(5)
    found = module.loss(batch)["loss_cls"]
    torch.manual_seed(5)
    share = float(torch.distributions.Beta(0.3, 0.3).sample())
    partner = torch.cat([torch.randperm(15), torch.tensor([15])])
    mixed = Batch(batch.rows, share * batch.features + (1 - share) * batch.features[partner], batch.observed)
    opinions = module.opinions(mixed) + module.adjustment[:, None]
    both = [share * bce(o, batch.observed) + (1 - share) * bce(o, batch.observed[partner]) for o in opinions]
    torch.testing.assert_close(found, sum(both) / 3)
    assert not torch.equal(partner, torch.arange(16))


@pytest.mark.parametrize("mixup", [0.0, 0.3])
def test_rows_without_known_labels_teach_nothing(encoder: Encoder, labels: npt.NDArray[np.int8], mixup: float) -> None:
    hidden = labels.copy()
    hidden[:4] = 0
    _, module = build(encoder, labels, mixup=mixup)
    module.train()
    encoder.visual.eval()
    batch = batch_of(hidden)
    images = batch.features.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(module.loss(Batch(batch.rows, images, batch.observed))["loss_cls"], [images])
    assert not gradient[:4].any()
    assert not gradient[-1].any()
    assert gradient[4:-1].flatten(1).any(dim=1).all()
    nothing = Batch(batch.rows, batch.features, torch.zeros_like(batch.observed))
    assert float(module.loss(nothing)["loss_cls"].detach()) == 0


def test_experts_share_the_tower_unless_they_are_given_parts(encoder: Encoder, labels: npt.NDArray[np.int8]) -> None:
    stage, _ = build(encoder, labels)
    tower, experts = stage.param_groups
    assert {id(p) for p in tower.params} == {id(p) for p in encoder.visual.parameters()}
    assert len(experts.params) == 3
    assert experts.weight_decay == 0
    stage, module = build(encoder, labels, own_parts=["2"], mixup=0)
    parts = [encoder.visual, encoder.visual[2], encoder.visual[2]]
    sizes = [sum(p.numel() for p in part.parameters()) for part in parts]
    assert sum(p.numel() for p in stage.param_groups[0].params) == sum(sizes)
    batch = batch_of(labels)
    module.eval()
    with torch.no_grad():
        for number, copies in enumerate(module.branches.copies, start=1):
            copies[0][0].weight.mul_(number + 1.0)
    opinions = module.opinions(batch)
    hidden = encoder.visual[:2](batch.features.flatten(1))
    for number, part in enumerate([encoder.visual[2], *(copies[0] for copies in module.branches.copies)]):
        torch.testing.assert_close(opinions[number], module.head[number](part(hidden)))
    module.train()
    module.loss(batch)["loss_cls"].backward()
    assert all(bool((p.grad != 0).any()) for group in stage.param_groups for p in group.params)
    assert all(copies[0][1].training for copies in module.branches.copies)
    assert not any(part.training for part in module.eval().branches.modules())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"own_parts": ["layer9"]}, "own_parts: backbone toy"),
        ({"own_parts": ["2.0"], "freeze": ["2"]}, "'2.0' is frozen"),
        ({"targets": []}, "targets"),
    ],
)
def test_bad_options_are_named(
    encoder: Encoder, labels: npt.NDArray[np.int8], options: dict[str, Any], named: str
) -> None:
    with pytest.raises(UserError, match=named):
        build(encoder, labels, **options)


def test_one_expert_is_enough(encoder: Encoder, labels: npt.NDArray[np.int8]) -> None:
    _, module = build(encoder, labels, targets=[0.0], own_parts=["2"])
    assert module.branches is None
    assert module.logits(batch_of(labels)).shape == labels.shape
