"""Element-wise families against the published implementations' values, gradients and elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from ltbench.losses import (
    BCELoss,
    ClassBalancedLoss,
    DistributionBalancedLoss,
    FocalLoss,
    NegativeTolerantRegularization,
    RebalancedBCELoss,
    ReweightedBCELoss,
    rebalanced_weights,
)


def ntr(c: Any, **options: Any) -> NegativeTolerantRegularization:
    return NegativeTolerantRegularization(c.counts, c.num_images, neg_scale=c.neg_scale, **options)


def rebalanced(c: Any, r: Any, **options: Any) -> RebalancedBCELoss:
    return RebalancedBCELoss(c.counts, theta=c.theta, reduction=r, **options)


def db(c: Any, r: Any, **options: Any) -> DistributionBalancedLoss:
    return DistributionBalancedLoss(
        c.counts, c.num_images, theta=c.theta, neg_scale=c.neg_scale, reduction=r, **options
    )


MAKERS: dict[str, Callable[[Any, Any], torch.nn.Module]] = {
    "db_bce": lambda c, r: BCELoss(reduction=r),
    "lmpt_bce": lambda c, r: BCELoss(reduction=r),
    "lmpt_mls": lambda c, r: BCELoss(reduction=r),
    "lmpt_bl_BCE_Nimages": lambda c, r: BCELoss(reduction=r),
    "db_rw_inv": lambda c, r: ReweightedBCELoss(c.counts, c.num_images, mode="inverse", reduction=r),
    "db_rw_sqrt_inv": lambda c, r: ReweightedBCELoss(c.counts, c.num_images, mode="inverse-sqrt", reduction=r),
    "db_focal_class_bp0.25": lambda c, r: FocalLoss(reduction=r),
    "db_focal_class_bp2.0": lambda c, r: FocalLoss(factor=2.0, reduction=r),
    "db_resample_focal_only": lambda c, r: FocalLoss(factor=2.0, reduction=r),
    "lmpt_bl_FL_Nimages": lambda c, r: FocalLoss(factor=0.5, reduction=r),
    "lmpt_bl_NTR-Focal_Nimages": lambda c, r: FocalLoss(factor=0.5, ntr=ntr(c, weight_negatives=False), reduction=r),
    "lmpt_bl_CBloss_Nimages": lambda c, r: ClassBalancedLoss(c.counts, factor=5.0, reduction=r),
    "lmpt_bl_CBloss-ntr_Nimages": lambda c, r: ClassBalancedLoss(c.counts, factor=5.0, ntr=ntr(c), reduction=r),
    "db_rbce": lambda c, r: rebalanced(c, r),
    "db_rbce_focal": lambda c, r: rebalanced(c, r, gamma=2.0),
    "lmpt_bl_R-BCE-Focal_Nimages": lambda c, r: rebalanced(c, r, gamma=2.0, focal_factor=0.5),
    "db_db_nofocal": lambda c, r: db(c, r, variant="code", gamma=None),
    "db_db_focal": lambda c, r: db(c, r, variant="code"),
    "db_db_focal_norm_by_instance": lambda c, r: db(c, r, variant="code", weight_norm="by_image"),
    "db_db_focal_norm_by_batch": lambda c, r: db(c, r, variant="code", weight_norm="by_batch"),
    "lmpt_dbl_nofocal": lambda c, r: db(c, r, variant="lmpt-code", gamma=None),
    "lmpt_dbl_focal": lambda c, r: db(c, r, variant="lmpt-code"),
    "lmpt_bl_DBloss_Nimages": lambda c, r: db(c, r, focal_factor=0.5),
    **{
        f"db_cb_{mode}_{name}": lambda c, r, mode=mode, gamma=gamma: ClassBalancedLoss(
            c.counts, mode=mode, gamma=gamma, reduction=r
        )
        for mode in ("by_class", "average_n", "average_w", "min_n")
        for name, gamma in (("focal", 2.0), ("nofocal", None))
    },
}


@pytest.mark.parametrize("key", MAKERS)
def test_meets_the_published_implementation(key: str, matches_reference: Any) -> None:
    matches_reference(key, MAKERS[key])


def test_lmpt_loss_table_halves_db_without_focal(matches_reference: Any) -> None:
    matches_reference("lmpt_bl_DBloss-noFocal_Nimages", lambda c, r: db(c, r, gamma=None), scale=0.5)


PAPER_DB = {
    "eccv_db": {"gamma": None},
    "eccv_db_focal_gamma2_factor2": {},
    "lmpt_eq8_10_gamma2": {"normalise": "all", "focal_factor": 1.0},
    "code_constants_kappa_over_lambda_gamma2_factor2": {"variant": "code"},
}


@pytest.mark.parametrize("key", PAPER_DB)
def test_db_meets_the_printed_formulas(key: str, golden: Any, case: Any, assert_matches: Any) -> None:
    arrays = golden("paper_db")
    elements = db(case, "none", **PAPER_DB[key])(case.logits(torch.float64), case.labels)
    assert_matches(elements, arrays[f"{case.name}__{key}__elementwise"], torch.float64)
    mean = db(case, "mean", **PAPER_DB[key])(case.logits(torch.float64), case.labels)
    assert_matches(mean, arrays[f"{case.name}__{key}__mean"], torch.float64)


def test_db_intermediates(golden: Any, case: Any, assert_matches: Any) -> None:
    arrays = golden("db_intermediates")
    bias = NegativeTolerantRegularization(case.counts, case.num_images, neg_scale=case.neg_scale, variant="code").bias(
        torch.float32
    )
    assert_matches(bias, arrays[f"{case.dataset}__init_bias"], torch.float32)
    key = f"{case.name}__rebalance_weight"
    if key in arrays:
        weights = rebalanced_weights(case.counts, case.labels.float(), alpha=0.1, beta=10.0, theta=case.theta)
        assert_matches(weights, arrays[key], torch.float32)


@pytest.mark.parametrize("key", ["NTR-Focal", "DBloss", "DBloss-noFocal", "CBloss-ntr"])
def test_batches_in_place_of_images_are_refused_where_the_release_has_no_number(key: str, golden: Any) -> None:
    # The release hands over the number of batches, 18 for VOC-LT, as N: the logarithm of a negative number.
    arrays = golden(f"lmpt_bl_{key}_Nbatches")
    losses = [value for name, value in arrays.items() if "__loss_" in name]
    assert losses
    assert all(np.isnan(value) for value in losses)
    with pytest.raises(ValueError, match="num_images is 18"):
        NegativeTolerantRegularization(torch.tensor([6, 34, 775]), 18)


def test_regularisation_alone_has_numbers_where_the_release_raises(golden: Any, case: Any) -> None:
    assert not golden("db_ntr_only")
    loss = FocalLoss(factor=2.0, ntr=ntr(case))(case.logits(torch.float64), case.labels)
    assert torch.isfinite(loss)
