"""Variant ``paper`` of COMIC on the printed formulas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ltbench.losses import head_tail_factor
from ltbench_comic.corrector import ReflectiveLabelCorrector
from tests.plugins.comic.comic_recipe import graded, module_of
from tests.plugins.comic.plt_vectors import CASES, arrays, close, tensor

EQ5_6, EQ2_3, EQ9_10, EQ11 = CASES["paper_formulas"][:2], *CASES["paper_formulas"][2:]
OTHER = {"gamma_pos": 1, "gamma_neg": 4, "weight_pos": 0.5, "weight_neg": 0.5, "exponent": 1.0}
# Both are the formula itself; only central differences lose digits.
EXACT = {"rtol": 1e-10, "atol": 1e-12}


def test_cases_are_all_there() -> None:
    assert (*EQ5_6, EQ2_3, EQ9_10, EQ11) == CASES["paper_formulas"]


@pytest.mark.parametrize("case", EQ5_6)
def test_multi_focal_loss(shared: Path, case: str) -> None:
    with arrays(shared, "paper_formulas", case) as v:
        options = {} if case == "eq5_6_0" else OTHER
        if case == "eq5_6_0":
            options = {"weight_pos": 1.0}
        criterion = module_of(v["distribution"], variant="paper", **options).criterion
        logits = tensor(v["logits"], grad=True)
        loss = criterion(logits, tensor(v["labels"]))
        close(
            head_tail_factor(criterion.class_counts, criterion.factors.exponent, torch.float64), v["gamma_ht"], **EXACT
        )
        close(loss, v["loss"], **EXACT)
        close(graded(loss, logits), v["grad_fd"], rtol=1e-6, atol=1e-8)


def test_corrector(shared: Path) -> None:
    with arrays(shared, "paper_formulas", EQ2_3) as v:
        corrector = module_of(v["distribution"], variant="paper", average="past").stream("balanced").corrector
        assert isinstance(corrector, ReflectiveLabelCorrector)
        logits, labels = tensor(v["logits"]), tensor(v["labels"])
        corrector.start(1)
        # As after 8 rows with these means.
        corrector.total.copy_(8 * tensor(v["P_c"]))
        corrector.seen.fill_(8)
        loss, found = corrector(logits, labels)
        np.testing.assert_array_equal(found.numpy(), v["y_hat"] == 1)
        np.testing.assert_array_equal(((labels > 0) | found).numpy(), v["targets"] == 1)
        assert int(found.sum()) == v["N_t"]
        close(loss, v["loss"], **EXACT)


def test_corrector_without_a_find_divides_by_one() -> None:
    corrector = module_of(np.array([5, 2]), variant="paper").stream("balanced").corrector
    assert corrector is not None
    logits, labels = torch.full((3, 2), -2.0), torch.zeros(3, 2)
    labels[0, 0] = 1
    loss, found = corrector(logits, labels)
    assert not found.any()
    elements = corrector.factors.elements(
        logits, labels > 0, corrector.factors.of_classes(torch.tensor([5, 2]), torch.float32)
    )
    torch.testing.assert_close(loss, 3 * elements.sum())


def test_classifier_and_moving_vector(shared: Path) -> None:
    literal = ("z_hat_head_literal_e", "z_hat_tail_literal_e")
    with arrays(shared, "paper_formulas", EQ9_10, but=literal) as v:
        f = tensor(v["f"])
        module = module_of(np.full(len(v["w"]), 3), variant="paper", feature_dim=f.shape[1], heads=2).double()
        for name in ("head", "tail"):
            model = module.stream(name)
            with torch.no_grad():
                model.classifier.weight.copy_(tensor(v["w"]))
            model.moving.value.copy_(tensor(v["e"]))
            plain = model.classifier(f)
            close(plain, v["z"], **EXACT)
            close(model.moved(f, plain), v[f"z_hat_{name}"], **EXACT)


def test_balancer_and_its_relative(shared: Path) -> None:
    with arrays(shared, "paper_formulas", EQ11) as v:
        logits = [tensor(v[name]) for name in ("z_head", "z_tail", "z_bal")]
        labels = tensor(v["labels"])
        for mode, name in (("product", "loss_product_as_logit"), ("soft-ce", "loss_soft_ce")):
            balancer = module_of(v["distribution"], variant="paper", htb_mode=mode).balancer
            assert balancer is not None
            close(balancer(*logits, labels), v[name], **EXACT)
            share = balancer.head_share(*logits[:2], labels)
            close(share, v["kappa_h"], **EXACT)
            close(1 - share, v["kappa_t"], **EXACT)
