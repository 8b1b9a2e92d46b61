"""Learnable weight scaling: what its second stage learns, what it leaves alone, and what that does to the scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from ltbench.backbones.base import Backbone
from ltbench.method import Batch, Context, FineTuned, GradientStage, Stats
from ltbench.nn import ClassAwareSampler, ClassScales
from ltbench.plugin import UserError
from ltbench_baselines.long_tailed.lws import LWS, Rescaled
from tests.plugins.toy_cards import toy_card

SIDE, DIM, ROWS, NAMES = 4, 5, 24, ("cat", "dog", "tram", "kite")


class Encoder(Backbone):
    """One convolution and a mean over the image; counts the images it is shown."""

    seen = 0

    def preprocess(self, image: Any) -> Tensor:
        raise NotImplementedError

    def encode_global(self, images: Tensor) -> Tensor:
        assert self.visual is not None
        self.seen += len(images)
        features: Tensor = self.visual(images)
        return features.mean(dim=(2, 3))


@pytest.fixture
def backbone() -> Encoder:
    torch.manual_seed(1)
    card = toy_card("image", "global", dim=DIM, image_size=SIDE)
    tower = torch.nn.Sequential(torch.nn.Conv2d(3, DIM, 3, padding=1), torch.nn.BatchNorm2d(DIM)).eval()
    return Encoder(card=card, visual=tower)


@pytest.fixture
def labels() -> npt.NDArray[np.int8]:
    """Classes with 14, 6, 2 and no positives; some labels and one whole row unknown."""
    rng = np.random.default_rng(2)
    made = np.full((ROWS, len(NAMES)), -1, dtype=np.int8)
    for column, count in enumerate((14, 6, 2, 0)):
        made[rng.choice(ROWS - 1, count, replace=False), column] = 1
    made[(rng.random(made.shape) < 0.1) & (made < 0)] = 0
    made[-1] = 0
    return made


def stages_of(backbone: Backbone, labels: npt.NDArray[np.int8], variant: Any = "paper", **options: Any) -> Any:
    names = NAMES[: labels.shape[1]]
    context = Context(
        names, Stats.of(labels), backbone, torch.device("cpu"), 0, variant=variant, observed=torch.from_numpy(labels)
    )
    torch.manual_seed(0)
    return LWS(LWS.Config(**options)).stages(context)


def batch_of(labels: npt.NDArray[np.int8]) -> Batch:
    images = torch.randn(len(labels), 3, SIDE, SIDE, generator=torch.Generator().manual_seed(4))
    return Batch(torch.arange(len(labels)), images, torch.from_numpy(labels))


def second_of(stages: Any, batch: Batch, bias: bool = True) -> Rescaled:
    """The second stage's module as it is when its first epoch begins."""
    first, second = stages
    assert isinstance(first.module, FineTuned)
    assert isinstance(second.module, Rescaled)
    with torch.no_grad():
        first.module.head.linear.weight.normal_()
        if bias:
            first.module.head.linear.bias.normal_()

    def scan() -> Iterator[Batch]:
        for part in torch.arange(len(batch.rows)).split(10):
            yield Batch(part, batch.features[part], batch.observed[part])

    second.module.eval()
    second.module.on_epoch_start(0, scan)
    second.module.train()
    return second.module


def test_two_stages_of_which_the_second_learns_factors_on_class_aware_rows(
    backbone: Encoder, labels: npt.NDArray[np.int8]
) -> None:
    first, second = stages_of(backbone, labels, scale_epochs=3, sampler_reduce=2, sampler_draws=2)
    assert isinstance(first, GradientStage)
    assert first.sampler is None  # rows drawn evenly
    (group,) = second.param_groups
    (factors,) = group.params
    assert factors.shape == (len(NAMES),)
    assert (factors == 1).all()
    assert second.epochs == 3
    assert isinstance(second.sampler, ClassAwareSampler)
    assert second.sampler.draws_per_class == 2
    assert second.sampler.length == 14 * 3 // 2
    assert all(factors is not p for g in first.param_groups for p in g.params)


