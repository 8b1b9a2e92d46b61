"""COMIC with towers of its models' own: what is copied, trained and saved, and what frozen towers keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ltbench.backbones.registry import open_backbone
from ltbench.engine.optimizers import optimizer_of
from ltbench.method import Context, GradientStage, Stats
from ltbench.method.config import build_config
from ltbench.plugin import MethodSpec
from ltbench.plugin.errors import UserError
from ltbench.plugin.manager import extra_specs
from ltbench.testing import checks, kit
from ltbench_comic.method import Comic
from ltbench_comic.module import ComicModule
from ltbench_comic.towers import TowersConfig
from tests.plugins.two_stream_toys import (
    batch_of,
    context_of,
    encoder,
    interrupted_and_not,
    long_tail,
    make_trainable,
)

MODELS = ("head", "tail", "balanced")
SMALL = {"towers": "trained", "feature_dim": 8, "epochs": 4, "batch_size": 8, "augment": "none"}
OWN = set(TowersConfig.__annotations__)


def config_of(**options: Any) -> Comic.Config:
    config = build_config(Comic.Config, "comic", SMALL | options)
    assert isinstance(config, Comic.Config)
    return config


def build(**options: Any) -> tuple[GradientStage, ComicModule, Context]:
    context = context_of(long_tail(), variant="code")
    torch.manual_seed(0)
    (stage,) = Comic(config_of(**options)).stages(context)
    assert isinstance(stage, GradientStage)
    assert isinstance(stage.module, ComicModule)
    make_trainable(stage)
    return stage, stage.module.train(), context


def tower_of(module: ComicModule, name: str) -> nn.Module:
    found = module.tower(name)
    assert found is not None
    return found.tower


def step(stage: GradientStage) -> None:
    """One step of the engine's optimiser on a few rows."""
    optimiser = optimizer_of(stage)
    for group, described in zip(optimiser.param_groups, stage.param_groups, strict=True):
        group["lr"] = described.lr
    loss = [value for name, value in stage.module.loss(batch_of(long_tail()[:8])).items() if name.startswith("loss")]  # type: ignore[operator]
    torch.stack(loss).sum().backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def test_three_towers_are_copies_that_start_alike_and_go_apart() -> None:
    stage, module, context = build()
    original = context.backbone.visual
    assert original is not None
    towers = [tower_of(module, name) for name in MODELS]
    tensors = [tensor for tower in (original, *towers) for tensor in (*tower.parameters(), *tower.buffers())]
    assert len({tensor.data_ptr() for tensor in tensors}) == len(tensors) == 4 * len(list(original.state_dict()))
    before = {name: tensor.clone() for name, tensor in original.state_dict().items()}
    for tower in towers:
        assert all(torch.equal(tensor, before[name]) for name, tensor in tower.state_dict().items())
    inputs = module.inputs(batch_of(long_tail()[:8]))
    assert torch.equal(inputs["head"], inputs["balanced"])
    step(stage)
    weights = [tower.get_parameter("conv1.weight") for tower in towers]
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])
    assert all(torch.equal(tensor, before[name]) for name, tensor in original.state_dict().items())
    inputs = module.inputs(batch_of(long_tail()[:8]))
    for name, tower in zip(MODELS, towers, strict=True):
        torch.testing.assert_close(inputs[name], tower(batch_of(long_tail()[:8]).features))


def test_each_tower_is_a_group_with_its_rate_and_the_course_of_its_features() -> None:
    stage, module, _ = build(tower_lr=0.02, head_step=2, tail_step=1, balanced_step=3)
    groups = {group.name: group for group in stage.param_groups}
    assert [name for name in groups if name.endswith("-tower")] == [f"{name}-tower" for name in MODELS]
    assert len(groups) == 10
    assert {id(p) for group in groups.values() for p in group.params} == {id(p) for p in module.parameters()}
    assert len([p for group in groups.values() for p in group.params]) == len(list(module.parameters()))
    for name, decays in (("head", (1, 3)), ("tail", (0, 1, 2, 3)), ("balanced", (2,))):
        group = groups[f"{name}-tower"]
        assert group.lr == 0.02
        assert group.schedule.milestones == decays == groups[f"{name}-features"].schedule.milestones
    for group in groups.values():
        for parameter in group.params:
            parameter.grad = None
    step(stage)
    for name in MODELS:
        grads = [p.grad for p in groups[f"{name}-tower"].params]
        assert all(grad is not None and bool(torch.isfinite(grad).all()) and bool(grad.any()) for grad in grads), name


def test_rates_are_what_moves_a_tower() -> None:
    slow, fast = build(tower_lr=1e-6), build(tower_lr=1e-2)
    moved = []
    for stage, module, context in (slow, fast):
        assert context.backbone.visual is not None
        before = context.backbone.visual.get_parameter("conv1.weight").clone()
        step(stage)
        moved.append(float((tower_of(module, "tail").get_parameter("conv1.weight") - before).abs().max().detach()))
    # Adam's first step is its rate.
    np.testing.assert_allclose(moved, [1e-6, 1e-2], rtol=0.05)


