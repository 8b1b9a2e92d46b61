"""Single positive labels: the published numbers, met by the losses as the recipes build them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from ltbench.losses import initial_label_logits
from ltbench.method import Batch
from ltbench_baselines.single_positive.objectives import CorrectedLabels, OnlineLabels
from tests.golden import golden
from tests.plugins.single_positive.spml_toys import (
    method_of,
    named,
)


def keys(arrays: dict[str, Any]) -> list[str]:
    return sorted({key.split("__")[0] for key in arrays if key.endswith("__logits")})


def value_and_gradient(objective: Any, logits: Tensor, labels: Tensor) -> tuple[float, npt.NDArray[np.float64]]:
    leaf = logits.double().requires_grad_()
    value = objective(leaf, Batch(torch.arange(len(labels)), logits, labels.to(torch.int8)))
    (grad,) = torch.autograd.grad(value, leaf)
    return float(value.detach()), grad.numpy()


GOLDEN: list[tuple[str, str, str, str, dict[str, Any], int]] = [
    ("an", "cole_an", "", "code", {}, 0),
    ("lsan", "cole_an_ls", "", "code", {}, 0),
    ("wan", "cole_wan", "", "code", {}, 0),
    ("epr", "cole_epr", "", "code", {"expected_positives": 1.5}, 0),
    *[("em", "em_loss", f"a{alpha}__", "code", {"em_alpha": alpha}, 0) for alpha in (0.1, 0.2, 0.01)],
    ("hill", "hill_loss", "", "paper", {"reduction": "sum"}, 0),
    *[("splc", "splc_loss", f"ep{epoch}__", "paper", {"reduction": "sum"}, epoch) for epoch in (0, 1, 5)],
    *[
        (loss, "largeloss", f"{key}__cr{clean}_dr{delta}__", variant, {"ll_delta": delta}, epoch)
        for loss, key, variant in (
            ("ll-r", "LL-R", "code"),
            ("ll-r", "LL-R", "paper"),
            ("ll-ct", "LL-Ct", "code"),
            ("ll-ct", "LL-Ct", "paper"),
            ("ll-cp", "LL-Cp", "code"),
            ("ll-cp", "LL-Cp_intended", "paper"),
        )
        for clean, delta, epoch in (("0.9", 0.1, 1), ("0.5", 0.1, 5), ("0.998", 0.002, 1))
    ],
    ("an", "largeloss", "LL-R__cr1_dr0.2__", "paper", {}, 0),
]


@pytest.mark.parametrize(("loss", "file", "tag", "variant", "options", "epoch"), GOLDEN)
@pytest.mark.parametrize("suffix", ["-linear", "-prompts"])
def test_recipes_meet_the_releases(
    loss: str, file: str, tag: str, variant: str, options: dict[str, Any], epoch: int, suffix: str
) -> None:
    arrays = golden("limited-labels", file)
    for key in keys(arrays):
        logits, labels = (torch.from_numpy(np.array(arrays[f"{key}__{part}"])) for part in ("logits", "labels"))
        shown = labels.to(torch.int8).numpy()
        (stage,) = method_of(f"{loss}{suffix}", **options).stages(named(shown, variant))
        objective: Any = stage.module.objective
        objective.start_epoch(epoch, lambda: pytest.fail("asks for probabilities"))
        value, grad = value_and_gradient(objective, logits, labels)
        # The release computes corrected entries in float32 (1e-7).
        loose = 1e-6 if file == "largeloss" else 1e-9
        np.testing.assert_allclose(value, arrays[f"{key}__{tag}loss"], rtol=loose)
        np.testing.assert_allclose(grad, arrays[f"{key}__{tag}grad"], rtol=loose, atol=loose / grad.size)
        if f"{key}__{tag}corr" in arrays and isinstance(objective, CorrectedLabels):
            assert sorted(map(list, objective.decisions())) == sorted(arrays[f"{key}__{tag}corr"].tolist())


def test_role_meets_the_release() -> None:
    arrays = golden("limited-labels", "cole_role")
    for key in keys(arrays):
        logits, labels = (torch.from_numpy(np.array(arrays[f"{key}__{part}"])) for part in ("logits", "labels"))
        method = method_of("role-linear", expected_positives=1.5)
        (stage,) = method.stages(named(labels.to(torch.int8).numpy(), "code"))
        own: Any = stage.module.objective.double()
        with torch.no_grad():
            own.label_logits.copy_(torch.from_numpy(np.array(arrays[f"{key}__est_logits"])))
        value = own(logits.double().requires_grad_(), Batch(torch.arange(len(labels)), logits, labels.to(torch.int8)))
        value.backward()
        np.testing.assert_allclose(float(value.detach()), arrays[f"{key}__loss"], rtol=1e-9)
        expected = arrays[f"{key}__grad_est"]
        np.testing.assert_allclose(own.label_logits.grad.numpy(), expected, rtol=1e-9, atol=1e-9 / expected.size)


def test_free_labels_start_as_in_the_release() -> None:
    arrays = golden("limited-labels", "cole_role_label_estimator_init")
    labels = torch.from_numpy(np.array(arrays["observed"])).to(torch.int8)
    torch.manual_seed(0)
    own = OnlineLabels(None, labels)  # type: ignore[arg-type]
    np.testing.assert_allclose(own.label_logits.detach().numpy(), arrays["param"], rtol=1e-6)
    torch.manual_seed(0)
    assert torch.equal(own.label_logits, initial_label_logits(labels))


@pytest.mark.parametrize(("alpha", "beta"), [(0.2, 0.02), (0.1, 0.9)])
def test_em_apl_meets_the_release(alpha: float, beta: float) -> None:
    arrays = golden("limited-labels", "em_apl_loss")
    for key in keys(arrays):
        logits, marked = (torch.from_numpy(np.array(arrays[f"{key}__{part}"])) for part in ("logits", "labels"))
        labels = (marked > 0).to(torch.int8)
        method = method_of("em-apl-linear", em_alpha=alpha, apl_beta=beta)
        (stage,) = method.stages(named(labels.numpy(), "code"))
        own: Any = stage.module.objective.double()
        own.soft.copy_(torch.where(marked < 0, -marked.double(), torch.nan))
        value, grad = value_and_gradient(own, logits, labels)
        tag = f"{key}__a{alpha}_b{beta}__"
        np.testing.assert_allclose(value, arrays[f"{tag}loss"], rtol=1e-9)
        np.testing.assert_allclose(grad, arrays[f"{tag}grad"], rtol=1e-9, atol=1e-9 / grad.size)


def test_soft_labels_are_chosen_as_in_the_release() -> None:
    arrays = golden("limited-labels", "apl_selection")
    labels = torch.from_numpy(np.array(arrays["s0__observed_before"])).to(torch.int8)
    probabilities = torch.sigmoid(torch.from_numpy(np.array(arrays["s0__logits"])).float())
    method = method_of("em-apl-linear", epochs=10, apl_warmup=5)
    (stage,) = method.stages(named(labels.numpy(), "code"))
    own: Any = stage.module.objective
    own.start_epoch(4, lambda: (probabilities, labels))
    assert own.soft.isnan().all()
    own.start_epoch(5, lambda: (probabilities, labels))
    marked = torch.where(own.soft.isnan(), labels.float(), -own.soft)
    np.testing.assert_allclose(marked.numpy(), arrays["s0__observed_after"], rtol=1e-6)
