"""What knowing the frozen parts saves, on CLIP's true RN50 and RN101 architectures with random weights.

Skipped in normal runs. To measure:

    pytest -o addopts= tests/benchmarks/test_encoders.py --benchmark-only --benchmark-columns=median,rounds -s

Each test times the slow way and the fast way in turn, so that a busy machine slows both, and prints the ratio of the
medians. The ratios asserted are far below those of a quiet machine, except where an issue fixes one.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from ltbench.backbones.base import Backbone
from ltbench.backbones.cache import FeatureCache
from ltbench.backbones.registry import open_backbone
from ltbench.backbones.text import ClipTextTower
from ltbench.data.base import ArrayImages
from ltbench.nn import PromptLearner

VOC = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
IMAGES = 32

pytestmark = pytest.mark.slow


def in_turn(slow: Callable[[], Any], fast: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """Median seconds of both, measured alternately after one warm-up each."""
    slow(), fast()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for function, kept in zip((slow, fast), times, strict=True):
            start = time.perf_counter()
            function()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            kept.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def report(benchmark: Any, what: str, slow: float, fast: float, unit: float = 1.0) -> float:
    ratio = slow / fast
    benchmark.extra_info.update(slow=slow, fast=fast, ratio=ratio, threads=torch.get_num_threads())
    print(f"\n{what}: {slow:.3f} s against {fast:.4f} s, ratio {ratio:.1f} ({torch.get_num_threads()} threads)")
    if unit > 1:
        print(f"  {unit / slow:.1f} against {unit / fast:.1f} images/s")
    return ratio


@pytest.fixture(scope="module", params=["clip-rn50", "clip-rn101"])
def backbone(request: pytest.FixtureRequest) -> Backbone:
    return open_backbone(request.param, weights="random")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ArrayImages:
    path = tmp_path_factory.mktemp("images") / "images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (IMAGES, 256, 256, 3), dtype=np.uint8))
    return ArrayImages(path)


@pytest.mark.parametrize("kind", ["global", "region"])
def test_cached_against_live_encoding(
    benchmark: Any, backbone: Backbone, images: ArrayImages, tmp_path: Path, kind: Any
) -> None:
    """One epoch over 32 images: decoded and encoded again, or read from the warm cache by a new run."""
    ids = [str(k) for k in range(IMAGES)]
    cache = FeatureCache(tmp_path)
    encode = backbone.encode_global if kind == "global" else backbone.encode_regions

    def live() -> Any:
        with torch.no_grad():
            return encode(torch.stack([backbone.preprocess(images.load(row)) for row in range(IMAGES)]))

    def cached() -> Any:
        features = cache.features(backbone, images, ids, kind=kind)
        return torch.from_numpy(np.asarray(features.global_ if kind == "global" else features.regions))

    slow, fast = in_turn(live, cached, rounds=3)
    benchmark.pedantic(cached, rounds=3)
    assert report(benchmark, f"{backbone.card.name} {kind}, live against cached", slow, fast, IMAGES) > 20


@pytest.mark.parametrize("context_tokens", [4, 16])
def test_shortened_against_full_text_tower(benchmark: Any, backbone: Backbone, context_tokens: int) -> None:
    """One prompt step (forward and backward) over 20 classes: 77 tokens, or up to the last end-of-text token."""
    text = backbone.text
    assert isinstance(text, ClipTextTower)
    init = "a photo of a" if context_tokens == 4 else None
    learner = PromptLearner(text, VOC, context_tokens, init, seed=0)
    with torch.no_grad():
        padding = text.embed_tokens(torch.zeros(len(VOC), text.context_length, dtype=torch.int64))
    target = torch.randn(len(VOC), backbone.card.dim, generator=torch.Generator().manual_seed(0))

    def full() -> torch.Tensor:
        # As open_clip's encode_text does it, from embeddings.
        embeddings, ends = learner()
        x = torch.cat([embeddings, padding[:, embeddings.shape[1] :]], dim=1) + text.positional_embedding
        x = text.ln_final(text.transformer(x, attn_mask=text.attn_mask))
        return normalize(x[torch.arange(len(x)), ends] @ text.text_projection, dim=-1)

    def step(features: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        learner.ctx.grad = None
        found = features()
        (found * target).sum().backward()
        assert learner.ctx.grad is not None
        return found.detach(), learner.ctx.grad

    whole, gradient = step(full)
    cut, other = step(learner.class_features)
    difference = float((whole - cut).abs().max())
    relative = float((gradient - other).abs().max() / gradient.abs().max())
    slow, fast = in_turn(lambda: step(full), lambda: step(learner.class_features), rounds=5)
    benchmark.pedantic(lambda: step(learner.class_features), rounds=3)
    length = int(learner.ends.max()) + 1
    ratio = report(benchmark, f"{backbone.card.name}, M={context_tokens}, 77 against {length} tokens", slow, fast)
    print(f"  largest difference: features {difference:.1e}, gradient {relative:.1e} of its largest entry")
    assert difference <= 5e-6
    assert relative <= 5e-6
    assert ratio >= (6.0 if context_tokens == 4 else 2.0)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_low_precision_encoding(benchmark: Any, device: str, dtype: Any) -> None:
    """RN50 images/s in float32 against autocast."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    if device == "cpu" and dtype == "float16":
        pytest.skip("float16 is offered on CUDA only")
    exact = open_backbone("clip-rn50", weights="random", device=device)
    quick = open_backbone("clip-rn50", weights="random", device=device, dtype=dtype)
    count = IMAGES if device == "cpu" else 256
    pixels = torch.randn(count, 3, 224, 224, generator=torch.Generator().manual_seed(0)).to(device)

    def run(tower: Backbone) -> torch.Tensor:
        with torch.no_grad():
            return tower.encode_global(pixels)

    cosine = torch.cosine_similarity(run(exact), run(quick)).min()
    slow, fast = in_turn(lambda: run(exact), lambda: run(quick), rounds=3 if device == "cpu" else 20)
    benchmark.pedantic(lambda: run(quick), rounds=3)
    report(benchmark, f"clip-rn50 on {device}, float32 against {dtype}", slow, fast, count)
    print(f"  smallest cosine {float(cosine):.6f}")
    assert cosine > 0.999
