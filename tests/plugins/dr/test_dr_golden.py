"""DR's numbers by the recipe's own path: objectives, rows and learning rates of the paper and the release."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ltbench.method import GradientStage, Stats
from ltbench.method.config import choose_preset
from ltbench_dr.method import DR
from ltbench_dr.objectives import build_objective
from tests.plugins.dr.dr_toys import PRESETS, RESNET, config_of
from tests.plugins.two_stream_toys import context_of

CASES = ("voc_b8_s0", "voc_b32_s1", "voc_allpos_row", "voc_allpos_batch", "voc_big_wrong", "voc_mid20", "coco_b16_s0")
VECTORS: dict[str, dict[str, Any]] = {
    "lsep": {"objective": "lsep", "gamma1": 1},
    "lsep_g3": {"objective": "lsep", "gamma1": 3},
    "lsep_g5": {"objective": "lsep", "gamma1": 5},
    "clsep_g1": {"objective": "c-lsep", "gamma1": 1},
    "clsep_g3": {"objective": "c-lsep", "gamma1": 3},
    "clsep_g5": {"objective": "c-lsep", "gamma1": 5},
    "zlpr": {"objective": "zlpr"},
    "czlpr": {"objective": "c-zlpr"},
    "dr_g5_7": {"objective": "dr", "gamma2": 7},
    "dr_g5_10": {"objective": "dr", "gamma2": 10},
    "clsep_pgc_g5_7": {"objective": "pgc", "gamma2": 7},
    "clsep_pgc_g5_10": {"objective": "pgc", "gamma2": 10},
    "clsep_gc_g5_7": {"objective": "gc", "gamma2": 7},
    "clsep_gc_g5_10": {"objective": "gc", "gamma2": 10},
}
RELEASED = {
    "dr_loss_g5_7": {},
    "dr_loss_g5_10": {"gamma2": 10},
    "dr_loss_g1_1": {"gamma1": 1, "gamma2": 1},
    "dr_loss_g5_1": {"gamma2": 1},
}
Losses = Callable[..., tuple[Tensor, Tensor]]


@pytest.fixture
def objective_at(shared: Path) -> Losses:
    """Loss and gradient of a configuration of the recipe at a golden input."""
    inputs = np.load(shared / "golden" / "ltml" / "inputs.npz")

    def at(case: str, variant: Any, dtype: torch.dtype = torch.float64, **options: Any) -> tuple[Tensor, Tensor]:
        logits = torch.from_numpy(inputs[f"{case}__x"]).to(dtype).requires_grad_()
        labels = torch.from_numpy(inputs[f"{case}__y"] * 2 - 1).to(torch.int8)
        counts = inputs[f"class_freq_{case.split('_')[0]}"]
        rows = 1142 if case.startswith("voc") else 1909
        stats = Stats(rows, counts, rows - counts, np.diag(counts))
        loss = build_objective(config_of(**options), stats, variant)(logits, labels)
        return loss.detach(), torch.autograd.grad(loss, logits)[0]

    return at


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("key", VECTORS)
def test_paper_is_the_sum_and_code_the_mean_of_the_printed_formula(
    shared: Path, objective_at: Losses, key: str, case: str
) -> None:
    golden = np.load(shared / "golden" / "ltml" / f"paper_{key}.npz")
    loss, grad = objective_at(case, "paper", **VECTORS[key])
    np.testing.assert_allclose(loss, golden[f"{case}__sum"], rtol=1e-10, atol=1e-12)
    expected = golden[f"{case}__grad_of_sum"]
    np.testing.assert_allclose(grad, expected, rtol=1e-10, atol=1e-12 * max(1.0, np.abs(expected).max()))
    mean, _ = objective_at(case, "code", **VECTORS[key])
    np.testing.assert_allclose(mean, golden[f"{case}__mean"], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("key", RELEASED)
def test_code_is_the_release_and_finite_where_that_overflows(
    shared: Path, objective_at: Losses, key: str, case: str
) -> None:
    golden = np.load(shared / "golden" / "ltml" / f"{key}.npz")
    loss, grad = objective_at(case, "code", **RELEASED[key])
    np.testing.assert_allclose(loss, golden[f"{case}__loss_f64"], rtol=1e-10, atol=1e-12)
    expected = golden[f"{case}__grad_f64"]
    if np.isfinite(expected).all():
        np.testing.assert_allclose(grad, expected, rtol=1e-10, atol=1e-12)
    single, slope = objective_at(case, "code", torch.float32, **RELEASED[key])
    np.testing.assert_allclose(single, golden[f"{case}__loss_f64"], rtol=1e-5, atol=1e-6)
    assert torch.isfinite(slope).all()


@pytest.mark.parametrize(("case", "data"), [("voc_b32_s1", "voc-lt"), ("coco_b16_s0", "coco-lt")])
def test_combination_is_the_sum_of_both_releases(shared: Path, objective_at: Losses, case: str, data: str) -> None:
    folder = shared / "golden" / "ltml"
    preset = choose_preset(PRESETS, "dr-db-focal", data, None, RESNET, "code")
    assert preset is not None
    ranking = np.load(folder / f"dr_loss_g5_{config_of(**preset.overrides).gamma2:.0f}.npz")[f"{case}__loss_f64"]
    balanced = np.load(folder / "db_db_focal.npz")[f"{case}__loss_f64"]
    loss, _ = objective_at(case, "code", **preset.overrides)
    np.testing.assert_allclose(loss, ranking + balanced, rtol=1e-10)
    half, _ = objective_at(case, "code", **preset.overrides, db_weight=0.5)
    np.testing.assert_allclose(half, ranking + balanced / 2, rtol=1e-10)
    alone, _ = objective_at(case, "code", **preset.overrides | {"objective": "db-focal"}, db_weight=0.5)
    np.testing.assert_allclose(alone, balanced, rtol=1e-10)


@pytest.mark.parametrize("case", ["voc_b32_s1", "coco_b16_s0"])
def test_bce_and_db_focal_are_the_losses_of_the_db_code_and_paper(
    shared: Path, objective_at: Losses, case: str
) -> None:
    folder = shared / "golden" / "ltml"
    data = f"{case.split('_')[0]}-lt"
    preset = choose_preset(PRESETS, "db-focal", data, None, RESNET, "code")
    assert preset is not None
    printed = np.load(folder / "paper_db.npz")[f"{case}__eccv_db_focal_gamma2_factor2__mean"]
    np.testing.assert_allclose(objective_at(case, "paper", **preset.overrides)[0], printed, rtol=1e-10)
    entropy = np.load(folder / "db_bce.npz")[f"{case}__loss_f64"]
    for variant in ("code", "paper"):
        np.testing.assert_allclose(objective_at(case, variant, objective="bce")[0], entropy, rtol=1e-10)


class PythonShuffle:
    """Stands in for the epoch's generator: shuffles as the release does, by Python's ``random`` seeded 0."""

    def __init__(self) -> None:
        self.shuffle: Callable[[Any], None] = random.Random(0).shuffle


@pytest.mark.parametrize("data", ["voc", "coco"])
def test_rows_and_learning_rates_of_the_release(shared: Path, data: str) -> None:
    folder = shared / "golden" / "ltml"
    golden = np.load(folder / "db_sampler.npz")
    labels = golden[f"{data}__labels_in_img_id_order"].astype(np.int8) * 2 - 1
    preset = choose_preset(PRESETS, None, f"{data}-lt", None, RESNET, "code")
    assert preset is not None
    # The toy tower has other parts, and its images are no pictures.
    options = preset.overrides | {"freeze": ["conv1"], "augment": "flip"}
    (stage,) = DR(config_of(**options)).stages(context_of(labels))
    assert isinstance(stage, GradientStage)
    generator: Any = PythonShuffle()
    assert stage.sampler is not None
    for epoch in range(2):
        np.testing.assert_array_equal(stage.sampler.epoch(epoch, generator), golden[f"{data}__epoch{epoch}"])
    steps = len(golden[f"{data}__epoch0"]) // stage.batch_size
    rates = np.load(folder / "lr_schedules.npz")[f"dr_{data}"]
    for group in stage.param_groups:
        found = [group.lr * group.schedule.factor(step, steps, stage.epochs) for step in range(steps * stage.epochs)]
        np.testing.assert_allclose(found, rates, rtol=1e-12)
