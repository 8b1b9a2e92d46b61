"""Resident memory while regions of 2,000 images at 448 pixels are encoded, cached and read for an epoch.

Skipped in normal runs. To measure:

    OMP_NUM_THREADS=1 pytest -o addopts= tests/benchmarks/test_region_memory.py --benchmark-only -s

The bundled tower at 448 pixels gives as many numbers an image as CLIP's RN101 (784 places of 128 against 196 of 512):
disk and memory are those of RN101, the time is not.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

IMAGES = 2_000
SIZE = 448

pytestmark = pytest.mark.slow

# What a run does with them: encode all through the cache, then an epoch of batches in random order. Pages of the mapped
# shards belong to the disk cache and are not counted.
ENCODE_AND_READ = """
import hashlib, json, sys, time
from contextlib import contextmanager
from pathlib import Path
import numpy as np, psutil, torch
from PIL import Image
from ltbench.backbones.cache import FeatureCache
from ltbench.backbones.registry import open_backbone
from ltbench.engine.inputs import FeatureInputs

count, size = int(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(1)

def resident():
    info = psutil.Process().memory_info()
    return info.rss - getattr(info, "shared", 0)

class Drawn:
    def __len__(self):
        return count
    def load(self, row):
        squares = np.random.default_rng(row).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        return Image.fromarray(squares).resize((size, size), Image.Resampling.NEAREST)
    def sha256(self, row):
        return hashlib.sha256(str(row).encode()).hexdigest()

class Watch:
    def __init__(self):
        self.lines, self.samples = [], []
    def line(self, text):
        self.lines.append(text)
    @contextmanager
    def task(self, label, total):
        yield lambda n: self.samples.append(resident())

watch = Watch()
backbone = open_backbone("tiny-clip", image_size=size)
start = time.perf_counter()
features = FeatureCache(Path(sys.argv[3])).features(
    backbone, Drawn(), [str(k) for k in range(count)], kind="region", reporter=watch
)
encoded = time.perf_counter()
inputs = FeatureInputs(features.global_, features.regions)
reading = []
for rows in np.array_split(np.random.default_rng(0).permutation(count), max(1, count // 32)):
    inputs.get(rows, None)
    reading.append(resident())
read = time.perf_counter()
shape = list(features.regions.shape)
print(json.dumps([watch.lines, watch.samples, reading, encoded - start, read - encoded, shape]))
"""


def test_memory_does_not_grow_with_the_number_of_images(benchmark: Any, tmp_path: Any) -> None:
    def measure() -> list[Any]:
        command = [sys.executable, "-c", ENCODE_AND_READ, str(IMAGES), str(SIZE), str(tmp_path)]
        found: list[Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return found

    lines, encoding, reading, encode_seconds, read_seconds, shape = benchmark.pedantic(measure, rounds=1)
    size = 4 * shape[0] * shape[2] * shape[3]
    quarter = len(encoding) // 4
    early, late = max(encoding[:quarter]), max(encoding[-quarter:])
    first, last = max(reading[: len(reading) // 4]), max(reading[-(len(reading) // 4) :])
    mib = 2**20
    print(f"\n{lines[0]}")
    print(f"regions {shape}, {size / mib:.0f} MiB; encoded in {encode_seconds:.0f} s, read in {read_seconds:.0f} s")
    print(f"resident without mapped files, highest of the first and last quarter, in MiB: encoding {early / mib:.0f}"
          f" and {late / mib:.0f}, reading {first / mib:.0f} and {last / mib:.0f}")  # fmt: skip
    assert "on disk" in lines[0]
    assert size > 700 * mib
    # A shard's buffer (32 MiB) comes and goes; what is held for each image is its key.
    assert late - early < 48 * mib
    assert last - first < 16 * mib
