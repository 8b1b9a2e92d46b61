"""Losses of the baselines that COMIC's release brings along, on its own vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ltbench.losses import (
    AsymmetricLoss,
    BCELoss,
    DistributionBalancedLoss,
    FocalLoss,
    HillLoss,
    MultiLabelLoss,
    SelectiveAsymmetricLoss,
)
from tests.plugins.comic.plt_vectors import CASES, arrays, close, tensor

KINDS: dict[str, MultiLabelLoss] = {
    "hill": HillLoss(reduction="sum"),
    "focal": FocalLoss(reduction="sum"),
    "asl": AsymmetricLoss(gamma_neg=4, gamma_pos=0, detach_weights=True, variant="code", reduction="sum"),
    "bce": BCELoss(),
    "asl_classdefault": AsymmetricLoss(gamma_neg=4, gamma_pos=1, detach_weights=True, variant="code", reduction="sum"),
}


@pytest.mark.parametrize("case", CASES["plain_losses"])
def test_losses_of_complete_labels(shared: Path, case: str) -> None:
    criterion = KINDS["asl_classdefault" if "classdefault" in case else case.split("_")[0]]
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


POWERS: dict[str, dict[str, float]] = {
    "upstream_cli_default": {},
    "readme_selective_fpc": {"gamma_unknown": 4, "top_k": 5},
    "readme_selective_oi_B4": {"gamma_neg": 3, "gamma_unknown": 4, "top_k": 1},
    "readme_selective_oi_B32": {"gamma_neg": 3, "gamma_unknown": 4, "top_k": 5},
    "negative_clip": {"gamma_neg": 4, "gamma_unknown": 4, "clip": 0.05},
    "mode_none": {},
    "binary_labels": {"gamma_neg": 4, "gamma_unknown": 4, "clip": 0.05, "top_k": 5},
}


@pytest.mark.parametrize("case", CASES["partial_asl"])
def test_selective_asymmetric_loss(shared: Path, case: str) -> None:
    with arrays(shared, "partial_asl", case) as v:
        logits = tensor(v["logits"], grad=True)
        # Theirs are 1 present, 0 absent, -1 not annotated.
        labels = torch.tensor([-1, 1, 0])[tensor(v["labels"])]
        if case.startswith("ignore"):
            unread = AsymmetricLoss(
                gamma_neg=1, gamma_pos=0, clip=0, detach_weights=True, variant="code", reduction="none"
            )
            elements = unread(logits, labels)
            if "norm" in case:
                elements = elements * (1 + 1 / (1 + (labels != 0).sum(dim=1, keepdim=True)))
            loss = elements.sum()
        else:
            (options,) = (found for name, found in POWERS.items() if case.startswith(name))
            chosen: Any = {"top_k": 0} | options
            loss = SelectiveAsymmetricLoss(variant="code", reduction="sum", **chosen)(logits, labels)
        close(loss, v["loss"])
        close(torch.autograd.grad(loss, logits)[0], v["grad"])


@pytest.mark.parametrize("case", CASES["db_loss"])
def test_distribution_balanced_loss(shared: Path, case: str) -> None:
    of_data: dict[str, Any] = {"theta": 0.2, "neg_scale": 2.0} if "coco" in case else {"theta": 0.3, "neg_scale": 5.0}
    rows = 2962 if "coco" in case else 2830
    with arrays(shared, "db_loss", case) as v:
        counts = torch.from_numpy(v["class_freq"])
        logits, labels = tensor(v["logits"], grad=True), tensor(v["labels"]).long() * 2 - 1
        build = {"variant": "code", "gamma": 2.0, "focal_factor": 2.0, **of_data}
        elements = DistributionBalancedLoss(counts, rows, reduction="none", **build)(logits, labels)
        # Its frequencies are float32 values, whose differences from the mean enter an exponential.
        close(elements, v["loss_elem"], rtol=1e-5, atol=1e-7)
        loss = DistributionBalancedLoss(counts, rows, **build)(logits, labels)
        close(loss, v["loss_mean"], rtol=1e-5)
        close(torch.autograd.grad(loss, logits)[0], v["grad_of_mean"], rtol=1e-5, atol=1e-7)
