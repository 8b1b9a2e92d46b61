"""What a GPU is used for, and how well: encoding, training with pictures loaded ahead, a whole job, the same ranking.

Skipped in normal runs, and where there is no CUDA device. To measure, in under five minutes on a card of a data centre
with a dozen cores beside it:

    OMP_NUM_THREADS=1 pytest -o addopts= tests/benchmarks/test_gpu.py --benchmark-only -s

Weights are random and photographs are made, as neither changes how long anything takes; the ranking is of the bundled
tasks and encoder, whose weights are real.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize
from torch.utils.flop_counter import FlopCounterMode

import ltbench
from ltbench.backbones.cache import FeatureCache
from ltbench.backbones.registry import open_backbone
from ltbench.engine.phase1 import PLAIN
from ltbench.plugin.system import usable_cores
from tests.benchmarks.photographs import Pace, Photographs, pace, phase_of, views

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and torch finds none"),
]

WORKERS = max(1, min(16, usable_cores() - 1))
RANKED = ("zero-shot", "linear-probe", "coop", "asl", "erm", "lmpt")


def timed(device: str) -> float:
    """Now, when all that was sent to the device is done."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def matrix_peak(device: str, side: int, rounds: int) -> float:
    """Operations a second of a product of large bfloat16 matrices, the most that anything gets out of the card."""
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    _ = left @ right
    began = timed(device)
    for _ in range(rounds):
        _ = left @ right
    return 2 * side**3 * rounds / (timed(device) - began)


def encoding(name: str, rows: int, device: str, folder: Path, side: int = 8192) -> dict[str, float]:
    """Images a second through the cache and through the tower alone, and its share of what the card can do."""
    backbone = open_backbone(name, weights="random", dtype="bfloat16", device=device)
    images, ids = Photographs(rows), [str(row) for row in range(rows)]
    began = timed(device)
    found = FeatureCache(folder).features(backbone, images, ids, device=device, batch_size=256, workers=WORKERS)
    whole = rows / (timed(device) - began)
    pixels = torch.stack([backbone.preprocess(images.load(row)) for row in range(min(rows, 256))]).to(device)
    quick = backbone.for_encoding()
    with torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            quick.encode_global(pixels)
        rounds = 10 if device == "cuda" else 1
        began = timed(device)
        for _ in range(rounds):
            quick.encode_global(pixels)
        tower = rounds * len(pixels) / (timed(device) - began)
    each = counter.get_total_flops() / len(pixels)
    share = each * tower / matrix_peak(device, side, 10)
    exact = open_backbone(name, weights="random", device=device)
    with torch.no_grad():
        wanted = normalize(exact.encode_global(pixels[:16].float()).float(), dim=1).cpu()
    close = normalize(torch.from_numpy(np.asarray(found.global_)[: len(wanted), 0]), dim=1)
    return {"whole": whole, "tower": tower, "share": share, "cosine": float((wanted * close).sum(dim=1).min())}


def whole_job(train: int, test: int, device: str, folder: Path, name: str = "clip-rn50", **options: Any) -> float:
    """Seconds of LMPT on VOC-LT's numbers of rows: encoding, training by the preset, answers to the test rows."""
    learned, asked = views("voc-lt", train, test)
    backbone = open_backbone(name, weights="random", device=device)
    began = timed(device)
    phase = phase_of("voc-lt", "lmpt", backbone, learned, device, folder, WORKERS, **options)
    inputs = phase.setup.encoder.inputs(asked.images, asked.ids, PLAIN, "encoding test images")
    phase.run()
    assert np.isfinite(phase.predict(inputs, asked.class_names)).all()
    return timed(device) - began


def scores(methods: Sequence[str], device: str, folder: Path, **options: Any) -> dict[str, float]:
    """mAP of methods on shapes-lt."""
    found = {}
    for method in methods:
        (run,) = ltbench.run("shapes-lt", method, "tiny-clip", device=device, out=folder / device, **options)
        found[method] = float(run.record.scores["mAP"]["total"] or 0.0)
    return found


def out_of_order(first: dict[str, float], second: dict[str, float], apart: float) -> list[tuple[str, str]]:
    """Pairs of methods that change places, among those that lie further apart than that in the first ranking."""
    pairs = [(a, b) for a, b in combinations(first, 2) if abs(first[a] - first[b]) > apart]
    return [(a, b) for a, b in pairs if (first[a] - first[b]) * (second[a] - second[b]) <= 0]


@pytest.mark.parametrize("name", ["clip-rn50", "clip-vit-b16"])
def test_encoding_against_what_the_card_can_do(benchmark: Any, tmp_path: Path, name: str) -> None:
    found = benchmark.pedantic(lambda: encoding(name, 4096, "cuda", tmp_path), rounds=1)
    print(
        f"\n{torch.cuda.get_device_name()}, {name}, bfloat16, {WORKERS} workers: {found['whole']:.0f} photographs/s "
        f"with decoding, {found['tower']:.0f}/s by the tower, {100 * found['share']:.0f} % of a matrix product's peak"
    )
    benchmark.extra_info.update(found)
    assert found["cosine"] > 0.999
    assert found["whole"] <= 1.2 * found["tower"]


@pytest.mark.parametrize("method", ["dr", "hspnet"])
def test_training_with_pictures_loaded_ahead(benchmark: Any, tmp_path: Path, method: str) -> None:
    learned, _ = views("voc-lt", 1142, 1)
    found: dict[int, Pace] = {}
    for workers in (0, WORKERS):
        backbone = open_backbone("clip-rn50", weights="random", device="cuda")
        phase = phase_of("voc-lt", method, backbone, learned, "cuda", tmp_path / str(workers), workers, preset="none")
        found[workers] = pace(phase, steps=20, warm=5)
    benchmark.pedantic(lambda: None, rounds=1)
    for workers, each in found.items():
        print(f"\n{method}, {workers} workers: {each.steps:.2f} steps/s, {100 * each.waiting:.0f} % waiting")
    assert found[WORKERS].steps > (1.5 if WORKERS >= 4 else 1.0) * found[0].steps


def test_a_whole_job(benchmark: Any, tmp_path: Path) -> None:
    seconds = benchmark.pedantic(lambda: whole_job(1142, 4952, "cuda", tmp_path), rounds=1)
    print(f"\nVOC-LT x LMPT on CLIP's RN50, encoding and decoding included: {seconds:.0f} s")
    assert seconds < 300


def test_the_same_ranking_as_on_the_cpu(benchmark: Any, tmp_path: Path) -> None:
    found = benchmark.pedantic(lambda: {on: scores(RANKED, on, tmp_path) for on in ("cpu", "cuda")}, rounds=1)
    for method in RANKED:
        print(f"\n{method}: mAP {found['cpu'][method]:.2f} on the CPU, {found['cuda'][method]:.2f} on the GPU", end="")
    assert out_of_order(found["cpu"], found["cuda"], apart=1.0) == []
