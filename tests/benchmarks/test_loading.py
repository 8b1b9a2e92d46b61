"""Photographs loaded for training on a CPU: how loading grows with workers, and how long training waits for it.

Skipped in normal runs. To measure, on a machine that does nothing else:

    OMP_NUM_THREADS=1 pytest -o addopts= tests/benchmarks/test_loading.py --benchmark-only -s

Both are shares and ratios within one run. They are printed on any machine, and count where the load is under one.
"""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from ltbench.backbones.registry import open_backbone
from ltbench.engine.ahead import loaded
from ltbench.plugin.system import usable_cores
from tests.benchmarks.photographs import Photographs, pace, phase_of, views

pytestmark = pytest.mark.slow


def quiet_or_skip(load: float, what: str) -> None:
    if load >= 1:
        pytest.skip(f"{what} is for a quiet machine; the load was {load:.1f}")


def photographs_a_second(workers: int, rows: int = 160, batch: int = 32) -> float:
    """Decoded and preprocessed as for CLIP's RN50."""
    backbone, images = open_backbone("clip-rn50", weights="random"), Photographs(rows)
    one = lambda row: backbone.preprocess(images.load(row))  # noqa: E731
    batches = ((start, [partial(one, row) for row in range(start, start + batch)]) for start in range(0, rows, batch))
    began = time.perf_counter()
    assert sum(len(pictures) for _, pictures in loaded(batches, workers)) == rows
    return rows / (time.perf_counter() - began)


def test_loading_grows_with_workers(benchmark: Any) -> None:
    load = os.getloadavg()[0]
    counts = [1, 2, *([4] if usable_cores() >= 4 else [])]
    found = {count: photographs_a_second(count) for count in counts}
    benchmark.pedantic(lambda: None, rounds=1)
    told = ", ".join(f"{count}: {rate:.0f}/s ({rate / found[1]:.2f} times)" for count, rate in found.items())
    print(f"\nphotographs a second by workers, load {load:.1f}: {told}")
    quiet_or_skip(load, "a ratio of 1.6 with two workers")
    assert usable_cores() >= 2
    assert found[2] >= 1.6 * found[1]


@pytest.mark.parametrize(("method", "options"), [("dr", {"batch_size": 8}), ("dualcoop", {"augment": "live"})])
def test_training_hardly_waits_with_two_workers(
    benchmark: Any, tmp_path: Path, method: str, options: dict[str, Any]
) -> None:
    """A tower that is trained, and a frozen one that is shown a fresh view each time."""
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    learned, _ = views("voc-lt", 320, 1)
    waits = {}
    for workers in (0, 2):
        backbone = open_backbone("clip-rn50", weights="random")
        how = {"preset": "none", "overrides": options}
        phase = phase_of("voc-lt", method, backbone, learned, "cpu", tmp_path / str(workers), workers, **how)
        # Past what was loaded ahead while the first steps were taken: 64 pictures.
        waits[workers] = pace(phase, steps=4, warm=3) if method == "dualcoop" else pace(phase, steps=16, warm=9)
    benchmark.pedantic(lambda: None, rounds=1)
    told = ", ".join(f"{n} workers {100 * p.waiting:.1f} % at {p.steps:.2f} steps/s" for n, p in waits.items())
    print(f"\n{method}: of the time, training waits for photographs: {told}; load {load:.1f}")
    assert waits[2].waiting < waits[0].waiting
    quiet_or_skip(load, "a tenth of the time")
    assert waits[2].waiting < 0.1
