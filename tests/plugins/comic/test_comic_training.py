"""Whole training steps and learning rates of COMIC's release, by the recipe's stage and the engine's optimiser."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ltbench.engine.optimizers import optimizer_of
from ltbench.method import Batch, Context, GradientStage, Stats
from ltbench.method.config import build_config, choose_preset, load_presets
from ltbench_comic.method import Comic
from ltbench_comic.module import BALANCED, HEAD, TAIL, ComicModule
from ltbench_comic.plugin import ltbench_methods
from tests.plugins.comic.plt_vectors import CASES, Array, arrays, close, tensor
from tests.plugins.two_stream_toys import encoder, make_trainable

(SPEC,) = [spec for spec in ltbench_methods() if spec.name == "comic"]
RESNET = "timm:resnet50.tv_in1k"


def stage_of(counts: Array, pairs: Array, dim: int, **options: Any) -> GradientStage:
    toy = encoder()
    toy.card = toy.card.model_copy(update={"dim": dim})
    positives = counts.astype(np.int64)
    stats = Stats(int(positives.max()) + 64, positives, positives, pairs.astype(np.int64))
    names = tuple(f"c{i}" for i in range(len(counts)))
    context = Context(names, stats, toy, torch.device("cpu"), seed=0, variant="code")
    config = build_config(Comic.Config, "comic", options)
    assert isinstance(config, Comic.Config)
    (stage,) = Comic(config).stages(context)
    assert isinstance(stage, GradientStage)
    return stage


def parameters_of(module: ComicModule) -> dict[str, nn.Parameter]:
    """Parameters by the names that the release has for them."""
    found = {}
    for name in (BALANCED, HEAD, TAIL):
        model = module.stream(name)
        found[f"{name}.feat_model.0.weight"] = model.linear.weight
        found[f"{name}.feat_model.0.bias"] = model.linear.bias
        found[f"{name}.classifier.weight"] = model.classifier.weight
    if module.attention is not None:
        for name, layer in (("W_k", "key"), ("W_q", "query"), ("w_v", "score")):
            found[f"balanced.additive_attention.{name}.weight"] = getattr(module.attention, layer).weight
    return found


# Moving vectors are float32 there and float64 here, which is all that sets the numbers apart.
LOOSE = {"rtol": 2e-6, "atol": 2e-6}


@pytest.mark.parametrize("case", CASES["train_step"])
def test_three_steps_with_one_optimiser_are_those_of_seven(shared: Path, case: str) -> None:
    crossed = case.startswith("HEAD")
    # At HEAD the balancer is commented out, attention is for evaluation only, and a mean of all losses is added.
    options = {"attention": 0.0, "htb_weight": 0.0, "common_weight": 1.0} if crossed else {}
    unused = tuple(f"step{step}.htb_loss" for step in range(3)) if crossed else ()
    if not crossed:
        unused = tuple(f"step{n}.{k}_{s}" for n in range(3) for k in "xy" for s in ("reverse", "balance"))
    with arrays(shared, "train_step", case, but=unused) as v:
        width, dim = v["init.head.feat_model.0.weight"].shape
        options |= {"feature_dim": width, "attention_dropout": 0.0}
        stage = stage_of(v["distribution"], v["co"], dim, **options)
        module = stage.module.double()
        assert isinstance(module, ComicModule)
        parameters = parameters_of(module)
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(tensor(v[f"init.{name}"]))
        make_trainable(stage)
        module.train()
        optimiser = optimizer_of(stage)
        for group, described in zip(optimiser.param_groups, stage.param_groups, strict=True):
            group["lr"] = described.lr
        for step in range(3):
            at = f"step{step}"
            module.on_epoch_start(int(v[f"{at}.epoch"]) - 1, lambda: iter(()))
            if crossed:
                # Three differently sampled batches, whose labels do not go with their images.
                inputs = {"balanced": "x_raw", "head": "x_reverse", "tail": "x_balance"}
                labels = {"head": "y_raw", "tail": "y_reverse", "balanced": "y_balance"}
                outputs = module.outputs({k: tensor(v[f"{at}.{name}"]) for k, name in inputs.items()})
                terms, _ = module.objective(outputs, {k: tensor(v[f"{at}.{name}"]) for k, name in labels.items()})
            else:
                x, y = tensor(v[f"{at}.x_raw"]), tensor(v[f"{at}.y_raw"])
                outputs = copy.deepcopy(module).outputs(dict.fromkeys(module.models, x))
                terms = module.loss(Batch(torch.arange(len(x)), x, y.to(torch.int8)))
            for name in module.models:
                close(outputs.plain[name], v[f"{at}.logits_{name}"], **LOOSE)
                if name != BALANCED:
                    close(outputs.moved[name], v[f"{at}.logits_{name}_moving"], **LOOSE)
                close(module.stream(name).moving.value, v[f"{at}.embed_{name}"], **LOOSE)
                own = terms[f"loss_mfm_{name}"] + terms[f"loss_rlc_{name}"]
                close(terms[f"loss_rlc_{name}"], v[f"{at}.rlc_{name}"], **LOOSE)
                if name == BALANCED:
                    own = own + sum(terms[extra] for extra in ("loss_htb", "loss_common") if extra in terms)
                close(own, v[f"{at}.{name}_loss"], **LOOSE)
            if not crossed:
                close(terms["loss_htb"], v[f"{at}.htb_loss"], **LOOSE)
            optimiser.zero_grad()
            torch.stack([value for name, value in terms.items() if name.startswith("loss")]).sum().backward()
            for name, parameter in parameters.items():
                assert parameter.grad is not None
                close(parameter.grad, v[f"{at}.grad.{name}"], **LOOSE)
            optimiser.step()
            for name, parameter in parameters.items():
                close(parameter, v[f"{at}.after.{name}"], **LOOSE)
        if crossed:
            # It is evaluated with attention that nobody trained.
            for name in ("W_k", "W_q", "w_v"):
                key = f"balanced.additive_attention.{name}.weight"
                for step in range(3):
                    assert np.isnan(v[f"step{step}.grad.{key}"]).all()
                    np.testing.assert_array_equal(v[f"step{step}.after.{key}"], v[f"init.{key}"])


GROUPS = {
    "banlaced_networks.feat_model": "balanced-features",
    "banlaced_networks.additive_attention": "attention",
    "banlaced_networks.classifier": "balanced-classifier",
    "head_networks.feat_model": "head-features",
    "head_networks.classifier": "head-classifier",
    "tail_networks.feat_model": "tail-features",
    "tail_networks.classifier": "tail-classifier",
}


def rates(stage: GradientStage, steps: int = 92) -> dict[str, list[float]]:
    """Learning rate of each group in each epoch."""
    return {
        group.name: [
            group.lr * group.schedule.factor(epoch * steps + steps // 2, steps, stage.epochs)
            for epoch in range(stage.epochs)
        ]
        for group in stage.param_groups
    }


def preset_stage(name: str | None, task: str) -> GradientStage:
    preset = choose_preset(load_presets(SPEC), name, task, "mr40", RESNET, "code")
    assert preset is not None
    counts = np.array([9, 4, 2])
    return stage_of(counts, np.diag(counts), 6, **preset.overrides | {"feature_dim": 8})


@pytest.mark.parametrize("case", CASES["lr_schedule"])
def test_learning_rates_of_the_release(shared: Path, case: str) -> None:
    with arrays(shared, "lr_schedule", case) as v:
        found = rates(preset_stage(None, "plt-coco"))
        assert set(found) == set(GROUPS.values())
        for theirs, ours in GROUPS.items():
            np.testing.assert_allclose(found[ours], v[theirs], rtol=1e-12)


def test_head_and_tail_rates_are_swapped_for_voc() -> None:
    coco, voc = rates(preset_stage(None, "plt-coco")), rates(preset_stage(None, "plt-voc"))
    assert coco["head-features"] == voc["tail-features"]
    assert coco["tail-classifier"] == voc["head-classifier"]
    assert coco["attention"] == voc["attention"]


@pytest.mark.parametrize(
    ("task", "model", "step"),
    [
        ("plt-coco", "head", 40),
        ("plt-coco", "tail", 12),
        ("plt-voc", "head", 12),
        ("plt-voc", "tail", 35),
    ],
)
def test_a_model_alone_has_its_own_schedule(task: str, model: str, step: int) -> None:
    stage = preset_stage(model, task)
    found = rates(stage)
    assert set(found) == {f"{model}-features", f"{model}-classifier"}
    for name, lr in ((f"{model}-features", 1e-3), (f"{model}-classifier", 1e-4)):
        np.testing.assert_allclose(found[name], [lr * 0.1 ** (epoch // step) for epoch in range(1, 41)], rtol=1e-12)
