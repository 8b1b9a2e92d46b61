"""Partial labels: each loss on both trainers, the curriculum's labels, and presets of the published rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ltbench.losses import PartialBCELoss
from ltbench.method import Batch, GradientStage, Stats
from ltbench.method.config import build_config, choose_preset, load_presets
from ltbench.plugin import UserError
from ltbench.testing import kit
from ltbench_baselines.partial.loss_recipes import partial_label_recipes
from ltbench_baselines.partial.objectives import CurriculumLabels, PartialLossConfig, build_partial_objective
from tests.plugins.single_positive.spml_toys import DIM, NAMES, ROWS, batch_of, context_of
from tests.plugins.two_stream_toys import interrupted_and_not, make_trainable

SPECS = {spec.name: spec for spec in partial_label_recipes()}


def some_labels() -> Any:
    """Half of the labels, a row without any, a class without a known absent one."""
    rng = np.random.default_rng(3)
    labels = np.where(rng.random((ROWS, len(NAMES))) < 0.3, 1, -1) * (rng.random((ROWS, len(NAMES))) < 0.5)
    labels[9] = 0
    labels[:, 4] = np.maximum(labels[:, 4], 0)
    return labels.astype(np.int8)


def method_of(recipe: str, **options: Any) -> Any:
    spec = SPECS[recipe]
    cls: Any = spec.load()
    small = {"epochs": 4, "batch_size": 8, "augment": "none"}
    return cls(build_config(cls.Config, recipe, spec.config, small | options))


def build(recipe: str, variant: str = "paper", **options: Any) -> tuple[GradientStage, Any]:
    torch.manual_seed(0)
    (stage,) = method_of(recipe, **options).stages(context_of(some_labels(), variant))
    make_trainable(stage)
    stage.module.train()
    return stage, stage.module


@pytest.mark.parametrize("recipe", SPECS)
def test_gradients_reach_every_group_and_rows_alone_stay_finite(recipe: str) -> None:
    labels = some_labels()
    for variant in SPECS[recipe].variants:
        stage, module = build(recipe, variant)
        batch = batch_of(labels, "-linear" if recipe.endswith("-linear") else "")
        (value,) = module.loss(batch).values()
        value.backward()
        assert all(float(g.params[0].grad.abs().sum()) > 0 for g in stage.param_groups)
        assert isinstance(batch.input, Tensor)
        one = Batch(batch.rows[9:10], batch.input[9:10], batch.observed[9:10])
        module.zero_grad()
        (value,) = module.loss(one).values()
        assert torch.isfinite(value)
        if "p-asl" not in recipe:
            assert value == 0


def test_partial_bce_is_the_cards_formula() -> None:
    _, module = build("partial-bce-linear")
    labels = torch.tensor([[1, -1, 0, 0, 0], [1, 1, -1, -1, -1], [0, 0, 0, 0, 0]], dtype=torch.int8)
    logits = torch.linspace(-2, 2, 15).reshape(3, 5)
    batch = Batch(torch.arange(3), torch.zeros(3, DIM), labels)
    p = torch.sigmoid(logits)
    elements = torch.where(labels > 0, -p.log(), torch.where(labels < 0, -(1 - p).log(), 0.0))
    weights = torch.tensor([5.45 - 4.45 * 0.4, 1.0, 5.45])
    torch.testing.assert_close(module.objective(logits, batch), (weights * elements.sum(dim=1) / 5).mean())


def test_curriculum_gives_and_takes_back_labels_by_rounds() -> None:
    observed = torch.from_numpy(some_labels())
    objective = CurriculumLabels(PartialBCELoss(), observed, tau=0.9, first=1, every=2)
    probabilities = torch.full(observed.shape, 0.5)
    probabilities[:, 0], probabilities[:, 1] = 0.95, 0.05
    asked = []

    def predict() -> tuple[Tensor, Tensor]:
        asked.append(1)
        return probabilities, observed

    objective.start_epoch(0, predict)
    assert not asked
    assert torch.equal(objective.labels, observed)
    objective.start_epoch(1, predict)
    unknown = observed == 0
    expected = observed.clone()
    expected[:, 0][unknown[:, 0]], expected[:, 1][unknown[:, 1]] = 1, -1
    assert torch.equal(objective.labels, expected)
    assert set(objective.decisions()) == {(int(row), 0) for row in unknown[:, 0].nonzero()}
    objective.start_epoch(2, predict)  # in the round
    assert len(asked) == 1
    assert objective.decisions() == []
    assert torch.equal(objective.labels, expected)
    probabilities.fill_(0.5)
    objective.start_epoch(3, predict)
    assert torch.equal(objective.labels, observed)
    with pytest.raises(UserError, match="first_round=4"):
        method_of("curriculum-linear", first_round=4).stages(context_of(some_labels()))


def test_priors_are_those_of_known_labels() -> None:
    labels = np.array([[1, 1, -1], [1, 1, -1], [-1, 0, 1], [0, 0, 0]], dtype=np.int8)
    config = PartialLossConfig(loss="p-asl", prior_threshold=0.5)
    found: Any = build_partial_objective(config, torch.from_numpy(labels), Stats.of(labels), 4, "paper")
    # Two of three; none absent, so unknown; one of three.
    assert found.criterion.frequent.tolist() == [True, False, False]


def test_resume_in_the_middle_equals_no_interruption(tmp_path: Path) -> None:
    method = method_of("curriculum-linear", tau=0.51, first_round=1, round_epochs=2)
    whole, resumed = interrupted_and_not(method, tmp_path, stop_after=1)
    assert whole.decisions
    assert whole.decisions == resumed.decisions
    first, second = whole.capture(), resumed.capture()
    assert set(first) == set(second)
    assert any(name.endswith("labels") for name in first)
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_kit() -> None:
    for result in kit.check_method("curriculum-linear", weights="random"):
        assert result.status != "failed", (result.name, result.detail)


def test_presets() -> None:
    for recipe, spec in SPECS.items():
        preset = choose_preset(load_presets(spec), None, "shapes-partial", "p10", "tiny-clip", "paper")
        assert preset is not None, recipe
        assert set(spec.load().search_space()) <= set(spec.load().Config.model_fields)
    printed = {"partial-bce": "Table 1, Patial BCE", "curriculum": "Table 1, Curriculum labeling"}
    for recipe, row in printed.items():
        for task in ("partial-coco", "partial-voc2007"):
            preset = choose_preset(load_presets(SPECS[recipe]), None, task, "p10", "timm:resnet101.tv_in1k", "paper")
            assert preset is not None
            assert preset.origin == f"published({row})"
            assert (preset.overrides["lr"], preset.overrides["epochs"]) == (1e-5, 20)
