"""The visual baselines: one trainer, its losses and samplers, what it trains, and the published numbers it meets."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from ltbench.backbones.base import Backbone, BackboneCard
from ltbench.data.progress import SilentReporter
from ltbench.engine.encode import Encoder
from ltbench.engine.inputs import FeatureInputs, ImageInputs
from ltbench.engine.phase1 import Phase1
from ltbench.engine.setup import Setup
from ltbench.losses import BCELoss, DistributionBalancedLoss
from ltbench.method import Batch, Context, FineTuned, GradientStage, Stats
from ltbench.method.config import build_config, choose_preset, load_presets
from ltbench.nn import ClassAwareSampler
from ltbench.plugin import UserError
from ltbench.tasks.views import TestView, TrainView
from ltbench_baselines.common.fine_tune import FineTune
from ltbench_baselines.common.losses_by_name import LOSSES, LossConfig, build_loss
from ltbench_baselines.long_tailed.plugin import ltbench_methods

SIDE, DIM, ROWS = 8, 6, 40
NAMES = ("cat", "dog", "tram", "bus", "kite")
SPECS = {spec.name: spec for spec in ltbench_methods() if spec.card == "cards/visual.md"}
RECIPES = (
    "erm",
    "rw",
    "rs",
    "focal",
    "cb-focal",
    "r-bce-focal",
    "db",
    "db-focal",
    "ldam",
    "asl",
    "mls",
    "lsep",
    "zlpr",
    "circle",
)


class ToyTower(nn.Module):
    """Two convolutions with batch normalisation, and a mean over the image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.layer1 = nn.Sequential(nn.Conv2d(4, DIM, 3, padding=1, bias=False), nn.BatchNorm2d(DIM))

    def forward(self, images: Tensor) -> Tensor:
        hidden: Tensor = self.layer1(self.bn1(self.conv1(images)).relu())
        return hidden.mean(dim=(2, 3))


class ToyEncoder(Backbone):
    """An encoder whose image tower can be trained; counts the images it is shown."""

    seen = 0

    def preprocess(self, image: Any) -> Tensor:
        return torch.from_numpy(image)

    def encode_global(self, images: Tensor) -> Tensor:
        assert self.visual is not None
        self.seen += len(images)
        features: Tensor = self.visual(images)
        return features


def encoder(visual: bool = True) -> ToyEncoder:
    torch.manual_seed(2)
    card = BackboneCard(
        name="toy",
        offers=("image", "global") if visual else ("global",),
        dim=DIM,
        image_size=SIDE,
        weights="random",
        weights_sha256="0" * 64,
        transform="none",
        revision="1",
        pretraining="nothing",
        ranked=False,
    )
    tower = ToyTower().eval().requires_grad_(False) if visual else None
    return ToyEncoder(card=card, visual=tower)


def long_tail() -> npt.NDArray[np.int8]:
    """40 rows; classes with 24, 12, 6, 2 and no positives, some labels unknown."""
    rng = np.random.default_rng(5)
    labels = np.full((ROWS, len(NAMES)), -1, dtype=np.int8)
    for column, count in enumerate((24, 12, 6, 2, 0)):
        labels[rng.choice(ROWS, count, replace=False), column] = 1
    labels[(rng.random(labels.shape) < 0.1) & (labels < 0)] = 0
    return labels


def context_of(labels: npt.NDArray[np.int8], backbone: Backbone | None = None, variant: Any = "paper") -> Context:
    return Context(
        NAMES[: labels.shape[1]],
        Stats.of(labels),
        backbone or encoder(),
        torch.device("cpu"),
        seed=0,
        variant=variant,
        observed=torch.from_numpy(labels),
    )


def batch_of(labels: npt.NDArray[np.int8]) -> Batch:
    images = torch.randn(len(labels), 3, SIDE, SIDE, generator=torch.Generator().manual_seed(4))
    return Batch(torch.arange(len(labels)), images, torch.from_numpy(labels))


def method_of(recipe: str, **options: Any) -> FineTune:
    spec = SPECS[recipe]
    config = build_config(FineTune.Config, recipe, spec.config, options)
    return FineTune(config)


