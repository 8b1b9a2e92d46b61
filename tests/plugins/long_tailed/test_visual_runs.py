"""The visual baselines with the engine: live images, batch statistics, interruptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ltbench.engine.inputs import FeatureInputs, ImageInputs
from ltbench.engine.phase1 import Phase1
from ltbench.method import Method
from ltbench.tasks.views import TestView
from ltbench_baselines.common.fine_tune import FineTune
from tests.plugins import two_stream_toys as toys
from tests.plugins.long_tailed.visual_toys import encoder, method_of, statistics
from tests.plugins.two_stream_toys import (
    NAMES,
    ROWS,
    ToyEncoder,
    interrupted_and_not,
    long_tail,
)


def phase_of(method: Method, folder: Path) -> Phase1:
    return toys.phase_of(method, folder, encoder(), np.where(long_tail() == 0, -1, long_tail()).astype(np.int8))


def small(recipe: str, **options: Any) -> FineTune:
    return method_of(recipe, **{"epochs": 2, "batch_size": 16, "augment": "none", **options})


def test_a_trained_tower_reads_images_and_never_the_feature_cache(tmp_path: Path) -> None:
    phase = phase_of(small("erm"), tmp_path)
    backbone = phase.setup.backbone
    assert isinstance(backbone, ToyEncoder)
    inputs = phase.training_rows().inputs
    assert isinstance(inputs, ImageInputs)
    assert not isinstance(inputs, FeatureInputs)
    before = [p.detach().clone() for p in backbone.visual.parameters()]
    phase.run()
    assert backbone.seen == 2 * ROWS  # each image once an epoch, none encoded ahead
    assert not (tmp_path / "cache").exists()
    # The guard that keeps frozen towers as they were must leave this one alone: every tensor has moved.
    after = list(backbone.visual.parameters())
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    view = phase.setup.train
    test = phase.test_inputs(TestView(view.ids, view.images, NAMES), "encoding test images")
    assert isinstance(test, ImageInputs)
    assert phase.predict(test, NAMES).shape == (ROWS, len(NAMES))


@pytest.mark.parametrize(("batch_norm", "moves"), [("eval", False), ("train", True)])
def test_the_engine_leaves_batch_normalisation_to_the_method(tmp_path: Path, batch_norm: str, moves: bool) -> None:
    phase = phase_of(small("erm", batch_norm=batch_norm), tmp_path)
    before = statistics(phase.setup.backbone.visual)
    phase.run()
    after = statistics(phase.setup.backbone.visual)
    assert [not torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [moves] * len(before)


@pytest.mark.parametrize("recipe", ["erm", "db-focal"])
def test_an_interrupted_run_ends_in_the_same_weights(tmp_path: Path, recipe: str) -> None:
    whole, second = interrupted_and_not(small(recipe, epochs=3), tmp_path, 1, phase_of)
    expected, found = whole.module.state_dict(), second.module.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