@pytest.mark.parametrize("options", [{"htb": False}, {"model": "head"}, {"model": "tail"}])
def test_a_model_alone_has_one_tower(options: dict[str, Any]) -> None:
    stage, module, _ = build(**options)
    (name,) = module.models
    assert [group.name for group in stage.param_groups] == [
        f"{name}-{part}" for part in ("features", "classifier", "tower")
    ]
    assert list(module.towers) == [name]


def test_a_frozen_prefix_and_statistics_stay() -> None:
    stage, module, context = build(freeze=("conv1",))
    assert context.backbone.visual is not None
    before = {name: tensor.clone() for name, tensor in context.backbone.visual.state_dict().items()}
    for _ in range(2):
        step(stage)
    for name in MODELS:
        for key, tensor in tower_of(module, name).state_dict().items():
            still = key.startswith("conv1.") or "running" in key or "tracked" in key
            assert torch.equal(tensor, before[key]) == still, (name, key)
    stage, module, _ = build(batch_norm="train")
    step(stage)
    for name in MODELS:
        assert not torch.equal(
            tower_of(module, name).get_buffer("layer4.0.1.running_mean"), before["layer4.0.1.running_mean"]
        )
    with pytest.raises(UserError, match="no part 'layer9'"):
        build(freeze=("layer9",))


@pytest.mark.parametrize("options", [{}, {"batch_norm": "train", "freeze": ("conv1",)}])
def test_resume_in_the_middle_equals_no_interruption(tmp_path: Path, options: dict[str, Any]) -> None:
    method = Comic(config_of(tau=0.2, tower_lr=1e-3, **options))
    whole, resumed = interrupted_and_not(method, tmp_path, stop_after=1)
    assert whole.decisions == resumed.decisions
    first, second = whole.capture(), resumed.capture()
    assert set(first) == set(second)
    start = encoder().visual.get_parameter("conv1.bias")  # type: ignore[union-attr]
    for name in MODELS:
        (bias,) = (tensor for key, tensor in first.items() if key.endswith(f"towers.{name}.tower.conv1.bias"))
        assert torch.equal(bias, start) == ("freeze" in options)
    for key, tensor in first.items():
        assert torch.equal(tensor, second[key]), key


def test_resume_on_the_bundled_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    title = "resume equals no interruption"
    monkeypatch.setattr(kit, "CHECKS", {title: checks.CHECKS[title]})
    options = {"towers": "trained", "feature_dim": 16}
    spec = MethodSpec(
        name="own-towers", target="ltbench_comic.method:Comic", summary="a toy", variants=("code",), config=options
    )
    with extra_specs([spec]):
        results = kit.check_method("own-towers", weights="random")
    assert [(result.name, result.status) for result in results] == [(title, "passed")], results


def test_a_frozen_tower_asks_for_features_and_states_no_option_of_towers() -> None:
    frozen, trained = config_of(towers="frozen", tower_lr=0.5), config_of(tower_lr=0.5)
    assert Comic(frozen).needs().input == "global"
    assert Comic(trained).needs() == Comic(frozen).needs().model_copy(update={"input": "image"})
    stated = frozen.model_dump(mode="json")
    assert {"towers", "tower_lr", "batch_norm", "freeze"} == OWN
    assert set(stated) == set(Comic.Config.model_fields) - OWN
    full = trained.model_dump(mode="json")
    assert {name: full[name] for name in sorted(OWN)} == {
        "batch_norm": "eval", "freeze": [], "tower_lr": 0.5, "towers": "trained"
    }  # fmt: skip
    assert build_config(Comic.Config, "comic", full) == trained
    assert build_config(Comic.Config, "comic", stated).model_dump(mode="json") == stated
    _, module, _ = build(towers="frozen")
    assert not any(name.startswith("towers") for name in module.state_dict())
    assert set(module.inputs(batch_of(long_tail()[:2]))) == set(MODELS)


def test_parameters_of_three_bundled_towers() -> None:
    labels = long_tail()
    backbone = open_backbone("tiny-clip", weights="random")
    assert backbone.visual is not None
    tower = sum(p.numel() for p in backbone.visual.parameters())
    context = Context(
        ("a", "b", "c", "d", "e"), Stats.of(labels), backbone, torch.device("cpu"), seed=0, variant="code"
    )

    def trained(towers: str) -> int:
        (stage,) = Comic(config_of(towers=towers, feature_dim=256)).stages(context)
        assert isinstance(stage, GradientStage)
        return sum(p.numel() for group in stage.param_groups for p in group.params)

    assert trained("trained") - trained("frozen") == 3 * tower
    assert trained("frozen") == 3 * (256 * (backbone.card.dim + 1) + 256 * 5) + 2 * 256**2 + 256
