"""How many photographs a second ``lite0-minilm`` encodes on two cores, decoding included.

Skipped in normal runs. To measure, with ``pip install 'ltbench[photos]'``, on a machine that does nothing else:

    OMP_NUM_THREADS=2 pytest -o addopts= tests/benchmarks/test_photos.py --benchmark-only -s

It takes the way of a run: the feature cache, which decodes the next batch while one is encoded.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from ltbench.backbones.cache import FeatureCache
from ltbench.backbones.registry import open_backbone
from ltbench.data.base import FileImages
from tests.plugins.photos.photo_needs import need_weights

TARGET = 25
"""Photographs a second on two quiet cores."""

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["global", "region"])
def test_photographs_a_second(benchmark: Any, shared: Path, tmp_path: Path, kind: Any) -> None:
    """200 photographs of VOC2007, about 500 x 375 pixels each. The target counts where the load is under one."""
    need_weights()
    files = sorted((shared / "data/voc2007-mini/VOCdevkit/VOC2007/JPEGImages").glob("*.jpg"))
    backbone = open_backbone("lite0-minilm", offline=True)
    images, ids = FileImages(files), [path.stem for path in files]
    load, before = os.getloadavg()[0], os.times()
    began = time.perf_counter()
    once = lambda: FeatureCache(tmp_path).features(backbone, images, ids, kind=kind)  # noqa: E731
    found = benchmark.pedantic(once, rounds=1)
    seconds, after = time.perf_counter() - began, os.times()
    assert found.global_.shape == (len(files), 1, 384)
    spent = after.user + after.system - before.user - before.system
    print(
        f"\n{kind}: {len(files) / seconds:.1f} photographs/s by the clock at load {load:.1f};"
        f" {1000 * spent / len(files):.0f} ms of processor time each, {2 * len(files) / spent:.1f}/s from two cores"
    )
    if load >= 1:
        pytest.skip(f"the target of {TARGET}/s is for a quiet machine; the load was {load:.1f}")
    assert len(files) / seconds >= TARGET
