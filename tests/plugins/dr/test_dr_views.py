"""Random views and the neck of the DB and DR releases."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from ltbench.nn import BatchNormNeck, ColourDistortion, DistortedCrop, FixedViews, canvas_for
from ltbench.nn.augment import saturated, turned


def pixels(height: int = 9, width: int = 13) -> Any:
    """RGB float32 [3, H, W] with grey, black and saturated pixels among random ones."""
    values = np.random.default_rng(0).uniform(0, 255, (3, height, width)).astype(np.float32)
    values[:, 0, 0], values[:, 0, 1], values[:, 0, 2] = 0, 90, (255, 0, 0)
    values[:, 0, 3], values[:, 0, 4] = (0, 255, 255), (255, 255, 0)
    return values


def picture(width: int = 60, height: int = 40) -> Image.Image:
    rng = np.random.default_rng(1)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def by_hsv(values: Any, factor: float, degrees: float) -> Any:
    """The same by the standard library, pixel by pixel."""
    result = np.empty_like(values)
    for row, column in np.ndindex(values.shape[1:]):
        h, s, v = colorsys.rgb_to_hsv(*(values[:, row, column] / 255))
        result[:, row, column] = np.array(colorsys.hsv_to_rgb((h + degrees / 360) % 1, s * factor, v)) * 255
    return result


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.0])
def test_saturation_is_that_of_hsv(factor):
    np.testing.assert_allclose(saturated(pixels(), factor), by_hsv(pixels(), factor, 0), atol=1e-3)


@pytest.mark.parametrize("degrees", [-18.0, -3.5, 0.0, 11.0, 18.0])
def test_hue_is_that_of_hsv(degrees):
    np.testing.assert_allclose(turned(pixels(), degrees), by_hsv(pixels(), 1, degrees), atol=1e-3)


class Always:
    """A generator for which everything happens, and numbers are the highest of their range."""

    def __init__(self, contrast_first: int) -> None:
        self.contrast_first = contrast_first

    def random(self) -> float:
        return 0.0

    def integers(self, high: int) -> int:
        return self.contrast_first

    def uniform(self, low: float, high: float) -> float:
        return high

    def permutation(self, count: int) -> Any:
        return np.array([2, 0, 1])


@pytest.mark.parametrize("contrast_first", [0, 1])
def test_order_of_the_five_distortions(contrast_first):
    rng: Any = Always(contrast_first)
    found = ColourDistortion()(pixels(), rng)
    expected = pixels() + 32
    if contrast_first:
        expected = expected * 1.5
    expected = turned(saturated(expected, 1.5), 18)
    if not contrast_first:
        expected = expected * 1.5
    np.testing.assert_allclose(found, expected[[2, 0, 1]], rtol=1e-6)
    # Nothing is clipped on the way.
    assert found.max() > 255


def test_each_distortion_happens_half_of_the_time():
    counts = {"brightness": 0, "permuted": 0, "unchanged": 0}
    image = np.full((3, 1, 1), 100, dtype=np.float32) + np.array([0, 20, 40], dtype=np.float32)[:, None, None]
    rng = np.random.default_rng(3)
    only = ColourDistortion(contrast=(1, 1), saturation=(1, 1), hue=0)
    for _ in range(2000):
        found = only(image, rng).ravel()
        counts["brightness"] += abs(found.mean() - 120) > 1e-3
        counts["permuted"] += not (np.diff(found) > 0).all()
        counts["unchanged"] += np.allclose(found, image.ravel(), atol=1e-4)
    assert abs(counts["brightness"] / 2000 - 0.5) < 0.05
    # A permutation of three is the identity once in six.
    assert abs(counts["permuted"] / 2000 - 0.5 * 5 / 6) < 0.05
    assert abs(counts["unchanged"] / 2000 - 0.5 * (0.5 + 0.5 / 6)) < 0.05


def test_crops_keep_four_fifths_of_each_side_and_lie_inside():
    view = DistortedCrop(32)
    rng = np.random.default_rng(0)
    boxes = [view.box(500, 375, rng) for _ in range(500)]
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= 500
        assert 0 <= top < bottom <= 375
        assert right - left >= 399
        assert bottom - top >= 299
        assert 0.5 <= (bottom - top) / (right - left) <= 2
    assert max(right - left for left, _, right, _ in boxes) > 490
    assert max(left for left, *_ in boxes) > 60
    assert min(left for left, *_ in boxes) <= 3
    # One side three times the other: no crop has an allowed shape.
    assert view.box(900, 300, rng) == (0, 0, 900, 300)


def test_a_view_without_chance_is_the_resized_image():
    plain = DistortedCrop(24, share=1.0, distortion=None, flip=0.0)
    found = plain(picture(), np.random.default_rng(0))
    expected = picture().resize((24, 24), Image.Resampling.BILINEAR)
    assert found.size == (24, 24)
    assert np.abs(np.asarray(found, dtype=int) - np.asarray(expected, dtype=int)).max() <= 1
    mirrored = DistortedCrop(24, share=1.0, distortion=None, flip=1.0)(picture(), np.random.default_rng(0))
    np.testing.assert_array_equal(np.asarray(mirrored), np.asarray(found)[:, ::-1])


def test_views_follow_from_the_generator_and_differ():
    view = DistortedCrop(24)
    first, again, other = (np.asarray(view(picture(), np.random.default_rng(seed))) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert view == DistortedCrop(24)
    assert hash(view) == hash(DistortedCrop(24))
    assert view.name != DistortedCrop(24, share=0.7).name


def test_fixed_views_are_k_in_number_and_belong_to_their_image():
    view = FixedViews(DistortedCrop(16), 3)
    rng = np.random.default_rng(0)
    seen = {view(picture(), rng).tobytes() for _ in range(40)}
    assert len(seen) == 3
    assert {view(picture(), np.random.default_rng(9)).tobytes() for _ in range(40)} <= seen
    other = {view(picture(50, 50), rng).tobytes() for _ in range(40)}
    assert len(other) == 3
    assert not other & seen


@pytest.mark.parametrize(("size", "enlarged"), [(64, 64), (64, 73), (224, 256), (224, 248)])
def test_preprocessing_takes_the_canvas_to_exactly_the_view(size, enlarged):
    preprocess = transforms.Compose(
        [
            transforms.Resize(enlarged),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.25)),
        ]
    )
    assert canvas_for(preprocess, size) == enlarged
    view = DistortedCrop(size, canvas=enlarged)(picture(), np.random.default_rng(2))
    plain = DistortedCrop(size)(picture(), np.random.default_rng(2))
    assert view.size == (enlarged, enlarged)
    torch.testing.assert_close(preprocess(view), preprocess.transforms[3](preprocess.transforms[2](plain)))


def test_neck_starts_as_the_release_does_and_has_no_nonlinearity():
    torch.manual_seed(0)
    neck = BatchNormNeck(512, 256)
    assert float(neck.linear.weight.detach().std()) == pytest.approx((2 / 256) ** 0.5, rel=0.01)
    assert not neck.linear.bias.any()
    features = torch.randn(64, 512)
    neck.dropout.p = 0.0
    normal = neck.train()(features)
    torch.testing.assert_close(normal.mean(dim=0), torch.zeros(256), atol=1e-5, rtol=0)
    torch.testing.assert_close(normal.var(dim=0, unbiased=False), torch.ones(256), atol=1e-3, rtol=0)
    assert (normal < 0).any()
    evaluated = neck.eval()(features)
    assert not torch.allclose(evaluated, normal)
    dropped = BatchNormNeck(512, 256, dropout=0.5).train()(features)
    assert abs(float((dropped == 0).float().mean()) - 0.5) < 0.02


def test_neck_takes_a_batch_of_one_row():
    neck = BatchNormNeck(4, 3, dropout=0.0).train()
    neck.norm.running_mean.fill_(0.5)
    before = neck.norm.running_mean.clone()
    row = torch.randn(1, 4)
    found = neck(row)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found, (neck.linear(row) - 0.5) / (1 + neck.norm.eps) ** 0.5)
    assert torch.equal(neck.norm.running_mean, before)
