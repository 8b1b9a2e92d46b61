"""The feature cache: what is encoded, what is found again, what happens when something breaks."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ltbench.backbones import encode
from ltbench.backbones import shards as shard_module
from ltbench.backbones.cache import FeatureCache, View, flip, human, identity, limit_bytes, seeded_view
from ltbench.backbones.clip_backbone import ClipBackbone
from ltbench.backbones.views import RandomResizedCrop
from ltbench.data.base import ArrayImages, FileImages, ImageRows
from ltbench.plugin.errors import UserError

from .conftest import SIDE, Lines, as_backbone, noise_image, small_resnet, small_vit

N = 11


@pytest.fixture
def images(tmp_path: Path) -> ArrayImages:
    path = tmp_path / "images.npy"
    np.save(path, np.stack([np.asarray(noise_image(k)) for k in range(N)]))
    return ArrayImages(path)


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "cache")


IDS = [f"img{k}" for k in range(N)]


def direct(
    backbone: ClipBackbone, images: ArrayImages, row: int, mirror: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    image = images.load(row)
    image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirror else image
    with torch.no_grad():
        pooled, regions = backbone.encode_regions(backbone.preprocess(image)[None])
    return pooled[0].numpy(), regions[0].numpy()


def shards(cache: FeatureCache) -> list[Path]:
    return sorted(cache.root.rglob("*.npy"))


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


def test_the_tower_is_left_as_it_was(cache: FeatureCache, images: ArrayImages) -> None:
    backbone = as_backbone(small_resnet())
    assert backbone.visual is not None
    backbone.visual.train()
    statistics = backbone.visual.bn1.running_mean.clone()
    cache.features(backbone, images, IDS)
    assert backbone.visual.training
    assert torch.equal(backbone.visual.bn1.running_mean, statistics)
    assert torch.is_grad_enabled()


def _work(root: str, path: str, slow: float, log: str) -> None:
    """One of several processes that want the same features; writes how many rows it encoded."""
    torch.set_num_threads(1)
    backbone = as_backbone(small_resnet())
    plain = backbone.preprocess

    def dawdle(image: Image.Image) -> torch.Tensor:
        time.sleep(slow)
        return plain(image)

    backbone.preprocess = dawdle  # type: ignore[method-assign]
    encode._SHARD_ROWS = 2
    lines = Lines()
    features = FeatureCache(Path(root)).features(
        backbone, ArrayImages(Path(path)), IDS, batch_size=2, reporter=lines, workers=1
    )
    Path(log).write_text(f"{lines.done} {float(np.asarray(features.global_).sum())!r}")


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_processes_share_and_survive_each_other(cache: FeatureCache, images: ArrayImages, tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["open_clip", "ltbench.backbones.cache", "ltbench.backbones.clip_backbone"])

    def start(slow: float, log: str) -> multiprocessing.process.BaseProcess:
        process = context.Process(target=_work, args=(str(cache.root), str(images.path), slow, str(tmp_path / log)))
        process.start()
        return process

    victim = start(0.3, "victim")
    deadline = time.monotonic() + 60
    # A shard counts once its index is written, after the data: with a second one begun, the first is whole.
    while len(shards(cache)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()
    assert not (tmp_path / "victim").exists()
    two = [start(0.0, "one"), start(0.0, "two")]
    for process in two:
        process.join(60)
        assert process.exitcode == 0
    counts, sums = zip(*((tmp_path / log).read_text().split() for log in ("one", "two")), strict=True)
    # The killed process left whole shards; the other two encode the rest once between them and read the same rows.
    assert sums[0] == sums[1]
    done = sum(int(count) for count in counts)
    assert 0 < done < N
    lines = Lines()
    cache.features(as_backbone(small_resnet()), images, IDS, reporter=lines)
    assert lines.done == 0


def test_views_are_functions_of_image_and_name() -> None:
    image = noise_image(0, 50)
    crop = RandomResizedCrop(32)
    view, other = seeded_view(crop.name, 0, crop), seeded_view(crop.name, 1, crop)
    sha, shb = "ab" * 32, "cd" * 32
    assert view.apply(image, sha).tobytes() == view.apply(image, sha).tobytes()
    assert view.apply(image, sha).tobytes() != view.apply(image, shb).tobytes()
    assert view.apply(image, sha).tobytes() != other.apply(image, sha).tobytes()
    assert seeded_view(crop.name, 0, crop, seed=1) != view
    assert RandomResizedCrop(32, area=(0.5, 1.0)).name != crop.name
    assert View("identity").apply(image, sha) is image
    left = flip().apply(image, sha)
    assert left.getpixel((0, 3)) == image.getpixel((49, 3))


def test_random_crops_stay_inside_and_in_range() -> None:
    crop = RandomResizedCrop(16, area=(0.2, 0.6), flip=0.0)
    rng = np.random.default_rng(0)
    boxes = np.array([crop._box(60, 40, rng) for _ in range(300)])
    left, top, width, height = boxes.T
    assert (left >= 0).all()
    assert (top >= 0).all()
    assert (left + width <= 60).all()
    assert (top + height <= 40).all()
    assert width.max() > 40 > 22 > width.min()
    area = width * height / 2400
    assert 0.18 < area.min() < 0.25
    assert 0.55 < area.max() < 0.62
    # Nothing fits in a ribbon: the largest centred crop within the range of aspects.
    assert crop._box(600, 3, rng) == (298, 0, 4, 3)
    assert crop(noise_image(0, 50), rng).size == (16, 16)
