"""The feature cache when something goes wrong: damage, full disks, corrupt images, too little room."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ltbench.backbones import encode
from ltbench.backbones import shards as shard_module
from ltbench.backbones.cache import FeatureCache, human, limit_bytes
from ltbench.backbones.clip_backbone import ClipBackbone
from ltbench.data.base import ArrayImages, FileImages, ImageRows
from ltbench.plugin.errors import UserError

from ..conftest import Lines, as_backbone, noise_image, small_resnet
from .cache_toys import IDS, N, shards


def test_a_damaged_shard_is_encoded_again(
    cache: FeatureCache, images: ArrayImages, resnet: ClipBackbone, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode, "_SHARD_ROWS", 4)
    before = np.asarray(cache.features(resnet, images, IDS, batch_size=4).global_)
    assert len(shards(cache)) == 3
    bitten, cut, gone = shards(cache)
    data = bytearray(bitten.read_bytes())
    data[-1] ^= 1
    bitten.write_bytes(data)
    cut.write_bytes(cut.read_bytes()[:-4])
    gone.unlink()
    after = cache.features(resnet, images, IDS, batch_size=4, reporter=lines)
    assert lines.done == N
    assert sum("is damaged" in line for line in lines.lines) == 3
    np.testing.assert_allclose(np.asarray(after.global_), before, atol=1e-5, rtol=1e-5)
    quiet = Lines()
    cache.features(resnet, images, IDS, reporter=quiet)
    assert (quiet.done, quiet.lines) == (0, [])


def test_a_cache_of_another_schema_is_made_anew(
    cache: FeatureCache, images: ArrayImages, resnet: ClipBackbone, lines: Lines
) -> None:
    cache.features(resnet, images, IDS)
    (identity_file,) = cache.root.rglob("encoder.json")
    for content in (json.dumps({**json.loads(identity_file.read_text()), "schema": 0}), "{broken"):
        identity_file.write_text(content)
        lines.done, lines.lines = 0, []
        cache.features(resnet, images, IDS, reporter=lines)
        assert lines.done == N
        assert "encoded again" in lines.lines[0]
        assert ("schema 0" in lines.lines[0]) == ("schema" in content)
    assert len(shards(cache)) == 1


def test_a_corrupt_image_is_named_and_finished_rows_stay(
    cache: FeatureCache, resnet: ClipBackbone, lines: Lines, tmp_path: Path
) -> None:
    paths = [tmp_path / f"p{k}.png" for k in range(6)]
    for k, path in enumerate(paths):
        noise_image(k).save(path)
    whole = paths[4].read_bytes()
    paths[4].write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"p4\.png cannot be decoded"):
        cache.features(resnet, FileImages(paths), [p.name for p in paths], batch_size=2, reporter=lines)
    assert lines.done == 4
    paths[4].write_bytes(whole)
    cache.features(resnet, FileImages(paths), [p.name for p in paths], batch_size=2, reporter=lines)
    assert lines.done == 6


def test_a_full_disk_harms_nothing_that_is_there(
    cache: FeatureCache, images: ArrayImages, resnet: ClipBackbone, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode, "_SHARD_ROWS", 4)
    whole = shard_module.write_atomic

    def full(path: Path, content: bytes | str) -> None:
        if path.suffix == ".npy" and len(shards(cache)) == 1:
            raise UserError("the disk is full")
        whole(path, content)

    monkeypatch.setattr(shard_module, "write_atomic", full)
    with pytest.raises(UserError, match="the disk is full"):
        cache.features(resnet, images, IDS, batch_size=4)
    assert len(shards(cache)) == 1
    monkeypatch.setattr(shard_module, "write_atomic", whole)
    cache.features(resnet, images, IDS, batch_size=4, reporter=lines)
    assert lines.done == N - 4


def test_errors_of_other_image_sources_are_named(
    cache: FeatureCache, images: ArrayImages, resnet: ClipBackbone
) -> None:
    class Broken(ImageRows):
        def load(self, row: int) -> Image.Image:
            if row == 2:
                raise OSError("bad sector")
            return super().load(row)

    with pytest.raises(UserError, match=r"image img2 cannot be decoded \(bad sector\)"):
        cache.features(resnet, Broken(images, range(N)), IDS)


def test_the_disk_need_is_capped_before_encoding(
    cache: FeatureCache, images: ArrayImages, resnet: ClipBackbone, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"11 rows need 6\.\d KiB on disk, the limit is 1\.0 KiB") as caught:
        cache.features(resnet, images, IDS, kind="region", max_bytes=1024, reporter=lines)
    assert "LTBENCH_CACHE_LIMIT=7K" in caught.value.hint
    assert shards(cache) == []
    assert lines.done == 0
    monkeypatch.setenv("LTBENCH_CACHE_LIMIT", "1K")
    with pytest.raises(UserError, match=r"the limit is 1\.0 KiB"):
        cache.features(resnet, images, IDS, kind="region")
    monkeypatch.setenv("LTBENCH_CACHE_LIMIT", "7K")
    usage = shutil.disk_usage(cache.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(UserError, match="1000 B are free"):
        cache.features(resnet, images, IDS, kind="region")
    assert shards(cache) == []


def test_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [human(n) for n in (5, 2048, 3 * 2**20, 2**41)] == ["5 B", "2.0 KiB", "3.0 MiB", "2.0 TiB"]
    for text, size in {"": 50 * 2**30, "20G": 20 * 2**30, "1.5 MiB": 1572864, "77": 77, "2kb": 2048}.items():
        monkeypatch.setenv("LTBENCH_CACHE_LIMIT", text)
        assert limit_bytes() == size
    monkeypatch.setenv("LTBENCH_CACHE_LIMIT", "much")
    with pytest.raises(UserError, match="is no size"):
        limit_bytes()


def test_features_that_are_not_finite_are_named(cache: FeatureCache, images: ArrayImages) -> None:
    backbone = as_backbone(small_resnet())
    plain = backbone.encode_global

    def broken(batch: torch.Tensor) -> torch.Tensor:
        features = plain(batch)
        features[1] = float("nan")
        return features

    backbone.encode_global = broken  # type: ignore[method-assign]
    with pytest.raises(UserError, match="gives features of img1 that are not finite"):
        cache.features(backbone, images, IDS, batch_size=4)
    assert shards(cache) == []


def test_wrong_uses(cache: FeatureCache, images: ArrayImages, resnet: ClipBackbone) -> None:
    with pytest.raises(ValueError, match="2 ids for 11 images"):
        cache.features(resnet, images, ["a", "b"])
    features = cache.features(resnet, images, IDS)
    with pytest.raises(IndexError, match="index rows"):
        features.global_[0, 0, 0]
    none = cache.features(resnet, ImageRows(images, []), [])
    assert none.global_.shape == (0, 1, 24)
    assert np.asarray(none.global_).shape == (0, 1, 24)
