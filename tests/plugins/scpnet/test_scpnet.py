"""SCPNet: prior, pseudo-labels and loss as written on its card, computed again in NumPy, and the contract."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from pydantic import Field
from torch.nn.functional import leaky_relu

from ltbench.method import Batch, Context, GradientStage
from ltbench.nn import similarity_adjacency
from ltbench_scpnet.augment import OPERATIONS, Strong, grey_patch
from ltbench_scpnet.method import SCPNet
from ltbench_scpnet.module import SCPNetModule
from ltbench_scpnet.prior import kept, transition
from ltbench_scpnet.teaching import Teaching
from tests.plugins.conftest import DIM, NAMES

Array = npt.NDArray[np.float64]


def stage_of(context: Context, **options: Any) -> GradientStage:
    options = {"tower": "frozen", "augment": "flip", "strong": "as-weak", **options}
    (stage,) = SCPNet(SCPNet.Config(**options)).stages(replace(context, variant="code"))
    assert isinstance(stage, GradientStage)
    return stage


def test_the_prior_is_the_released_one() -> None:
    """Links share 0.2 among the neighbours that a row keeps; the correction is a softmax over all, cut and rescaled."""
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(7, 5)) + 2
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    alike, keep, temperature = vectors @ vectors.T, 4, 0.3
    links, corrected = np.zeros((7, 7)), np.zeros((7, 7))
    for row in range(7):
        mask = np.zeros(7, dtype=bool)
        mask[np.argsort(-alike[row])[:keep]] = True
        others = mask & (np.arange(7) != row)
        links[row, others] = 0.2 * alike[row, others] / alike[row, others].sum()
        links[row, row] = 0.8
        raised = np.exp(links[row] / temperature)
        corrected[row, mask] = (raised / raised.sum())[mask]
        corrected[row] /= corrected[row].sum()
    np.testing.assert_allclose(similarity_adjacency(alike, keep=keep), links, rtol=1e-12)
    found = transition(torch.from_numpy(links), kept(torch.from_numpy(alike), keep), temperature)
    np.testing.assert_allclose(found.numpy(), corrected, rtol=1e-6)


def taught(
    strong: Array, weak: Array, observed: Array, given: Array, rows: Array, prior: Array, k: int, cutoff: float
) -> tuple[float, float, set[tuple[int, int]]]:
    """Both sums of a step, row by row; writes into `given`; the labels that were given."""
    sigmoid: Callable[[Array], Array] = lambda values: 1 / (1 + np.exp(-values))  # noqa: E731
    counts = given.sum(axis=0)
    left = k * len(given) - given.sum()
    share = np.maximum(counts / max(counts.max(), left), 1 / given.shape[1]) if given.any() else 1 / given.shape[1]
    threshold = np.broadcast_to(cutoff * share / (2 - share), given.shape[1:])
    hard = soft = 0.0
    found = set()
    for at, row in enumerate(rows):
        p, s = sigmoid(weak[at]), sigmoid(strong[at])
        best = np.argsort(-p)[:k]
        chosen = [c for c in best if p[c] >= threshold[c] and observed[at, c] >= 0]
        labels = (observed[at] > 0).astype(float)
        labels[chosen] = 1
        corrected = prior @ p
        if any(p[c] >= threshold[c] for c in best):
            hard -= (labels * np.log(s) + (1 - labels) * np.log(1 - s)).sum()
            soft -= (corrected * np.log(s) + (1 - corrected) * np.log(1 - s)).sum()
        if labels.any():
            given[row] = labels
        found |= {(at, int(c)) for c in chosen if observed[at, c] == 0}
    return hard, soft, found


def test_pseudo_labels_and_what_they_teach() -> None:
    rng = np.random.default_rng(8)
    prior = rng.dirichlet(np.ones(6), size=6)
    teaching = Teaching(9, torch.from_numpy(prior), top_k=2, cutoff=0.95, weight=3.0)
    given = np.zeros((9, 6))
    ever: set[tuple[int, int]] = set()
    moved = []
    for _ in range(4):
        rows = rng.permutation(9)[:5]
        strong, weak = rng.normal(size=(2, 5, 6)) - 1.0
        observed = np.zeros((5, 6))
        observed[np.arange(5), rng.integers(6, size=5)] = 1
        observed[0, 5] = -1
        hard, soft, chosen = taught(strong, weak, observed, given, rows, prior, 2, 0.95)
        loss, new = teaching(
            torch.from_numpy(strong),
            torch.from_numpy(weak),
            torch.from_numpy(observed.astype(np.int8)),
            torch.from_numpy(rows),
        )
        assert float(loss) == pytest.approx(hard + 3 * soft, rel=1e-6)
        np.testing.assert_array_equal(teaching.given.numpy(), given.astype(bool))
        now = {(int(rows[at]), column) for at, column in chosen}
        assert {(int(rows[at]), column) for at, column in new.nonzero().tolist()} == now - ever
        ever |= now
        moved.append(teaching.thresholds().numpy().copy())
    assert ever
    assert (moved[0] != moved[-1]).any(), "thresholds follow what was given"
    assert moved[-1].max() <= 0.95


def test_classes_and_terms_are_the_written_ones(make_context: Callable[..., Context], full: Any) -> None:
    observed = np.where(full == 1, full, 0).astype(np.int8)
    stage = stage_of(make_context(observed), taught_weight=0.5)
    module = stage.module
    assert isinstance(module, SCPNetModule)
    head = module.head
    embeddings, ends = head.prompts()
    nodes = head.prompts.tower.encode_embeddings(embeddings, ends).detach()
    moved = nodes
    for number, layer in enumerate(head.graph.stack.layers):
        moved = head.links @ ((leaky_relu(moved, 0.2) if number else moved) @ layer.weight)
    classes = (nodes + moved) / (nodes + moved).norm(dim=1, keepdim=True)
    torch.testing.assert_close(head.class_features(), classes)
    views = [torch.randn(4, DIM, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    batch = Batch(torch.arange(4), views[0], torch.from_numpy(observed[:4]), further=tuple(views[1:]))
    logits = [10 * (view / view.norm(dim=1, keepdim=True)) @ classes.T for view in views]
    torch.testing.assert_close(module.logits(batch), logits[0])
    # SPLC, first epoch: present with a margin of 1, all else absent, focusing exponent 2.
    signs = torch.from_numpy(observed[:4]).float()
    p = torch.sigmoid(torch.where(signs > 0, logits[0] - 1, logits[0]))
    splc = torch.where(signs > 0, -((1 - p) ** 2) * p.log(), -(p**2) * (1 - p).log()).sum()
    again = Teaching(len(observed), module.teaching.transition, 2, 0.95, 1.0)
    expected, _ = again(logits[2], logits[1], batch.observed, batch.rows)
    module.on_epoch_start(0, lambda: iter(()))
    terms = module.loss(batch)
    torch.testing.assert_close(terms["loss_splc"], splc)
    torch.testing.assert_close(terms["loss_taught"], 0.5 * expected)
    assert set(module.decisions()) <= {(row, c) for row, c in itertools.product(range(4), range(len(NAMES)))}
    sum(terms.values()).backward()
    assert head.prompts.ctx.grad is not None
    assert len(stage.further) == 2


def test_every_operation_of_the_strong_view_keeps_the_size() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8))
    rng = np.random.default_rng(1)
    for name, (low, high, operation) in OPERATIONS.items():
        for magnitude in (low, high):
            assert operation(picture, magnitude).size == picture.size, name
    patched = np.asarray(grey_patch(picture, 0.5, rng))
    assert (patched == (125, 123, 114)).all(axis=2).sum() > 30
    strong = Strong(16)
    one, same, other = (strong(picture, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.size == (16, 16)
    assert one.tobytes() == same.tobytes() != other.tobytes()


class OnCache(SCPNet):
    """From cached features, which the kit goes through in a fraction of the time."""

    class Config(SCPNet.Config):
        tower: Literal["trained", "frozen"] = Field("frozen", description="its cached features")
        augment: Literal["live", "views", "flip", "none"] = Field("flip", description="two cached views")
        strong: Literal["as-weak", "operations"] = Field("as-weak", description="the same two")


def test_the_contract_is_kept(ltbench_check: Any) -> None:
    ltbench_check(OnCache, weights="random")
