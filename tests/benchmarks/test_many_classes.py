"""Prompts of 1,000 to 10,000 classes through the bundled text tower: seconds a training step, and memory.

Skipped in normal runs. To measure:

    OMP_NUM_THREADS=1 pytest -o addopts= tests/benchmarks/test_many_classes.py --benchmark-only -s

Each count trains in a process of its own, so that its peak of resident memory is its own. The table in
docs/explanation/performance.md comes from here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

COUNTS = (1_000, 3_000, 10_000)
LIMIT = 4 * 2**30

pytestmark = pytest.mark.slow

# Steps of a prompt classifier as a run makes them: class features, logits of 32 images, loss, gradient, update.
TRAIN = """
import json, resource, sys, time
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from ltbench.backbones.registry import open_backbone
from ltbench.nn import CosineHead, PromptClassifier, PromptLearner

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

count, chunk, steps = int(sys.argv[1]), int(sys.argv[2]) or None, int(sys.argv[3])
torch.set_num_threads(1)
backbone = open_backbone("tiny-clip")
tower = backbone.text

words = ("red", "blue", "small", "striped", "big", "lined", "plain")
colours = [f"{one} {two} {three} thing" for one in words for two in words for three in words]
names = [f"{colours[number % len(colours)]} {number}" for number in range(count)]
random = torch.Generator().manual_seed(0)
def step(classifier, optimizer):
    images = torch.randn(32, backbone.card.dim, generator=random)
    labels = (torch.rand(32, len(classifier.prompts.class_names), generator=random) < 0.01).float()
    optimizer.zero_grad()
    loss = binary_cross_entropy_with_logits(classifier(images), labels)
    loss.backward()
    optimizer.step()
    return float(loss)
def classifier_of(names):
    classifier = PromptClassifier(PromptLearner(tower, names), CosineHead(20.0, -3.0, learn_bias=True), chunk=chunk)
    return classifier, torch.optim.SGD(classifier.parameters(), lr=1e-3)
step(*classifier_of(names[:64]))  # what libraries allocate once
before = peak()
classifier, optimizer = classifier_of(names)
seconds, losses = [], []
for _ in range(steps):
    start = time.perf_counter()
    losses.append(step(classifier, optimizer))
    seconds.append(time.perf_counter() - start)
print(json.dumps({
    "classes": count, "seconds": min(seconds), "before": before, "peak": peak(),
    "tokens": int(classifier.prompts.ends.max()) + 1, "loss": losses[-1],
}))
"""


def train(count: int, chunk: int = 128, steps: int = 2) -> dict[str, float]:
    """Figures of a process that trains; ``chunk`` 0 encodes all classes at once."""
    command = [sys.executable, "-c", TRAIN, str(count), str(chunk), str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def shown(found: dict[str, float]) -> str:
    grown = (found["peak"] - found["before"]) / 2**20
    return (
        f"{found['classes']:>6} classes of {found['tokens']} tokens: {found['seconds']:7.2f} s a step, "
        f"peak {found['peak'] / 2**20:5.0f} MiB, {grown:5.0f} MiB above 64 classes"
    )


def test_time_grows_linearly_and_memory_does_not(benchmark: Any) -> None:
    found = {count: train(count) for count in COUNTS[:-1]}
    found[COUNTS[-1]] = benchmark.pedantic(train, (COUNTS[-1],), rounds=1)
    print()
    for count in COUNTS:
        print(shown(found[count]))
    benchmark.extra_info.update({str(count): figures for count, figures in found.items()})
    small, large = found[COUNTS[0]], found[COUNTS[-1]]
    assert large["peak"] < LIMIT
    # Ten times the classes: about ten times the time, on a machine that does other work as well.
    assert 5 < large["seconds"] / small["seconds"] < 20
    # What grows is features, logits, labels and token ids, and the holes that they leave in the heap.
    assert large["peak"] < 1.25 * small["peak"]


def test_all_at_once_for_comparison(benchmark: Any) -> None:
    whole = benchmark.pedantic(train, (COUNTS[0], 0), rounds=1)
    parts = train(COUNTS[0])
    print(f"\nall at once:   {shown(whole)}\nchunks of 128: {shown(parts)}")
    assert whole["loss"] == pytest.approx(parts["loss"], rel=1e-5)
    assert whole["peak"] - whole["before"] > 3 * (parts["peak"] - parts["before"])
    print(f"all at once takes {(whole['peak'] - whole['before']) / COUNTS[0] / 1024:.0f} KiB a class")
