"""Losses for incomplete labels against vectors of the published implementations."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ltbench.losses import (
    AsymmetricLoss,
    ClassContrastiveLoss,
    EntropyMaximizationLoss,
    IgnoreUnknownLoss,
    LargeLoss,
    RankNetLoss,
    ROLELoss,
    SemanticDiversityLoss,
    co_occurrence_labels,
    initial_label_logits,
    inter_pseudo_labels,
    intra_pseudo_labels,
    labels_from_binary,
    mixed_labels,
    select_soft_negatives,
)
from tests.losses.limited_vectors import ELSEWHERE, GOLDEN, PLAIN, cases, check, load, observed, same, splc, tensor

ALONE: dict[str, Callable[..., None]] = {}
"""Golden files with a test of their own, by name; :func:`covers` fills it."""


def covers(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def register(test: Callable[..., None]) -> Callable[..., None]:
        ALONE.update(dict.fromkeys(names, test))
        return test

    return register


def test_every_golden_loss_has_a_test() -> None:
    if not GOLDEN.is_dir():
        pytest.skip("golden vectors not found (../shared/golden/limited-labels)")
    names = {entry["name"] for entry in json.loads((GOLDEN / "manifest.json").read_text())["entries"]}
    groups = [set(PLAIN), set(ALONE), set(ELSEWHERE)]
    assert sorted(name for group in groups for name in group) == sorted(names)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_golden_files_of_other_parts_have_a_test(name: str) -> None:
    """The name stands in the test file as a word of its own: dualcoop_validate_zsl is not dualcoop_validate."""
    text = (Path(__file__).parents[1] / ELSEWHERE[name]).read_text(encoding="utf-8")
    assert re.search(rf"(?<!\w){name}(?!\w)", text)


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


LARGE_LOSS = [
    (f"{name}__cr{clean}_dr{delta}", scheme, variant, delta, epoch)
    for name, scheme, variant in (
        ("LL-R", "R", "code"),
        ("LL-R", "R", "paper"),
        ("LL-Ct", "Ct", "code"),
        ("LL-Ct", "Ct", "paper"),
        ("LL-Cp", "Cp", "code"),
        ("LL-Cp_intended", "Cp", "paper"),
    )
    for clean, delta, epoch in (("1", 0.2, 0), ("0.9", 0.1, 1), ("0.5", 0.1, 5), ("0.998", 0.002, 1))
]


@covers("largeloss")
@pytest.mark.parametrize(("tag", "scheme", "variant", "delta", "epoch"), LARGE_LOSS)
def test_large_losses(
    tag: str, scheme: Any, variant: Any, delta: float, epoch: int, assert_matches: Callable[..., None]
) -> None:
    arrays = load("largeloss")
    loss = LargeLoss(scheme, delta=delta, variant=variant, reduction="none")
    loss.set_epoch(epoch)
    first = LargeLoss(scheme, reduction="none")
    for key, prefix in cases(arrays, tag):
        logits = tensor(arrays[f"{key}__logits"]).requires_grad_()
        labels = observed(arrays, key)
        elements = loss(logits, labels)
        # The release hands torch a float32 target for corrected entries, and torch computes those in float32 then.
        # With that rounding written out we agree to float64; without it, to what float32 leaves.
        corrected = (elements != first(logits, labels)) & (elements != 0)
        rounded = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, torch.ones_like(logits, dtype=torch.float32), reduction="none"
        )
        for value, exact in ((elements, scheme == "R"), (torch.where(corrected, rounded.double(), elements), True)):
            (grad,) = torch.autograd.grad(value.mean(), logits, retain_graph=True)
            rtol = None if exact else 1e-7
            assert_matches(value.mean(), arrays[f"{prefix}loss"], torch.float64, rtol=rtol)
            assert_matches(grad, arrays[f"{prefix}grad"], torch.float64, unit=1 / grad.numel(), rtol=rtol and 1e-6)
        found = loss.corrections(logits, labels).nonzero()
        assert found.tolist() == arrays[f"{prefix}corr"].tolist()


@covers("em_apl_loss")
@pytest.mark.parametrize(("alpha", "beta"), [(0.2, 0.02), (0.1, 0.9)])
def test_soft_labels_of_em_apl(alpha: float, beta: float, assert_matches: Callable[..., None]) -> None:
    """The release writes a soft label q into the label matrix as -q; ours stands beside it."""
    arrays = load("em_apl_loss")
    loss = EntropyMaximizationLoss(alpha=alpha, beta=beta, variant="code")
    for key, prefix in cases(arrays, f"a{alpha}_b{beta}"):
        marked = tensor(arrays[f"{key}__labels"])
        logits = tensor(arrays[f"{key}__logits"]).requires_grad_()
        value = loss(logits, marked.clamp(min=0), torch.where(marked < 0, -marked, torch.nan))
        (grad,) = torch.autograd.grad(value, logits)
        assert_matches(value, arrays[f"{prefix}loss"], torch.float64)
        assert_matches(grad, arrays[f"{prefix}grad"], torch.float64, unit=1 / grad.numel())


@covers("apl_selection")
def test_selection_of_soft_negatives(assert_matches: Callable[..., None]) -> None:
    arrays = load("apl_selection")
    labels = tensor(arrays["s0__observed_before"], torch.int8)
    probabilities = torch.sigmoid(tensor(arrays["s0__logits"]))
    soft = select_soft_negatives(probabilities, labels, None, epochs=10, warmup=5)
    marked = torch.where(soft.isnan(), labels.double(), -soft)
    # The release keeps its matrix in float32 and gets its probabilities from float32 logits.
    assert_matches(marked, arrays["s0__observed_after"], torch.float32)


@covers("hspnet_splc_loss")
@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["f64", "f32"])
def test_splc_and_its_corrections(epoch: int, dtype: torch.dtype, assert_matches: Callable[..., None]) -> None:
    arrays = load("hspnet_splc_loss")
    check(splc(epoch), arrays, f"ep{epoch}", same, assert_matches, dtype)
    for key, prefix in cases(arrays, f"ep{epoch}"):
        labels = observed(arrays, key)
        corrected = splc(epoch).corrections(tensor(arrays[f"{key}__logits"], dtype), labels)
        assert torch.equal(labels + corrected, observed(arrays, prefix[:-2], "targets_out"))


@covers("hcp_sst_intra")
def test_co_occurrence_within_an_image(assert_matches: Callable[..., None]) -> None:
    arrays = load("hcp_sst_intra")
    labels = observed(arrays, "s0")
    logits = tensor(arrays["s0__logits"]).requires_grad_()
    loss = AsymmetricLoss(gamma_neg=2, gamma_pos=1, variant="code")
    value = loss(logits, co_occurrence_labels(labels))
    (grad,) = torch.autograd.grad(value, logits)
    # The release builds its targets and powers in float32.
    assert_matches(value, arrays["s0__loss"], torch.float32)
    assert_matches(grad, arrays["s0__grad"], torch.float32)
    pseudo = intra_pseudo_labels(logits, labels, margin=0.55)
    assert torch.equal(pseudo, tensor(arrays["s0__pseudo_margin0.55"], torch.int64))


@covers("hcp_contrastive")
def test_contrast_between_images(assert_matches: Callable[..., None]) -> None:
    arrays = load("hcp_contrastive")
    features, labels = tensor(arrays["s0__features"]), observed(arrays, "s0")
    value = ClassContrastiveLoss()(features, labels, generator=torch.Generator().manual_seed(7))
    assert_matches(value, arrays["s0__loss_seed7"], torch.float64)
    pseudo = inter_pseudo_labels(features, labels, tensor(arrays["s0__posFeature"]), margin=0.2)
    assert torch.equal(pseudo, tensor(arrays["s0__inter_pseudo_m0.2"], torch.int64))


@covers("hcp_sarb_mixup_label")
def test_labels_of_blended_images(assert_matches: Callable[..., None]) -> None:
    arrays = load("hcp_sarb_mixup_label")
    labels = tensor(arrays["label"], torch.int8)
    weights, mixed = mixed_labels(labels, labels.flip(0), 0.5)
    assert_matches(weights, arrays["coef"], torch.float64)
    assert_matches(mixed, arrays["target"], torch.float64)


@covers("fast0tag_ranknet")
def test_ranknet_on_word_vectors(assert_matches: Callable[..., None]) -> None:
    arrays = load("fast0tag_ranknet")
    logits = tensor(arrays["s0__direction"]) @ tensor(arrays["s0__wordvec"]).T
    value = RankNetLoss()(logits, labels_from_binary(observed(arrays, "s0")))
    assert_matches(value, arrays["s0__loss"], torch.float64)


@covers("sdl_loss")
@pytest.mark.parametrize(("case", "weight"), [("s0", 0.01), ("s2_w0.3", 0.3)])
def test_semantic_diversity(case: str, weight: float, assert_matches: Callable[..., None]) -> None:
    arrays = load("sdl_loss")
    flat = tensor(arrays[f"{case}__x"], torch.float32).requires_grad_()
    words = tensor(arrays[f"{case}__wordvec"], torch.float32)[0].T
    value = SemanticDiversityLoss(weight=weight)(
        flat.view(len(flat), words.shape[1], -1), words, labels_from_binary(observed(arrays, case))
    )
    (grad,) = torch.autograd.grad(value, flat)
    assert_matches(value, arrays[f"{case}__loss"], torch.float32)
    assert_matches(grad, arrays[f"{case}__grad"], torch.float32)
