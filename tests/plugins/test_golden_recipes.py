"""Published numbers by the path that recipes use: recipe, options, method, stage, and the loss of the module it trains.

What other modules meet by a loss or a piece alone is met here by what a recipe builds; nothing but options that a
recipe has is set.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from ltbench.losses import SoftPartialBCELoss, co_occurrence_labels
from ltbench.method import Context, Stats
from ltbench.method.config import build_config
from ltbench.plugin.manager import registry
from ltbench_baselines.common.objectives import Objective
from ltbench_baselines.long_tailed.ml_gcn import MLGCN
from tests.plugins.partial.conftest import encoder  # noqa: F401
from tests.plugins.partial.graph_toys import MapEncoder, build
from tests.plugins.recipe_losses import counted, loss_of, module_of
from tests.plugins.single_positive.spml_toys import toy

CASES = ("voc_b8_s0", "voc_b32_s1", "voc_allpos_row", "voc_allpos_batch", "voc_mid20", "coco_b16_s0")
ROWS = {"voc": 1142, "coco": 1909}
CONSTANTS: dict[str, dict[str, Any]] = {
    "voc": {"theta": 0.3, "neg_scale": 5.0},
    "coco": {"theta": 0.2, "neg_scale": 2.0},
}


def load(shared: Path, folder: str, name: str) -> dict[str, npt.NDArray[Any]]:
    with np.load(shared / "golden" / folder / f"{name}.npz") as archive:
        return {key: archive[key] for key in archive.files}


# Golden file → recipe, variant, options beside the data set's constants, and a factor that the release has in front.
RELEASED: dict[str, tuple[str, str, dict[str, Any], float]] = {
    "db_bce": ("erm", "paper", {}, 1.0),
    "lmpt_bce": ("erm", "paper", {}, 1.0),
    "lmpt_mls": ("mls", "paper", {}, 1.0),
    "db_rw_sqrt_inv": ("rw", "paper", {}, 1.0),
    "db_rw_inv": ("rw", "paper", {"rw_mode": "inverse"}, 1.0),
    "db_resample_focal_only": ("focal", "paper", {}, 1.0),
    "db_focal_class_bp2.0": ("focal", "paper", {}, 1.0),
    "db_focal_class_bp0.25": ("focal", "paper", {"focal_factor": 0.25}, 1.0),
    "lmpt_bl_FL_Nimages": ("focal", "paper", {"focal_factor": 0.5}, 1.0),
    "lmpt_bl_CBloss_Nimages": ("cb-focal", "paper", {"focal_factor": 5.0}, 1.0),
    **{
        f"db_cb_{mode}_focal": ("cb-focal", "paper", {"cb_mode": mode}, 1.0)
        for mode in ("by_class", "average_n", "average_w", "min_n")
    },
    "db_rbce_focal": ("r-bce-focal", "paper", {}, 1.0),
    "db_rbce": ("r-bce-focal", "paper", {"loss": "r-bce"}, 1.0),
    "lmpt_bl_R-BCE-Focal_Nimages": ("r-bce-focal", "paper", {"focal_factor": 0.5}, 1.0),
    "db_db_focal": ("db-focal", "code", {}, 1.0),
    "db_db_nofocal": ("db", "code", {}, 1.0),
    "lmpt_bl_DBloss_Nimages": ("db-focal", "paper", {"focal_factor": 0.5}, 1.0),
    "lmpt_bl_DBloss-noFocal_Nimages": ("db", "paper", {}, 0.5),
    "lmpt_asl": ("asl", "code", {}, 1.0),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("key", RELEASED)
def test_visual_recipes_meet_the_releases(shared: Path, key: str, case: str) -> None:
    recipe, variant, options, factor = RELEASED[key]
    inputs, arrays = load(shared, "ltml", "inputs"), load(shared, "ltml", key)
    data = case.split("_")[0]
    stats = counted(inputs[f"class_freq_{data}"], ROWS[data])
    criterion = loss_of(recipe, stats, variant, **CONSTANTS[data], **options)
    logits = torch.from_numpy(inputs[f"{case}__x"]).double().requires_grad_()
    loss = factor * criterion(logits, torch.from_numpy(inputs[f"{case}__y"] * 2 - 1).to(torch.int8))
    (grad,) = torch.autograd.grad(loss, logits)
    close(loss, arrays[f"{case}__loss_f64"])
    close(grad, arrays[f"{case}__grad_f64"])


def close(found: Tensor, expected: npt.NDArray[np.float64]) -> None:
    # The reference takes 1 - sigmoid(20) as a difference, right to 1e-16 of one and not of itself.
    scale = max(float(np.abs(expected).max()), 1 / found.numel())
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-9, atol=1e-12 * scale)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("key", "recipe", "options"),
    [
        ("paper_lsep", "lsep", {}),
        ("paper_lsep_g3", "lsep", {"lsep_gamma": 3}),
        ("paper_clsep_g5", "lsep", {"lsep_gamma": 5, "ranking_axis": "class"}),
        ("paper_zlpr", "zlpr", {}),
        ("paper_czlpr", "zlpr", {"ranking_axis": "class"}),
    ],
)
def test_ranking_recipes_are_the_printed_formulas(
    shared: Path, key: str, recipe: str, options: dict[str, Any], case: str
) -> None:
    inputs, arrays = load(shared, "ltml", "inputs"), load(shared, "ltml", key)
    data = case.split("_")[0]
    criterion = loss_of(recipe, counted(inputs[f"class_freq_{data}"], ROWS[data]), "paper", **options)
    logits = torch.from_numpy(inputs[f"{case}__x"]).double()
    loss = criterion(logits, torch.from_numpy(inputs[f"{case}__y"] * 2 - 1).to(torch.int8))
    np.testing.assert_allclose(float(loss), arrays[f"{case}__mean"], rtol=1e-10, atol=1e-12)


def test_partial_bce_meets_its_implementation(shared: Path) -> None:
    arrays = load(shared, "limited-labels", "durand_partial_bce")
    for key in sorted({name.split("__")[0] for name in arrays if name.endswith("__logits")}):
        logits = torch.from_numpy(arrays[f"{key}__logits"]).double().requires_grad_()
        labels = torch.from_numpy(arrays[f"{key}__labels"]).to(torch.int8)
        stats = counted(np.ones(labels.shape[1]), 4)
        for recipe in ("partial-bce", "partial-bce-linear", "curriculum-linear"):
            loss = loss_of(recipe, stats, "paper", epochs=20)(logits, labels)
            np.testing.assert_allclose(float(loss.detach()), arrays[f"{key}__loss"], rtol=1e-9)
            (grad,) = torch.autograd.grad(loss, logits)
            np.testing.assert_allclose(grad.numpy(), arrays[f"{key}__grad"], rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("data", ["coco"])
def test_ml_gcn_has_the_links_of_its_release(shared: Path, data: str) -> None:
    arrays = load(shared, "limited-labels", "mlgcn_adjacency")
    counts, pairs = arrays[f"{data}__nums"].astype(np.int64), arrays[f"{data}__adj_counts"].astype(np.int64)
    rows = int(counts.max()) + 1
    # The diagonal of co-occurrence is the count; the release's file has zeros there and never looks.
    stats = Stats(rows, counts, rows - counts, pairs + np.diag(counts - np.diag(pairs)))
    spec = registry().methods.get("ml-gcn").spec
    names = tuple(f"c{column}" for column in range(len(counts)))
    context = Context(names, stats, toy(), torch.device("cpu"), seed=0, variant="code")
    config = build_config(MLGCN.Config, "ml-gcn", spec.config, {"words": "one-hot"})
    (stage,) = MLGCN(config).stages(context)  # type: ignore[arg-type]
    buffers = {name: value for name, value in stage.module.named_buffers() if value.shape == (len(counts),) * 2}
    expected = arrays[f"{data}__gen_adj"]
    assert any(np.allclose(value.numpy(), expected, rtol=2e-6, atol=1e-9) for value in buffers.values()), list(buffers)


def test_sst_and_sarb_compute_their_releases_losses(
    shared: Path,
    encoder: MapEncoder,  # noqa: F811
    observed: npt.NDArray[np.int8],
) -> None:
    def built(recipe: str) -> Any:
        return build(recipe, encoder, observed)[1]

    intra = load(shared, "limited-labels", "hcp_sst_intra")
    labels = torch.from_numpy(np.array(intra["s0__labels"])).to(torch.int64)
    logits = torch.from_numpy(intra["s0__logits"]).double().requires_grad_()
    loss = built("sst").pair_loss(logits, co_occurrence_labels(labels))
    np.testing.assert_allclose(float(loss.detach()), intra["s0__loss"], rtol=1e-5)
    np.testing.assert_allclose(torch.autograd.grad(loss, logits)[0].numpy(), intra["s0__grad"], rtol=1e-5, atol=1e-7)
    soft = built("sarb").soft
    assert isinstance(soft, SoftPartialBCELoss)
    arrays = load(shared, "limited-labels", "hcp_partial_bce")
    for key in sorted({name.split("__")[0] for name in arrays if name.endswith("__logits")}):
        logits = torch.from_numpy(arrays[f"{key}__logits"]).double().requires_grad_()
        loss = soft(logits, torch.from_numpy(arrays[f"{key}__labels"]))
        np.testing.assert_allclose(float(loss.detach()), arrays[f"{key}__m{soft.margin}__loss"], rtol=1e-9)


def test_the_loss_of_an_objective_is_what_is_looked_at() -> None:
    """Else the tests above would meet a loss that nobody trains by."""
    stats = counted(np.array([3, 2]), 4)
    module = module_of("partial-bce-linear", stats, "paper")
    assert isinstance(module.objective, Objective)
    assert loss_of("partial-bce-linear", stats, "paper") is not loss_of("partial-bce-linear", stats, "paper")
