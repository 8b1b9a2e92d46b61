"""Aggregation over places: the reference's numbers, and what the three rules mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ltbench.nn import RegionAggregation
from tests.conftest import SHARED

GOLDEN = SHARED / "golden" / "limited-labels" / "dualcoop_region_aggregation.npz"


def random_inputs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    regions = torch.randn(3, 7, 5, generator=generator, dtype=torch.float64)
    return regions, torch.randn(2, 4, 5, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("case", ["s0", "s2"])
def test_equals_the_reference(case: str) -> None:
    if not GOLDEN.is_file():
        pytest.skip("golden vectors not found (../shared/golden/limited-labels)")
    arrays = {name: torch.from_numpy(array) for name, array in np.load(GOLDEN).items() if name.startswith(case)}
    regions = arrays[f"{case}__image_features"].transpose(1, 2).contiguous().requires_grad_()
    texts = arrays[f"{case}__text_features"].clone().requires_grad_()
    logits = 100 * RegionAggregation("softmax", 20.0)(regions, texts.reshape(2, -1, texts.shape[1]))
    torch.testing.assert_close(logits, arrays[f"{case}__logits"], atol=1e-11, rtol=1e-11)
    (logits * arrays[f"{case}__cotangent"]).sum().backward()
    torch.testing.assert_close(regions.grad.transpose(1, 2), arrays[f"{case}__grad_image"], atol=1e-10, rtol=1e-9)
    torch.testing.assert_close(texts.grad, arrays[f"{case}__grad_text"], atol=1e-10, rtol=1e-9)


def test_max_takes_both_from_the_place_where_the_guide_is_largest() -> None:
    regions, classes = random_inputs()
    cosines = torch.nn.functional.cosine_similarity(regions[:, :, None, None], classes[None, None], dim=-1)
    found = RegionAggregation("max")(regions, classes)
    best = cosines[:, :, 1].argmax(dim=1)
    for row in range(3):
        for c in range(4):
            torch.testing.assert_close(found[row, :, c], cosines[row, best[row, c], :, c])
    other = RegionAggregation("max")(regions, classes, guide=0)
    torch.testing.assert_close(other[:, 0], cosines[:, :, 0].amax(dim=1))


def test_average_is_the_limit_of_no_sharpness_and_max_of_all() -> None:
    regions, classes = random_inputs()
    average = RegionAggregation("average")(regions, classes)
    torch.testing.assert_close(RegionAggregation("softmax", 1e-9)(regions, classes), average, atol=1e-8, rtol=0)
    most = RegionAggregation("max")(regions, classes)
    torch.testing.assert_close(RegionAggregation("softmax", 1e6)(regions, classes), most, atol=1e-8, rtol=0)
    assert not torch.allclose(average, most, atol=1e-2)


@pytest.mark.parametrize("rule", ["softmax", "average", "max"])
def test_weights_sum_to_one_and_scale_of_features_does_not_matter(rule: str) -> None:
    regions, classes = random_inputs()
    pool = RegionAggregation(rule)
    weights = pool.weights(torch.randn(3, 7, 4, dtype=torch.float64))
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(3, 4, dtype=torch.float64))
    torch.testing.assert_close(pool(3 * regions, 0.1 * classes), pool(regions, classes))


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValueError, match="rule: expected softmax, average or max"):
        RegionAggregation("mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sharpness must be positive"):
        RegionAggregation(sharpness=0.0)