def test_paper_scales_the_weights_and_code_the_whole_logit(backbone: Encoder, labels: npt.NDArray[np.int8]) -> None:
    batch = batch_of(labels)
    for variant in ("paper", "code"):
        stages = stages_of(backbone, labels, variant)
        module = second_of(stages, batch)
        head = stages[0].module.head.linear
        factors = torch.tensor([0.5, 2.0, 3.0, 1.0])
        with torch.no_grad():
            module.scales.factors.copy_(factors)
            features = stages[0].module.features(batch)
        own = head.bias if variant == "paper" else factors * head.bias
        expected = features @ (head.weight * factors[:, None]).T + own
        torch.testing.assert_close(module.eval().logits(batch), expected)


def test_a_positive_factor_leaves_the_order_within_a_class_as_it_was(
    backbone: Encoder, labels: npt.NDArray[np.int8]
) -> None:
    batch = batch_of(labels)
    module = second_of(stages_of(backbone, labels), batch)
    before = module.eval().logits(batch).argsort(dim=0)
    with torch.no_grad():
        module.scales.factors.copy_(torch.tensor([0.5, 2.0, 3.0, 1.5]))
    assert torch.equal(module.logits(batch).argsort(dim=0), before)


def test_the_second_stage_encodes_each_image_once(backbone: Encoder, labels: npt.NDArray[np.int8]) -> None:
    batch = batch_of(labels)
    module = second_of(stages_of(backbone, labels), batch)
    assert backbone.seen == ROWS
    for epoch in (1, 2):
        module.on_epoch_start(epoch, lambda: pytest.fail("looked again"))
        assert torch.isfinite(module.loss(batch)["loss_cls"])
    assert backbone.seen == ROWS
    torch.testing.assert_close(module.kept, module.first.eval().logits(batch))


def test_the_second_stage_moves_nothing_but_factors(backbone: Encoder, labels: npt.NDArray[np.int8]) -> None:
    batch = batch_of(labels)
    stages = stages_of(backbone, labels, batch_norm="train")
    module = second_of(stages, batch)
    assert not any(part.training for part in module.first.modules())
    before = {name: t.clone() for name, t in module.state_dict().items()}
    module.requires_grad_(False)
    module.scales.requires_grad_(True)
    optimizer = torch.optim.SGD(module.scales.parameters(), lr=0.5)
    losses = []
    for _ in range(20):
        loss = module.loss(batch)["loss_cls"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    moved = {name for name, t in module.state_dict().items() if not torch.equal(t, before[name])}
    assert moved == {"scales.factors"}


def test_unknown_labels_move_no_factor(backbone: Encoder, labels: npt.NDArray[np.int8]) -> None:
    hidden = labels.copy()
    hidden[:, 1] = 0
    batch = batch_of(hidden)
    module = second_of(stages_of(backbone, labels), batch)
    (gradient,) = torch.autograd.grad(module.loss(batch)["loss_cls"], [module.scales.factors])
    assert gradient[1] == 0
    assert (gradient[[0, 2, 3]] != 0).all()
    none = Batch(batch.rows[-1:], batch.features[-1:], batch.observed[-1:])
    assert float(module.loss(none)["loss_cls"]) == 0


def test_a_task_without_positives_is_refused(backbone: Encoder) -> None:
    with pytest.raises(UserError, match="no class has an observed positive"):
        stages_of(backbone, np.full((6, 2), -1, dtype=np.int8))


def test_scales_without_a_bias() -> None:
    scales = ClassScales(2)
    with torch.no_grad():
        scales.factors.copy_(torch.tensor([2.0, -1.0]))
    torch.testing.assert_close(scales(torch.tensor([[1.0, 3.0]])), torch.tensor([[2.0, -3.0]]))
