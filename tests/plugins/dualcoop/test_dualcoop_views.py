"""Training views: a painted patch and two random operations, as the release's packages draw them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ltbench_dualcoop.augment import LEVELS, OPERATIONS, CutoutRandAugment, paint_patch, random_operations


@pytest.fixture
def image() -> Image.Image:
    ramp = np.linspace(20, 220, 48).astype(np.uint8)
    pixels = np.stack([np.tile(ramp, (32, 1)), np.tile(ramp[:32, None], (1, 48)), np.full((32, 48), 90, np.uint8)], -1)
    return Image.fromarray(pixels)


def apply(name: str, image: Image.Image, level: int, sign: int = 1) -> np.ndarray:
    magnitudes, operation = OPERATIONS[name]
    return np.asarray(operation(image, float(magnitudes[level]), sign, np.random.default_rng(0))).astype(int)


def test_fifteen_operations_of_nine_magnitudes() -> None:
    assert len(OPERATIONS) == 15
    assert LEVELS == 9
    assert all(len(magnitudes) == 10 for magnitudes, _ in OPERATIONS.values())
    strongest = {name: float(magnitudes[9]) for name, (magnitudes, _) in OPERATIONS.items()}
    assert strongest["rotate"] == 30
    assert strongest["shear-x"] == strongest["shear-y"] == pytest.approx(0.3)
    assert strongest["translate-x"] == strongest["translate-y"] == pytest.approx(150 / 331)
    assert (strongest["posterize"], strongest["solarize"], strongest["cutout"]) == (4, 0, 20)
    assert {strongest[name] for name in ("color", "contrast", "sharpness", "brightness")} == {0.9}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_changes_the_image_and_keeps_its_size(name: str, image: Image.Image) -> None:
    changed = apply(name, image, 9)
    assert changed.shape == (32, 48, 3)
    if name not in ("sharpness",):  # a ramp has no edge to sharpen inside
        assert (changed != np.asarray(image)).any()


def test_what_some_operations_do(image: Image.Image) -> None:
    before = np.asarray(image).astype(int)
    assert np.array_equal(apply("invert", image, 1), 255 - before)
    assert np.array_equal(apply("solarize", image, 9), 255 - before)
    assert np.array_equal(apply("posterize", image, 9), before // 16 * 16)
    np.testing.assert_allclose(apply("brightness", image, 9, -1), before * 0.1, atol=1)
    shift = round(150 / 331 * 48)
    moved = apply("translate-x", image, 9)
    assert np.array_equal(moved[:, : 48 - shift - 1], before[:, shift : shift + 48 - shift - 1])
    assert (moved[:, -1] == 128).all()
    assert (apply("rotate", image, 9, 1) == apply("rotate", image, 9, -1)).all()
    assert (apply("translate-x", image, 9, 1) != apply("translate-x", image, 9, -1)).any()
    patch = (apply("cutout", image, 1) != before).any(axis=-1)
    assert patch.sum() <= 2 * 2
    assert (apply("cutout", image, 1)[patch] == (125, 122, 113)).all()


def test_operations_are_drawn_evenly_and_happen_half_of_the_time(
    image: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, float]] = []
    for name, (magnitudes, _) in list(OPERATIONS.items()):

        def record(
            picture: Image.Image, m: float, sign: int, rng: np.random.Generator, name: str = name
        ) -> Image.Image:
            calls.append((name, m))
            return picture

        monkeypatch.setitem(OPERATIONS, name, (np.arange(len(magnitudes), dtype=float), record))
    rng = np.random.default_rng(0)
    rounds = 6000
    for _ in range(rounds):
        random_operations(image, rng)
    # Two an image, each with probability one half: binomial, five standard deviations.
    assert abs(len(calls) - rounds) < 5 * (rounds / 2) ** 0.5
    for counts, kinds in (
        ([sum(name == wanted for name, _ in calls) for wanted in OPERATIONS], 15),
        ([sum(level == wanted for _, level in calls) for wanted in range(1, 10)], 9),
    ):
        expected = len(calls) / kinds
        assert max(abs(count - expected) for count in counts) < 5 * expected**0.5
    assert {level for _, level in calls} == set(map(float, range(1, 10)))


def test_a_view_is_a_square_with_a_patch_and_follows_from_the_generator(image: Image.Image) -> None:
    view = CutoutRandAugment(24)
    assert [view(image, np.random.default_rng(s)).size for s in range(3)] == [(24, 24)] * 3
    assert CutoutRandAugment(None)(image, np.random.default_rng(0)).size == (48, 32)
    one, same, other = (np.asarray(view(image, np.random.default_rng(seed))) for seed in (3, 3, 4))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert "24" in view.name
    assert view.name != CutoutRandAugment(24, 0.25).name


def test_the_patch_covers_half_of_each_side_where_it_fits(image: Image.Image) -> None:
    square = image.resize((32, 32))
    painted = np.asarray(paint_patch(square, 0.5, 16, 16, (1, 2, 3)))
    covered = (painted == (1, 2, 3)).all(axis=-1)
    # The last pixel of a rectangle is painted, too.
    assert covered.sum() == 17 * 17
    assert covered[8:25, 8:25].all()
    corner = np.asarray(paint_patch(square, 0.5, 0, 0, (1, 2, 3)))
    assert (corner == (1, 2, 3)).all(axis=-1).sum() == 9 * 9
