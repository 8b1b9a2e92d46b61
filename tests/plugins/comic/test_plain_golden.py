"""Losses of the baselines that COMIC's release brings along, on its own vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ltbench.losses import AsymmetricLoss, MultiLabelLoss
from ltbench.method import Stats
from ltbench.method.config import choose_preset, load_presets
from tests.plugins.comic.plain_toys import SPECS
from tests.plugins.comic.plt_vectors import CASES, arrays, close, tensor
from tests.plugins.recipe_losses import counted, loss_of

ANY = counted(np.array([3, 2]), 4)
"""Counts for losses that do not look at them."""

RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "hill": ("plt-hill", {}),
    "focal": ("plt-focal", {}),
    "asl": ("plt-asl", {}),
    # The release's only mean, which the recipe lays aside: with it the share of the weight decay would be another one.
    "bce": ("plt-bce", {"reduction": "mean"}),
    "asl_classdefault": ("plt-asl", {"asl_gamma_pos": 1}),
}


def of_recipe(recipe: str, stats: Stats = ANY, **options: Any) -> MultiLabelLoss:
    """The loss that a recipe trains by, in the form of the release where there are two."""
    found = loss_of(recipe, stats, "code" if "code" in SPECS[recipe].variants else "paper", **options)
    assert isinstance(found, MultiLabelLoss)
    return found


@pytest.mark.parametrize("case", CASES["plain_losses"])
def test_losses_of_complete_labels(shared: Path, case: str) -> None:
    recipe, options = RECIPES["asl_classdefault" if "classdefault" in case else case.split("_")[0]]
    criterion = of_recipe(recipe, **options)
    near: Any = {"rtol": 1e-10, "atol": 1e-12}
    if case.endswith("f32") or case.startswith(("focal", "bce")):
        # The release casts the labels, and with them the loss, to float32.
        near = {"rtol": 1e-5, "atol": 1e-6}
    with arrays(shared, "plain_losses", case) as v:
        logits, labels = tensor(v["logits"], grad=True), tensor(v["labels"]) * 2 - 1
        loss = criterion(logits, labels)
        (grad,) = torch.autograd.grad(loss, logits)
        assert torch.isfinite(loss)
        assert torch.isfinite(grad).all()
        if np.isfinite(v["loss"]):
            close(loss, v["loss"], **near)
        whole = np.isfinite(v["grad"])
        assert whole.all() or case == "hill_edge_sat120_f32"
        close(grad[torch.from_numpy(whole)], v["grad"][whole], **near)


UNLIKE_OURS: dict[str, Any] = {"asl_gamma_neg": 1, "unknown_gamma": 2}
"""Upstream's class has these exponents unless told otherwise, its README those of the recipe."""

POWERS: dict[str, dict[str, float]] = {
    "upstream_cli_default": {},
    "readme_selective_fpc": {"unknown_gamma": 4, "top_k": 5},
    "readme_selective_oi_B4": {"asl_gamma_neg": 3, "unknown_gamma": 4, "top_k": 1},
    "readme_selective_oi_B32": {"asl_gamma_neg": 3, "unknown_gamma": 4, "top_k": 5},
    "negative_clip": {"asl_gamma_neg": 4, "unknown_gamma": 4, "unknown_clip": 0.05},
    "mode_none": {},
    "binary_labels": {"asl_gamma_neg": 4, "unknown_gamma": 4, "unknown_clip": 0.05, "top_k": 5},
}


@pytest.mark.parametrize("case", CASES["partial_asl"])
def test_selective_asymmetric_loss(shared: Path, case: str) -> None:
    with arrays(shared, "partial_asl", case) as v:
        logits = tensor(v["logits"], grad=True)
        # Theirs are 1 present, 0 absent, -1 not annotated.
        labels = torch.tensor([-1, 1, 0])[tensor(v["labels"])]
        if case.startswith("ignore"):
            # No recipe leaves unknown labels out of this loss, or divides by their number: of the loss itself.
            unread = AsymmetricLoss(
                gamma_neg=1, gamma_pos=0, clip=0, detach_weights=True, variant="code", reduction="none"
            )
            elements = unread(logits, labels)
            if "norm" in case:
                elements = elements * (1 + 1 / (1 + (labels != 0).sum(dim=1, keepdim=True)))
            loss = elements.sum()
        else:
            (options,) = (found for name, found in POWERS.items() if case.startswith(name))
            chosen: Any = {"top_k": 0} | UNLIKE_OURS | options
            loss = of_recipe("plt-p-asl", **chosen)(logits, labels)
        close(loss, v["loss"])
        close(torch.autograd.grad(loss, logits)[0], v["grad"])


@pytest.mark.parametrize("case", CASES["db_loss"])
def test_distribution_balanced_loss(shared: Path, case: str) -> None:
    data = case.split("_")[0]
    preset = choose_preset(
        load_presets(SPECS["plt-db-focal"]), None, f"plt-{data}", "mr40", "timm:resnet50.tv_in1k", "code"
    )
    assert preset is not None
    of_data = {name: preset.overrides[name] for name in ("theta", "neg_scale")}
    rows = 2962 if data == "coco" else 2830
    with arrays(shared, "db_loss", case) as v:
        logits, labels = tensor(v["logits"], grad=True), tensor(v["labels"]).long() * 2 - 1
        criterion = of_recipe("plt-db-focal", counted(v["class_freq"], rows), reduction="mean", **of_data)
        loss = criterion(logits, labels)
        close(loss, v["loss_mean"], rtol=1e-5)
        close(torch.autograd.grad(loss, logits)[0], v["grad_of_mean"], rtol=1e-5, atol=1e-7)
        # Its frequencies are float32 values, whose differences from the mean enter an exponential.
        criterion.reduction = "none"
        close(criterion(logits, labels), v["loss_elem"], rtol=1e-5, atol=1e-7)
