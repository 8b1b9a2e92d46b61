"""Losses for limited labels against the published implementations' values and gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ltbench.losses import (
    AssumeNegativeLoss,
    ExpectedPositivesLoss,
    IgnoreUnknownLoss,
    PairwiseRankingLoss,
    ROLELoss,
    WeakAssumeNegativeLoss,
    initial_label_logits,
    labels_from_binary,
)

GOLDEN = Path(__file__).resolve().parents[2].parent / "shared" / "golden" / "limited-labels"

Make = Callable[[], torch.nn.Module]
Labels = Callable[[Tensor], Tensor]


def load(name: str) -> dict[str, Any]:
    """Arrays of one golden file, or a skip."""
    if not GOLDEN.is_dir():
        pytest.skip("golden vectors not found (../shared/golden/limited-labels)")
    with np.load(GOLDEN / f"{name}.npz") as archive:
        return {key: archive[key] for key in archive.files}


def tensor(array: Any, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.from_numpy(np.array(array)).to(dtype)


def same(labels: Tensor) -> Tensor:
    """Labels that stand in the encoding of the package: 0 is unknown."""
    return labels


def observed(arrays: dict[str, Any], key: str, suffix: str = "labels") -> Tensor:
    """Integer labels of one case."""
    return tensor(arrays[f"{key}__{suffix}"], torch.int64)


# Golden file, cases inside it that end in a key of the hyper-parameters, what the labels mean, and our loss.
# "code" is the variant of every file here: its source is a release.
PLAIN: dict[str, list[tuple[str, Labels, Make]]] = {
    "cole_an": [("", same, lambda: AssumeNegativeLoss(variant="code"))],
    "cole_an_ls": [("", same, lambda: AssumeNegativeLoss(smoothing=0.1, variant="code"))],
    "cole_bce": [("", labels_from_binary, lambda: AssumeNegativeLoss(variant="code"))],
    "cole_bce_ls": [("", labels_from_binary, lambda: AssumeNegativeLoss(smoothing=0.1, variant="code"))],
    "cole_wan": [("", same, lambda: WeakAssumeNegativeLoss(variant="code"))],
    "cole_pr": [("", same, PairwiseRankingLoss)],
    "cole_iu": [("", same, lambda: IgnoreUnknownLoss(variant="code"))],
    "cole_epr": [("", same, lambda: ExpectedPositivesLoss(1.5, variant="code"))],
}

ALONE: dict[str, Callable[..., None]] = {}
"""Golden files with a test of their own, by name; :func:`covers` fills it."""

def covers(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def register(test: Callable[..., None]) -> Callable[..., None]:
        ALONE.update(dict.fromkeys(names, test))
        return test

    return register


def cases(arrays: dict[str, Any], tag: str) -> Iterator[tuple[str, str]]:
    """Names of the inputs and prefixes of the outputs of one setting."""
    for key in sorted({key.split("__")[0] for key in arrays if key.endswith("__logits")}):
        yield key, f"{key}__{tag}__" if tag else f"{key}__"


def check(
    loss: Callable[[Tensor, Tensor], Tensor],
    arrays: dict[str, Any],
    tag: str,
    read: Labels,
    close: Callable[..., None],
    dtype: torch.dtype = torch.float64,
) -> None:
    """Value and gradient of `loss` at every input of a file, for one setting of it."""
    found = 0
    suffix = "_f32" if dtype == torch.float32 else ""
    for key, prefix in cases(arrays, tag):
        logits = tensor(arrays[f"{key}__logits"], dtype).requires_grad_()
        value = loss(logits, read(observed(arrays, key)))
        (grad,) = torch.autograd.grad(value, logits)
        close(value, arrays[f"{prefix}loss{suffix}"], dtype)
        # The unit is a reduction's 1 / (B C) for means, and no larger than one element's gradient for sums.
        close(grad, arrays[f"{prefix}grad{suffix}"], dtype, unit=1 / grad.numel())
        found += 1
    assert found


@pytest.mark.parametrize("name", PLAIN)
def test_meets_the_published_implementation(name: str, assert_matches: Callable[..., None]) -> None:
    arrays = load(name)
    for tag, read, make in PLAIN[name]:
        check(make(), arrays, tag, read, assert_matches)


@pytest.mark.parametrize("name", PLAIN)
def test_meets_it_in_float32(name: str, assert_matches: Callable[..., None]) -> None:
    arrays = load(name)
    if not any(key.endswith("loss_f32") for key in arrays):
        # The release is float64 only here: our float32 must then agree with it to float32.
        arrays |= {f"{k}_f32": v for k, v in arrays.items() if k.endswith(("__loss", "__grad"))}
    for tag, read, make in PLAIN[name]:
        check(make(), arrays, tag, read, assert_matches, torch.float32)


@covers("cole_iun")
def test_true_absences_revealed(assert_matches: Callable[..., None]) -> None:
    """IUN is IU where the true labels reveal every absence."""
    arrays = load("cole_iun")
    for key, _ in cases(arrays, ""):
        truth = observed(arrays, key, "true")
        arrays[f"{key}__labels"] = np.where(truth < 0, -1, arrays[f"{key}__labels"])
    check(IgnoreUnknownLoss(variant="code"), arrays, "", same, assert_matches)


@covers("cole_role")
def test_role_moves_both_sides(assert_matches: Callable[..., None]) -> None:
    arrays = load("cole_role")
    for key, prefix in cases(arrays, ""):
        logits = tensor(arrays[f"{key}__logits"]).requires_grad_()
        free = tensor(arrays[f"{key}__est_logits"]).requires_grad_()
        value = ROLELoss(1.5, variant="code")(logits, observed(arrays, key), free)
        grads = torch.autograd.grad(value, (logits, free))
        assert_matches(value, arrays[f"{prefix}loss"], torch.float64)
        assert_matches(grads[0], arrays[f"{prefix}grad"], torch.float64, unit=1 / logits.numel())
        assert_matches(grads[1], arrays[f"{prefix}grad_est"], torch.float64, unit=1 / logits.numel())


@covers("cole_role_label_estimator_init")
def test_label_logits_start_as_in_the_release(assert_matches: Callable[..., None]) -> None:
    arrays = load("cole_role_label_estimator_init")
    labels = tensor(arrays["observed"], torch.int8)
    start = initial_label_logits(labels, generator=torch.Generator().manual_seed(0))
    assert_matches(start, arrays["param"], torch.float32)
    assert_matches(torch.sigmoid(start), arrays["est"], torch.float32)
