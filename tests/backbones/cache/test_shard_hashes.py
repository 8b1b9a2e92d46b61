"""Shards are read for their hash once for all processes, and again when they change."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import numpy as np
import pytest

from ltbench.backbones import encode
from ltbench.backbones.cache import FeatureCache
from ltbench.backbones.clip_backbone import ClipBackbone
from ltbench.data import known_hashes
from ltbench.data.base import ArrayImages

from ..conftest import Lines
from .cache_toys import IDS, N, shards


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the shards that are read for their hash."""
    names: list[str] = []
    true = hashlib.file_digest

    def counted(file: object, kind: str) -> object:
        names.append(Path(file.name).name)  # type: ignore[attr-defined]
        return true(file, kind)  # type: ignore[arg-type]

    monkeypatch.setattr(known_hashes.hashlib, "file_digest", counted)
    monkeypatch.setattr(known_hashes, "_folders", {})
    return names


@pytest.fixture
def encoded(
    cache: FeatureCache, images: ArrayImages, resnet: ClipBackbone, monkeypatch: pytest.MonkeyPatch
) -> list[Path]:
    """Three shards of a minute ago."""
    monkeypatch.setattr(encode, "_SHARD_ROWS", 4)
    cache.features(resnet, images, IDS, kind="region", batch_size=4)
    found = shards(cache)
    for path in found:
        os.utime(path, (time.time() - 60,) * 2)
    assert len(found) == 3
    return found


def _another_process(
    cache: FeatureCache, images: ArrayImages, resnet: ClipBackbone, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> Lines:
    """Read all rows, knowing only what lies on disk."""
    monkeypatch.setattr(known_hashes, "_folders", {})
    read.clear()
    lines = Lines()
    cache.features(resnet, images, IDS, kind="region", batch_size=4, reporter=lines)
    return lines


def test_large_shards_are_read_for_their_hash_by_one_process(
    cache: FeatureCache,
    images: ArrayImages,
    resnet: ClipBackbone,
    encoded: list[Path],
    read: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(known_hashes, "WORTH_BYTES", sum(path.stat().st_size for path in encoded))
    names = sorted(path.name for path in encoded)
    assert _another_process(cache, images, resnet, read, monkeypatch).done == 0
    assert sorted(read) == names
    assert _another_process(cache, images, resnet, read, monkeypatch).done == 0
    assert read == []


def test_small_shards_are_compared_in_each_process(
    cache: FeatureCache,
    images: ArrayImages,
    resnet: ClipBackbone,
    encoded: list[Path],
    read: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for _ in range(2):
        _another_process(cache, images, resnet, read, monkeypatch)
        assert len(read) == 3
    assert not list(cache.root.rglob("hashes"))


def test_a_remembered_shard_that_changed_is_found_and_encoded_again(
    cache: FeatureCache,
    images: ArrayImages,
    resnet: ClipBackbone,
    encoded: list[Path],
    read: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(known_hashes, "WORTH_BYTES", 1)
    _another_process(cache, images, resnet, read, monkeypatch)
    before = {path.name: np.load(path) for path in encoded}
    data = bytearray(encoded[1].read_bytes())
    data[-1] ^= 1
    # The same size: the time stamp alone tells.
    encoded[1].write_bytes(data)
    lines = _another_process(cache, images, resnet, read, monkeypatch)
    assert set(read) == {encoded[1].name}
    assert lines.lines[0] == f"feature cache: {encoded[1].stem} is damaged; its rows are encoded again"
    assert lines.done == len(before[encoded[1].name]) < N
    quiet = _another_process(cache, images, resnet, read, monkeypatch)
    assert (quiet.done, quiet.lines) == (0, [])
    for path in encoded:
        np.testing.assert_allclose(np.load(path), before[path.name], atol=1e-5, rtol=1e-5)
