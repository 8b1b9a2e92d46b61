"""Parts of COMIC as the recipe builds them, on the vectors of the release: losses, corrector, balancer, classifiers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ltbench.losses import FocalFactors, MultiFocalLoss, head_tail_factor, occurrence_shares
from ltbench.nn import AdditiveAttention, MovingVector, MultiHeadCosine
from ltbench_comic.balancer import HeadTailBalancer
from ltbench_comic.corrector import ReflectiveLabelCorrector
from tests.plugins.comic.comic_recipe import graded, module_of
from tests.plugins.comic.plt_vectors import CASES, LEFT_OUT, WHERE, Array, arrays, close, tensor

ROOT = Path(__file__).resolve().parents[3]


def test_every_array_of_every_file_is_met_by_a_test_or_left_out_with_a_reason(shared: Path) -> None:
    folder = shared / "golden" / "plt"
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert {file.removesuffix(".npz") for file in manifest["files"]} == set(CASES) == set(WHERE)
    keys = set()
    for file, entry in manifest["files"].items():
        name = file.removesuffix(".npz")
        assert {case["id"] for case in entry["cases"]} == set(CASES[name]), file
        with np.load(folder / file) as archive:
            keys |= {f"{name}/{key}" for key in archive.files}
            assert {key.split("/", 1)[0] for key in archive.files} == set(CASES[name]), file
        text = (ROOT / WHERE[name]).read_text(encoding="utf-8")
        # Tests that go through `arrays` fail on an array they did not look at.
        assert f'"{name}"' in text or f'"plt/{name}.npz"' in text, WHERE[name]
    assert {key for key in LEFT_OUT if "*" not in key} <= keys


@pytest.mark.parametrize("case", CASES["mfm"])
def test_multi_focal_loss(shared: Path, case: str) -> None:
    with arrays(shared, "mfm", case) as v:
        criterion = module_of(v["distribution"], v["co"]).criterion
        logits, labels = tensor(v["logits"], grad=True), tensor(v["labels"])
        loss = criterion(logits, labels)
        grad = graded(loss, logits)
        assert torch.isfinite(loss)
        assert torch.isfinite(grad).all()
        shares = occurrence_shares(labels > 0, tensor(v["co"]).double())
        close(tensor(v["co"] / v["co"].sum(axis=0)), v["M"])
        positive = v["labels"].any(axis=1)
        close(shares[torch.from_numpy(positive)], v["attention"][positive])
        assert (shares[torch.from_numpy(~positive)] == 0).all()
        known = v["distribution"] > 0
        factor = head_tail_factor(criterion.class_counts, 1 / 3, torch.float64)
        close(factor[torch.from_numpy(known)], v["weight"][known])
        if case == "edge_zero_count_class":
            # Their weight is infinite there, and with it every sum; ours takes the class for one with a single row.
            assert not np.isfinite(v["loss"])
            close(grad[:, torch.from_numpy(known)], v["grad"][:, known])
        elif case == "edge_row_no_positive":
            assert not np.isfinite(v["loss"])
            close(grad[torch.from_numpy(positive)], v["grad"][positive])
        else:
            close(loss, v["loss"])
            close(grad, v["grad"])


@pytest.mark.parametrize("case", CASES["mfm_multigrained"])
def test_multi_focal_loss_without_cooccurrence(shared: Path, case: str) -> None:
    with arrays(shared, "mfm_multigrained", case) as v:
        options = {"cooccurrence": False, "exponent": 1 / 6, "gamma_neg": 4}
        criterion = module_of(v["distribution"], **options).criterion
        logits = tensor(v["logits"], grad=True)
        loss = criterion(logits, tensor(v["labels"]))
        close(head_tail_factor(criterion.class_counts, 1 / 6, torch.float64), v["weight"])
        close(loss, v["loss"])
        close(graded(loss, logits), v["grad"])


def corrector_of(counts: Array, **options: Any) -> ReflectiveLabelCorrector:
    corrector = module_of(counts, **options).stream("balanced").corrector
    assert corrector is not None
    return corrector


@pytest.mark.parametrize("case", CASES["rlc"][:-1])
def test_corrector_over_several_steps(shared: Path, case: str) -> None:
    rtol, slope = (3e-5, 3e-4) if case.startswith("f32") else (1e-6, 1e-6)
    with arrays(shared, "rlc", case) as v:
        corrector = corrector_of(v["distribution0"])
        close(head_tail_factor(corrector.initial, 1 / 6, torch.float64), v["weight0"])
        for step, epoch in enumerate(v["epochs"]):
            corrector.start(int(epoch))
            logits, labels = tensor(v["logits"][step], grad=True), tensor(v["labels"][step])
            loss, found = corrector(logits, labels)
            grad = graded(loss, logits)
            np.testing.assert_array_equal(((labels > 0) | found).numpy(), v["corrected"][step] == 1)
            np.testing.assert_array_equal(corrector.class_counts.numpy(), v["distribution_after"][step])
            close(head_tail_factor(corrector.class_counts, 1 / 6, torch.float64), v["weight_after"][step])
            if case == "edge_no_positive_no_correction":
                # Divided by no label at all there; here by one.
                assert not np.isfinite(v["loss"][step])
                assert not np.isfinite(v["grad"][step]).all()
                assert torch.isfinite(loss)
                assert torch.isfinite(grad).all()
                continue
            close(loss, v["loss"][step], rtol=rtol)
            close(grad, v["grad"][step], rtol=slope, atol=1e-7 if slope > 1e-5 else 1e-9)


def test_corrector_takes_floating_point_labels_which_the_release_refuses(shared: Path) -> None:
    with arrays(shared, "rlc", "edge_float_labels") as v:
        one, other = (corrector_of(np.full(6, 5)) for _ in range(2))
        logits, labels = tensor(v["logits"]), tensor(v["labels"])
        assert labels.is_floating_point()
        assert torch.equal(one(logits, labels).loss, other(logits, labels.to(torch.int8)).loss)


@pytest.mark.parametrize("case", CASES["htb"])
def test_balancer(shared: Path, case: str) -> None:
    with arrays(shared, "htb", case) as v:
        balancer = module_of(v["distribution"], v["co"]).balancer
        assert isinstance(balancer, HeadTailBalancer)
        head, tail, balanced = (tensor(v[name], grad=True) for name in ("head", "tail", "balance"))
        labels = tensor(v["labels"])
        loss = balancer(head, tail, balanced, labels)
        share = balancer.head_share(head, tail, labels)
        close(loss, v["loss"])
        close(share, v["kappa_head"])
        close(1 - share, v["kappa_tail"])
        for teacher, name in ((head, "head"), (tail, "tail")):
            close(balancer.criterion(teacher, labels), v[f"pfm_{name}"])
            product = torch.softmax(teacher, 1) * torch.softmax(balanced, 1)
            close(balancer.criterion(product, labels), v[f"L_{name}"])
        for logits, name in ((head, "head"), (tail, "tail"), (balanced, "balance")):
            close(graded(loss, logits), v[f"grad_{name}"], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("case", CASES["classifiers"])
def test_classifiers_with_and_without_the_moving_vector(shared: Path, case: str) -> None:
    with arrays(shared, "classifiers", case) as v:
        kind = case.split("_")[0]
        x = tensor(v["x"], grad=True)
        heads = int(case.split("heads")[1][0]) if "heads" in case else 1
        # The release subtracts once whatever its alpha says, and adds alpha times.
        module = module_of(np.full(len(v["weight"]), 3), feature_dim=x.shape[1], heads=heads)
        model = module.stream(kind if kind in ("head", "tail") else "balanced").double()
        with torch.no_grad():
            model.classifier.weight.copy_(tensor(v["weight"]))
        plain = model.classifier(x)
        close(plain, v["out0"])
        if case == "cosine_baseline":
            return
        model.moving.value.copy_(tensor(v["embed"]))
        moved = model.moved(x, plain)
        if np.isfinite(v["out1"]).all():
            close(moved, v["out1"])
        else:
            assert not v["embed"].any()
            assert torch.equal(moved, plain)
        if "edge" in case or "logsoftmax" in case:
            return
        cotangent = tensor(v["cotangent"])
        for number, out in enumerate((plain, moved)):
            total = (cotangent * out).sum()
            close(graded(total, x), v[f"grad{number}_x"])
            close(graded(total, model.classifier.weight), v[f"grad{number}_w"])


@pytest.mark.parametrize("case", CASES["attention"])
def test_attention_and_its_share_in_the_balanced_features(shared: Path, case: str) -> None:
    with arrays(shared, "attention", case) as v:
        own, head, tail = (tensor(v[name], grad=True) for name in ("f_b", "f_h", "f_t"))
        module = module_of(np.array([4, 2]), feature_dim=own.shape[1])
        attention = module.attention
        assert isinstance(attention, AdditiveAttention)
        attention.double().eval()
        maps = {"W_k": attention.key, "W_q": attention.query, "w_v": attention.score}
        with torch.no_grad():
            for name, layer in maps.items():
                layer.weight.copy_(tensor(v[name]))
        values = torch.stack([head, tail], dim=1)
        mixed = attention(own, values)
        close(attention.weights(own, values), v["attention_weights"][:, 0])
        close(mixed, v["attn_out"])
        fused = module.fused({"head": head, "tail": tail, "balanced": own})["balanced"]
        close(fused, v["fused"])
        total = (tensor(v["cotangent"]) * fused).sum()
        for leaf, name in ((own, "f_b"), (head, "f_h"), (tail, "f_t")):
            close(graded(total, leaf), v[f"grad_{name}"])
        for name, layer in maps.items():
            close(graded(total, layer.weight), v[f"grad_{name}"])


@pytest.mark.parametrize("case", CASES["moving_vector"])
def test_moving_vector_step_by_step(shared: Path, case: str) -> None:
    with arrays(shared, "moving_vector", case) as v:
        moving = module_of(np.array([4, 2]), feature_dim=v["features"].shape[2]).stream("head").moving
        assert isinstance(moving, MovingVector)
        for features, expected in zip(v["features"], v["embed"], strict=True):
            moving.update(tensor(features))
            close(moving.value, expected, rtol=1e-6, atol=1e-6)


def test_parts_are_the_public_ones() -> None:
    module = module_of(np.array([4, 2]))
    assert isinstance(module.criterion, MultiFocalLoss)
    assert isinstance(module.criterion.factors, FocalFactors)
    assert all(isinstance(module.stream(name).classifier, MultiHeadCosine) for name in module.models)