def build(recipe: str, context: Context, **options: Any) -> tuple[GradientStage, FineTuned]:
    (stage,) = method_of(recipe, **options).stages(context)
    assert isinstance(stage, GradientStage)
    assert isinstance(stage.module, FineTuned)
    return stage, stage.module


def make_trainable(stage: GradientStage) -> None:
    """What the engine does before a stage is trained."""
    stage.module.requires_grad_(False)
    for group in stage.param_groups:
        for parameter in group.params:
            parameter.requires_grad_(True)


def test_the_recipes_are_one_class_with_other_configurations() -> None:
    assert tuple(SPECS) == RECIPES
    configs = [tuple(sorted(spec.config.items())) for spec in SPECS.values()]
    assert len(set(configs)) == len(RECIPES)
    assert {spec.target for spec in SPECS.values()} == {"ltbench_baselines.long_tailed.fine_tuning:FineTune"}
    sampled = {name for name, spec in SPECS.items() if spec.config.get("sampler") == "class-aware"}
    assert sampled == {"rs", "r-bce-focal", "db", "db-focal"}


@pytest.mark.parametrize("recipe", RECIPES)
def test_gradients_reach_tower_and_head_and_the_loss_is_finite(recipe: str) -> None:
    labels = long_tail()
    stage, module = build(recipe, context_of(labels))
    make_trainable(stage)
    module.train()
    (loss,) = module.loss(batch_of(labels)).values()
    assert torch.isfinite(loss)
    loss.backward()
    declared = [p for group in stage.param_groups for p in group.params]
    assert {id(p) for p in declared} == {id(p) for p in module.parameters()}
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) and bool(p.grad.any()) for p in declared)
    assert module.logits(batch_of(labels)).shape == labels.shape


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_few_steps_lower_the_loss(recipe: str) -> None:
    labels = long_tail()
    stage, module = build(recipe, context_of(labels))
    make_trainable(stage)
    module.train()
    optimiser = torch.optim.Adam([p for group in stage.param_groups for p in group.params], lr=0.02)
    values = []
    for _ in range(12):
        (loss,) = module.loss(batch_of(labels)).values()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
    assert values[-1] < values[0]


@pytest.mark.parametrize("recipe", RECIPES)
def test_unknown_labels_move_nothing(recipe: str) -> None:
    labels = long_tail()
    logits = torch.randn(labels.shape, generator=torch.Generator().manual_seed(1), requires_grad=True)
    _, module = build(recipe, context_of(labels))
    module.criterion(logits, torch.from_numpy(labels)).backward()
    assert logits.grad is not None
    assert not logits.grad[torch.from_numpy(labels == 0)].any()
    assert logits.grad[torch.from_numpy(labels != 0)].any()


@pytest.mark.parametrize("loss", LOSSES)
def test_counts_at_both_ends_give_finite_losses_and_gradients(loss: Any) -> None:
    labels = np.full((6, 3), -1, dtype=np.int8)
    labels[:, 0] = 1  # in every row; class 1 in none
    labels[:2, 2] = 1
    stats = Stats.of(labels)
    assert stats.usable_positives.tolist() == [5, 1, 2]
    logits = torch.zeros(labels.shape, requires_grad=True)
    build_loss(LossConfig(loss=loss), stats, "paper")(logits, torch.from_numpy(labels)).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    # That a class is absent everywhere is learned too.
    assert logits.grad[:, 1].any()


