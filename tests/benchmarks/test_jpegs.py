"""How JPEGs are decoded: a user's large ones at a part of their size, and published ones by Pillow or by torchvision.

Skipped in normal runs. To measure, on any machine, since only ratios within one run are told:

    OMP_NUM_THREADS=1 pytest -o addopts= tests/benchmarks/test_jpegs.py --benchmark-only -s
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ltbench.backbones.registry import open_backbone
from ltbench.data.base import FileImages, load_reduced
from tests.benchmarks.photographs import Photographs

pytestmark = pytest.mark.slow
ROUNDS = 5


def in_turn(*ways: Callable[[], Any]) -> list[float]:
    """Median of the CPU seconds of each of some ways, which take turns."""
    took: list[list[float]] = [[] for _ in ways]
    for _ in range(ROUNDS):
        for way, seconds in zip(ways, took, strict=True):
            began = time.process_time()
            way()
            seconds.append(time.process_time() - began)
    return [median(seconds) for seconds in took]


@pytest.fixture(scope="module")
def telephone(tmp_path_factory: pytest.TempPathFactory) -> FileImages:
    """Three photographs of 12 megapixels with some grain, about 3 MB each."""
    rng, files = np.random.default_rng(0), []
    for number in range(3):
        coarse = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize((4000, 3000), Image.Resampling.BICUBIC)
        grain = rng.normal(0, 5, (3000, 4000, 1)).astype(np.int16)
        pixels = np.clip(np.asarray(smooth) + grain, 0, 255).astype(np.uint8)
        path = tmp_path_factory.mktemp("photos") / f"{number}.jpg"
        Image.fromarray(pixels).save(path, quality=90)
        files.append(path)
    return FileImages(files)


@pytest.mark.parametrize("name", ["tiny-clip", "clip-rn50", "timm:resnet18.a1_in1k"])
def test_large_jpegs_load_faster_at_a_part_of_their_size(benchmark: Any, telephone: FileImages, name: str) -> None:
    """Decoded and preprocessed, as encoding does it."""
    backbone, load = open_backbone(name, weights="random"), os.getloadavg()[0]
    assert backbone.least_side is not None

    def loaded(least: int | None) -> torch.Tensor:
        return torch.stack([backbone.preprocess(load_reduced(telephone, row, least)) for row in range(len(telephone))])

    whole, reduced = in_turn(lambda: loaded(None), lambda: loaded(backbone.least_side))
    benchmark.pedantic(lambda: None, rounds=1)
    size = load_reduced(telephone, 0, backbone.least_side).size
    close = torch.cosine_similarity(*(backbone.encode_global(loaded(k)) for k in (None, backbone.least_side))).min()
    print(
        f"\n{name}: 12 megapixels whole {whole / 3:.3f} s of CPU time, at {size[0]} x {size[1]} {reduced / 3:.3f} s, "
        f"{whole / reduced:.1f} times; least cosine of features {close:.6f}; load {load:.1f}"
    )
    assert whole > 1.5 * reduced
    assert close > 0.999


def test_pillow_and_torchvision_on_ordinary_photographs(benchmark: Any, tmp_path: Path) -> None:
    """500 x 375 pixels, as Pascal VOC's: how fast each is, and whether bits are the same."""
    from torchvision.io import ImageReadMode, decode_jpeg

    load, files = os.getloadavg()[0], Photographs(32)._files
    tensors = [torch.frombuffer(bytearray(file), dtype=torch.uint8) for file in files]

    def pillow(file: bytes) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))

    def torchvisions(file: torch.Tensor) -> np.ndarray:
        return decode_jpeg(file, mode=ImageReadMode.RGB).permute(1, 2, 0).numpy()

    ours, theirs = in_turn(lambda: [*map(pillow, files)], lambda: [*map(torchvisions, tensors)])
    # What preprocessings take is a picture of Pillow's, so that torchvision's has to become one.
    as_images = in_turn(lambda: [Image.fromarray(np.ascontiguousarray(torchvisions(one))) for one in tensors])[0]
    benchmark.pedantic(lambda: None, rounds=1)
    pairs = [(pillow(file), torchvisions(tensor)) for file, tensor in zip(files, tensors, strict=True)]
    alike = sum(np.array_equal(*pair) for pair in pairs)
    most = max(int(np.abs(one.astype(int) - other).max()) for one, other in pairs)
    print(
        f"\n32 photographs of 500 x 375, CPU time each: Pillow {1000 * ours / 32:.2f} ms, "
        f"torchvision {1000 * theirs / 32:.2f} ms ({ours / theirs:.2f} times as fast), "
        f"as pictures of Pillow's {1000 * as_images / 32:.2f} ms ({ours / as_images:.2f}); "
        f"{alike} of 32 the same to the bit, levels differ by {most}; load {load:.1f}"
    )
    assert most <= 8
