"""The feature cache between processes, and the tower that it leaves as it was."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ltbench.backbones import encode
from ltbench.backbones.cache import FeatureCache
from ltbench.data.base import ArrayImages

from ..conftest import Lines, as_backbone, small_resnet
from .cache_toys import IDS, N, shards


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