def test_mls_is_torchs_soft_margin_loss_and_so_is_bce() -> None:
    labels = torch.from_numpy(np.where(long_tail() == 0, -1, long_tail()).astype(np.int8))
    logits = torch.randn(labels.shape, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    stats = Stats.of(labels.numpy())
    expected = nn.MultiLabelSoftMarginLoss()(logits, (labels > 0).double())
    for name in ("mls", "bce"):
        torch.testing.assert_close(build_loss(LossConfig(loss=name), stats, "paper")(logits, labels), expected)


def test_constants_reach_the_losses() -> None:
    stats = Stats.of(long_tail())
    config = LossConfig(loss="db-focal", theta=0.2, neg_scale=2.0, kappa=0.1, focal_gamma=1.0, focal_factor=3.0)
    loss = build_loss(config, stats, "code")
    assert isinstance(loss, DistributionBalancedLoss)
    assert (loss.theta, loss.gamma, loss.focal_factor, loss.variant) == (0.2, 1.0, 3.0, "code")
    assert loss.ntr is not None
    assert (loss.ntr.kappa, loss.ntr.neg_scale, loss.ntr.variant) == (0.1, 2.0, "code")
    plain = build_loss(LossConfig(loss="db"), stats, "paper")
    assert isinstance(plain, DistributionBalancedLoss)
    assert plain.gamma is None
    assert isinstance(build_loss(LossConfig(), stats, "paper"), BCELoss)


def test_every_recipe_answers_for_its_training_classes_only() -> None:
    for recipe in RECIPES:
        needs = method_of(recipe).needs()
        assert (needs.input, needs.classes, needs.unknown, needs.text) == ("image", "fixed", None, False)
        _, module = build(recipe, context_of(long_tail()))
        assert not hasattr(module, "set_classes")


def test_only_proper_losses_on_even_draws_are_calibrated() -> None:
    assert {recipe for recipe in RECIPES if method_of(recipe).needs().calibrated} == {"erm", "mls", "rw"}
    assert not method_of("erm", sampler="class-aware").needs().calibrated


def statistics(module: nn.Module) -> list[Tensor]:
    return [buffer.clone() for name, buffer in module.named_buffers() if "running_" in name]


@pytest.mark.parametrize(("batch_norm", "moves"), [("eval", False), ("train", True)])
def test_batch_normalisation_keeps_or_moves_its_statistics(batch_norm: str, moves: bool) -> None:
    labels = long_tail()
    _, module = build("erm", context_of(labels), batch_norm=batch_norm)
    before = statistics(module.tower)
    module.train()
    training = [part.training for part in module.tower.modules() if isinstance(part, nn.BatchNorm2d)]
    assert training == [moves, moves]
    assert module.training
    module.logits(batch_of(labels))
    changed = [not torch.equal(a, b) for a, b in zip(before, statistics(module.tower), strict=True)]
    assert changed == [moves] * len(before)
    module.eval()
    assert not any(part.training for part in module.modules())


def test_frozen_parts_get_no_gradient_and_keep_their_statistics() -> None:
    labels = long_tail()
    stage, module = build("erm", context_of(labels), freeze=["conv1", "bn1"], batch_norm="train")
    make_trainable(stage)
    before = [buffer.clone() for buffer in module.tower.bn1.buffers()]
    module.train()
    sum(module.loss(batch_of(labels)).values()).backward()
    assert module.tower.conv1.weight.grad is None
    assert all(torch.equal(a, b) for a, b in zip(before, module.tower.bn1.buffers(), strict=True))
    assert module.tower.layer1[0].weight.grad.any()
    with pytest.raises(UserError, match="no part 'stem'"):
        build("erm", context_of(labels), freeze=["stem"])


def test_a_backbone_without_an_image_tower_is_named() -> None:
    with pytest.raises(UserError, match="toy has no image tower"):
        build("erm", context_of(long_tail(), encoder(visual=False)))


def test_head_starts_even_or_at_the_observed_shares() -> None:
    labels = long_tail()
    _, even = build("erm", context_of(labels))
    assert not even.head.linear.bias.any()
    _, observed = build("erm", context_of(labels), head_prior="observed")
    stats = Stats.of(labels)
    expected = np.log((stats.positives + 0.5) / (stats.negatives + 0.5))
    np.testing.assert_allclose(observed.head.linear.bias.detach().numpy(), expected, rtol=1e-5)


def test_class_aware_rows_follow_reduce_and_draws() -> None:
    labels = long_tail()
    for reduce, draws in ((4, 3), (1, 2)):
        stage, _ = build("rs", context_of(labels), sampler_reduce=reduce, sampler_draws=draws)
        sampler = stage.sampler
        assert isinstance(sampler, ClassAwareSampler)
        assert sampler.draws_per_class == draws
        # Four classes have positives, the largest 24; the fifth is left out.
        assert sampler.length == 24 * 4 // reduce
        rows = sampler.epoch(0, np.random.default_rng(0))
        assert (labels[rows] == 1).any(axis=1).all()
        whole = rows[: len(rows) // draws * draws].reshape(-1, draws)
        assert ((labels[whole] == 1).all(axis=1).any(axis=1)).all()
        # The rarest class, 2 of 40 rows, has a fourth of the visits.
        assert (labels[rows, 3] == 1).mean() > 0.2
    assert build("erm", context_of(labels))[0].sampler is None


def test_class_aware_rows_need_a_positive() -> None:
    with pytest.raises(UserError, match="no class has an observed positive"):
        build("rs", context_of(np.full((4, 5), -1, dtype=np.int8)))


# --- with the engine ------------------------------------------------------------------------------------------------


class Pictures:
    """Images whose channels show the labels of three classes."""

    def __init__(self, labels: npt.NDArray[np.int8]) -> None:
        noise = np.random.default_rng(3).normal(0, 0.5, (len(labels), 3, SIDE, SIDE))
        self._arrays = (noise + labels[:, :3, None, None]).astype(np.float32)

    def __len__(self) -> int:
        return len(self._arrays)

    def load(self, row: int) -> Any:
        return self._arrays[row]


def phase_of(recipe: str, folder: Path, **options: Any) -> Phase1:
    labels = np.where(long_tail() == 0, -1, long_tail()).astype(np.int8)
    backbone = encoder()
    options = {"epochs": 2, "batch_size": 16, "augment": "none", **options}
    method = method_of(recipe, **options)
    pictures: Any = Pictures(labels)
    ids = tuple(f"r{row}" for row in range(ROWS))
    view = TrainView(
        ids=ids, images=pictures, observed=labels, captions=None, class_names=NAMES, label_groups={}, validation=None
    )
    cache = Encoder(backbone, method.needs(), folder / "cache", torch.device("cpu"), SilentReporter())
    return Phase1(
        Setup(method, "paper", backbone, view, 0, torch.device("cpu"), "ignore", cache, folder, SilentReporter())
    )


def test_a_trained_tower_reads_images_and_never_the_feature_cache(tmp_path: Path) -> None:
    phase = phase_of("erm", tmp_path)
    backbone = phase.setup.backbone
    assert isinstance(backbone, ToyEncoder)
    inputs = phase.training_rows().inputs
    assert isinstance(inputs, ImageInputs)
    assert not isinstance(inputs, FeatureInputs)
    before = [p.detach().clone() for p in backbone.visual.parameters()]
    phase.run()
    assert backbone.seen == 2 * ROWS  # each image once an epoch, none encoded ahead
    assert not (tmp_path / "cache").exists()
    # The guard that keeps frozen towers as they were must leave this one alone: every tensor has moved.
    after = list(backbone.visual.parameters())
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    view = phase.setup.train
    test = phase.test_inputs(TestView(view.ids, view.images, NAMES), "encoding test images")
    assert isinstance(test, ImageInputs)
    assert phase.predict(test, NAMES).shape == (ROWS, len(NAMES))


@pytest.mark.parametrize(("batch_norm", "moves"), [("eval", False), ("train", True)])
def test_the_engine_leaves_batch_normalisation_to_the_method(tmp_path: Path, batch_norm: str, moves: bool) -> None:
    phase = phase_of("erm", tmp_path, batch_norm=batch_norm)
    before = statistics(phase.setup.backbone.visual)
    phase.run()
    after = statistics(phase.setup.backbone.visual)
    assert [not torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [moves] * len(before)


@pytest.mark.parametrize("recipe", ["erm", "db-focal"])
def test_an_interrupted_run_ends_in_the_same_weights(tmp_path: Path, recipe: str) -> None:
    whole = phase_of(recipe, tmp_path / "whole", epochs=3)
    whole.run()
    first = phase_of(recipe, tmp_path / "cut", epochs=3)
    epochs: list[int] = []

    def stop(number: int, epoch: int) -> None:
        epochs.append(epoch)
        if epoch == 1:
            raise KeyboardInterrupt

    first.setup.after_epoch = stop
    with pytest.raises(KeyboardInterrupt):
        first.run()
    assert epochs == [0, 1]
    second = phase_of(recipe, tmp_path / "cut", epochs=3)
    second.run()
    expected, found = whole.module.state_dict(), second.module.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


# --- published numbers ----------------------------------------------------------------------------------------------


class PythonShuffle:
    """Stands in for the epoch's generator: shuffles as the release does, by Python's ``random`` seeded 0."""

    def __init__(self) -> None:
        self.shuffle: Callable[[Any], None] = random.Random(0).shuffle


@pytest.mark.parametrize("data", ["voc", "coco"])
def test_sampler_draws_the_rows_of_the_release(shared: Path, data: str) -> None:
    golden = np.load(shared / "golden" / "ltml" / "db_sampler.npz")
    labels = golden[f"{data}__labels_in_img_id_order"].astype(np.int8) * 2 - 1
    config = FineTune.Config(sampler="class-aware")
    sampler = ClassAwareSampler(labels, config.sampler_reduce, config.sampler_draws)
    generator: Any = PythonShuffle()
    for epoch in range(2):
        np.testing.assert_array_equal(sampler.epoch(epoch, generator), golden[f"{data}__epoch{epoch}"])


@pytest.mark.parametrize(
    ("recipe", "data", "key"), [("db-focal", "voc-lt", "db_voc"), ("db-focal", "coco-lt", "db_coco")]
)
def test_learning_rates_of_the_published_presets(shared: Path, recipe: str, data: str, key: str) -> None:
    golden = np.load(shared / "golden" / "ltml" / "lr_schedules.npz")[key]
    spec = SPECS[recipe]
    preset = choose_preset(load_presets(spec), None, data, None, "timm:resnet50.tv_in1k", "code")
    assert preset is not None
    rows = {"voc-lt": 3875, "coco-lt": 22560}[data]
    config = build_config(FineTune.Config, recipe, spec.config, preset.overrides)
    assert isinstance(config, FineTune.Config)
    assert config.drop_last
    assert config.head_lr == config.lr
    found = rates(config, rows // config.batch_size)
    np.testing.assert_allclose(found, golden, rtol=1e-12)


@pytest.mark.parametrize(("key", "lr", "epochs", "steps"), [("dr_voc", 3e-4, 30, 121), ("dr_coco", 1e-4, 35, 705)])
def test_learning_rates_of_the_dr_release(shared: Path, key: str, lr: float, epochs: int, steps: int) -> None:
    golden = np.load(shared / "golden" / "ltml" / "lr_schedules.npz")[key]
    config = FineTune.Config(schedule="multistep", milestones=(5,), warmup_steps=500, lr=lr, epochs=epochs)
    np.testing.assert_allclose(rates(config, steps), golden, rtol=1e-12)


def test_presets_for_shapes_take_alike_many_rows() -> None:
    """No recipe sees more images than another, and epochs are those of rows drawn evenly but for a batch."""
    positives = np.array([5, 12, 200, 52, 450, 260, 8, 380, 70, 15, 30, 40, 90, 6, 23, 4, 10, 320, 560, 18])
    for recipe, spec in SPECS.items():
        preset = choose_preset(load_presets(spec), None, "shapes-lt", None, "tiny-clip", "paper")
        assert preset is not None
        config = build_config(FineTune.Config, recipe, spec.config, preset.overrides)
        assert isinstance(config, FineTune.Config)
        rows = 1100 if config.sampler == "shuffle" else positives.max() * len(positives) // config.sampler_reduce
        assert rows <= 1132
        assert config.epochs == 6


def rates(config: FineTune.Config, steps: int) -> Sequence[float]:
    """Learning rate of the tower at each step of a run with so many steps an epoch."""
    (stage,) = FineTune(config).stages(context_of(long_tail()))
    assert isinstance(stage, GradientStage)
    group = stage.param_groups[0]
    return [group.lr * group.schedule.factor(step, steps, stage.epochs) for step in range(steps * stage.epochs)]
