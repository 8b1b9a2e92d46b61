"""The feature cache: what is stored under which key, and that each image is encoded once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ltbench.backbones.cache import FeatureCache, flip, identity, seeded_view
from ltbench.backbones.clip_backbone import ClipBackbone
from ltbench.backbones.views import RandomResizedCrop
from ltbench.data.base import ArrayImages, ImageRows

from ..conftest import SIDE, Lines, as_backbone, small_resnet, small_vit
from .cache_toys import IDS, N


def direct(
    backbone: ClipBackbone, images: ArrayImages, row: int, mirror: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    image = images.load(row)
    image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirror else image
    with torch.no_grad():
        pooled, regions = backbone.encode_regions(backbone.preprocess(image)[None])
    return pooled[0].numpy(), regions[0].numpy()


def test_rows_are_what_the_tower_gives(
    cache: FeatureCache, images: ArrayImages, resnet: ClipBackbone, lines: Lines
) -> None:
    views = [identity(), flip()]
    features = cache.features(resnet, images, IDS, kind="region", views=views, batch_size=4, reporter=lines)
    assert features.regions is not None
    assert features.global_.shape == (N, 2, 24)
    assert features.regions.shape == (N, 2, 4, 24)
    assert lines.done == 2 * N
    for row in (0, 7):
        for v, mirror in enumerate((False, True)):
            pooled, regions = direct(resnet, images, row, mirror)
            np.testing.assert_allclose(features.global_[row][v], pooled, atol=1e-5, rtol=1e-5)
            np.testing.assert_allclose(features.regions[row, v], regions, atol=1e-5, rtol=1e-5)
    everything = np.asarray(features.regions)
    assert np.unique(everything.round(3).reshape(-1, 24), axis=0).shape[0] == N * 2 * 4
    rows, picks = np.array([3, 0, 3]), np.array([1, 0, 0])
    np.testing.assert_array_equal(features.regions[rows], everything[rows])
    np.testing.assert_array_equal(features.regions[rows, picks], everything[rows, picks])
    np.testing.assert_array_equal(features.regions[2:5], everything[2:5])
    assert features.global_[rows].flags.writeable


def test_each_image_is_encoded_once(
    cache: FeatureCache, images: ArrayImages, resnet: ClipBackbone, lines: Lines, tmp_path: Path
) -> None:
    first = cache.features(resnet, images, IDS, batch_size=4, reporter=lines)
    assert lines.done == N
    assert any("11 of 11 rows to encode with small" in line for line in lines.lines)
    # Other names, another order, some images twice: still nothing to encode.
    rows = [5, 2, 5, 10]
    again = cache.features(resnet, ImageRows(images, rows), ["a", "b", "c", "d"], reporter=lines)
    assert lines.done == N
    assert len(lines.lines) == 1
    np.testing.assert_array_equal(again.global_[:], np.asarray(first.global_)[rows])
    # A further view costs its own rows only; a seeded view of an image does not depend on its neighbours.
    crop = RandomResizedCrop(SIDE)
    view = seeded_view(crop.name, 0, crop)
    one = cache.features(resnet, ImageRows(images, [3]), ["x"], views=[identity(), view], reporter=lines)
    assert lines.done == N + 1
    other = FeatureCache(tmp_path / "elsewhere").features(resnet, images, IDS, views=[view], batch_size=1)
    np.testing.assert_allclose(one.global_[0, 1], other.global_[3, 0], atol=1e-5, rtol=1e-5)
    assert np.abs(one.global_[0, 1] - one.global_[0, 0]).max() > 0.1


def test_what_the_key_depends_on(cache: FeatureCache, images: ArrayImages, resnet: ClipBackbone) -> None:
    def rows(backbone: ClipBackbone) -> int:
        lines = Lines()
        cache.features(backbone, images, IDS, reporter=lines)
        return lines.done

    assert rows(resnet) == N
    assert rows(resnet) == 0
    assert rows(as_backbone(small_resnet(), name="other-name")) == N  # another folder for people to tell apart
    assert rows(as_backbone(small_resnet(), side=2 * SIDE)) == N
    assert rows(as_backbone(small_resnet(), dtype="bfloat16")) == N
    assert rows(as_backbone(small_vit())) == N
    newer = as_backbone(small_resnet())
    newer.card = newer.card.model_copy(update={"revision": "later"})
    assert rows(newer) == N


def test_features_come_from_the_cache_only(cache: FeatureCache, images: ArrayImages, resnet: ClipBackbone) -> None:
    one = cache.features(resnet, ImageRows(images, [4]), ["x"], batch_size=1)
    all_of_them = cache.features(resnet, images, IDS, batch_size=N)
    np.testing.assert_array_equal(one.global_[0], all_of_them.global_[4])
