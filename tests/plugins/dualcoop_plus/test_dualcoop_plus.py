"""DualCoOp++: its scores and loss as written on its card, computed again in NumPy, and the contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pydantic import Field

from ltbench.method import Batch, Context, GradientStage
from ltbench.method.config import build_config, load_presets
from ltbench.plugin.errors import UserError
from ltbench.testing import kit
from ltbench.testing.checks import CHECKS
from ltbench_dualcoop_plus.method import DualCoOpPlus
from ltbench_dualcoop_plus.module import EvidenceModule, winners
from ltbench_dualcoop_plus.plugin import ltbench_methods
from tests.plugins.conftest import DIM, NAMES

Array = npt.NDArray[np.float64]


def stage_of(context: Context, **options: Any) -> GradientStage:
    options = {"context_tokens": 3, "images": "backbone", "augment": "none", **options}
    (stage,) = DualCoOpPlus(DualCoOpPlus.Config(**options)).stages(replace(context, variant="code"))
    assert isinstance(stage, GradientStage)
    return stage


def softmax(values: Array, axis: int) -> Array:
    raised = np.exp(values - values.max(axis=axis, keepdims=True))
    return np.asarray(raised / raised.sum(axis=axis, keepdims=True))


def unit(values: Array) -> Array:
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True))


def written(places: Array, sides: list[Array], rule: str, options: dict[str, float]) -> Array:
    """Scores [n, 2, C], place by place and class by class."""
    evidence, negative, positive = (unit(places) @ unit(side).T for side in sides)
    scores = np.zeros((len(places), 2, sides[0].shape[0]))
    for row in range(len(places)):
        weights = softmax(options["sharpness"] * evidence[row], axis=0)
        for place in range(places.shape[1]):
            cosines = positive[row, place]
            shares = softmax(options["strength"] * cosines * cosines.max(), axis=0)
            kept = {"relative": shares / shares.max(), "share": shares, "added": 1 + shares, "none": np.ones(1)}[rule]
            scores[row, 0] += weights[place] * negative[row, place]
            scores[row, 1] += weights[place] * cosines * kept
    return options["scale"] * scores


@pytest.mark.parametrize("rule", ["relative", "share", "added", "none"])
def test_scores_and_loss_are_the_written_ones(make_context: Callable[..., Context], full: Any, rule: Any) -> None:
    rng = np.random.default_rng(4)
    sides = [rng.normal(size=(len(NAMES), DIM)) for _ in range(3)]
    # Two places are near a class, so that somebody wins there.
    places = rng.normal(size=(6, 4, DIM)) + 2 * sides[2][rng.integers(len(NAMES), size=(6, 4))]
    module = stage_of(make_context(full), winner=rule, scale=7.0).module.double()
    assert isinstance(module, EvidenceModule)
    module.features = lambda: [torch.from_numpy(side) for side in sides]  # type: ignore[method-assign]
    module.places = lambda given: given[1]  # type: ignore[assignment]
    # The toy's factor of cosines is 20.
    options = {"sharpness": 0.2 * 20, "strength": 2.0 * 20, "scale": 7.0}
    expected = written(places, sides, rule, options)
    observed = full[:6].copy()
    observed[1, 2] = 0
    regions = torch.from_numpy(places)
    batch = Batch(torch.arange(6), (regions.mean(1), regions), torch.from_numpy(observed))
    np.testing.assert_allclose(module.scores(batch).detach().numpy(), expected, rtol=1e-6)
    logits = expected[:, 1] - expected[:, 0]
    np.testing.assert_allclose(module.logits(batch).detach().numpy(), logits, rtol=1e-5, atol=1e-7)
    p = 1 / (1 + np.exp(-logits))
    shifted = np.minimum(1 - p + 0.05, 1)
    present, absent = -(1 - p) * np.log(p), -((1 - shifted) ** 2) * np.log(shifted)
    total = 0.02 * (present[observed == 1].sum() + absent[observed == -1].sum())
    assert module.loss(batch)["loss_cls"].item() == pytest.approx(total, rel=1e-5)


def test_a_place_without_a_winner_makes_no_difference() -> None:
    alike = torch.full((1, 1, 4), 0.3)
    assert torch.equal(winners(alike, 200.0), torch.ones(1, 1, 4))
    # Of two classes at a place the better keeps its cosine, the other little.
    kept = winners(torch.tensor([[[0.30, 0.25, 0.10]]]), 200.0)[0, 0]
    assert kept[0] == 1
    assert kept[1] == pytest.approx(np.exp(200 * 0.3 * -0.05), rel=1e-4)


def test_what_is_learned(make_context: Callable[..., Context], full: Any) -> None:
    shared, own = (stage_of(make_context(full), class_specific=each) for each in (False, True))
    (group,) = shared.param_groups
    width = 12
    assert sorted(parameter.numel() for parameter in group.params) == [1, 3 * width, 3 * width, 3 * width]
    assert group.schedule.factor(0, 5, 50) * group.lr == pytest.approx(1e-5)
    shared.module.set_classes(("ship", "cow"))
    assert [len(side) for side in shared.module.features()] == [2, 2, 2]
    with pytest.raises(UserError, match="class-specific contexts say nothing"):
        own.module.set_classes(("ship", "cow"))


class OnCache(DualCoOpPlus):
    """From cached features, which the kit goes through in a fraction of the time."""

    class Config(DualCoOpPlus.Config):
        context_tokens: int = Field(2, ge=1, description="fewer than by default")
        augment: Literal["live", "flip", "none"] = Field("none", description="cached regions")


def test_presets_are_valid_and_the_contract_is_kept(ltbench_check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (spec,) = ltbench_methods()
    for preset in load_presets(spec):
        build_config(DualCoOpPlus.Config, spec.name, spec.config, preset.overrides)
    # Those that a formula cannot show; ``ltbench plugin check`` has them all.
    titles = ("presets valid", "gradients only where declared", "another class count works")
    monkeypatch.setattr(kit, "CHECKS", {title: CHECKS[title] for title in titles})
    ltbench_check(OnCache, weights="random")
