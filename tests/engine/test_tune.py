"""Random search looks at validation rows only, records every trial, and goes on where it stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ltbench.backbones.options import DTYPES
from ltbench.data.base import DataRoot
from ltbench.engine import tune as tuning
from ltbench.engine.request import RunRequest, resolve_method
from ltbench.method import Choice, SearchSpace, Uniform
from ltbench.method.config import build_config
from ltbench.method.search import Mixed, around, draw
from ltbench.plugin.errors import UserError
from ltbench.tasks.registry import load_task, open_data_set
from ltbench.tasks.task import Validation
from ltbench.tasks.views import open_test, open_truth, phase1, truth
from ltbench_baselines.clip.linear import LinearProbe

SPACE = {"lr": Choice((0.003, 0.01, 0.03)), "epochs": Choice((1, 2))}


def request(out: Path, method: str = "linear-probe", **rest: object) -> RunRequest:
    return RunRequest(
        task=load_task("shapes-micro"), method=method, backbone="tiny-clip", weights="random", out=out, **rest
    )  # type: ignore[arg-type]


def test_every_trial_is_recorded_and_the_best_becomes_a_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("tuning opened the test part")

    # Where the views read it: callers have bound the names of what opens a view.
    for module in (phase1, truth):
        monkeypatch.setattr(module, "test_rows", forbidden)
    task = load_task("shapes-micro")
    for opens in (open_test, open_truth):
        with pytest.raises(AssertionError, match="opened the test part"):
            opens(task, open_data_set(task, DataRoot()))
    report = tuning.tune(request(tmp_path), 3, 60.0, space=SPACE)
    assert [trial.number for trial in report.trials] == [0, 1, 2]
    assert report.trials[0].overrides == {}
    assert all(set(trial.overrides) == {"lr", "epochs"} for trial in report.trials[1:])
    scores = [trial.score for trial in report.trials]
    assert all(score is not None and 0 < score <= 100 for score in scores)
    assert report.best.score == max(score for score in scores if score is not None)
    written = json.loads(report.record.read_text())
    assert [trial["score"] for trial in written["trials"]] == scores
    preset = yaml.safe_load(report.preset.read_text())["linear-probe"][0]
    assert preset["origin"] == f"tuned(3, on {preset['tasks'][0]})"
    resolved = resolve_method(request(tmp_path, preset=str(report.preset)))
    assert resolved.origin == f"tuned(3, on {preset['tasks'][0]})"
    for name, value in report.best.overrides.items():
        assert getattr(resolved.config, name) == value


def test_searches_of_two_arithmetics_stand_apart(tmp_path: Path) -> None:
    exact, quick = (tuning.tune(request(tmp_path, dtype=dtype), 1, 60.0, space=SPACE) for dtype in DTYPES[:2])
    assert exact.record != quick.record
    assert [json.loads(report.record.read_text())["dtype"] for report in (exact, quick)] == ["float32", "bfloat16"]


def test_a_stopped_search_goes_on_with_the_next_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tuning.tune(request(tmp_path), 1, 60.0, space=SPACE)
    tried: list[int] = []
    original = tuning._try

    def watched(*, number: int, **how: Any) -> tuning.Trial:
        tried.append(number)
        return original(number=number, **how)

    monkeypatch.setattr(tuning, "_try", watched)
    again = tuning.tune(request(tmp_path), 2, 60.0, space=SPACE)
    assert tried == [1]
    assert again.trials[0] == first.trials[0]


def test_trials_in_two_processes_are_those_of_one(tmp_path: Path) -> None:
    alone = tuning.tune(request(tmp_path / "one"), 3, 900.0, space=SPACE)
    together = tuning.tune(request(tmp_path / "two"), 3, 900.0, space=SPACE, jobs=2)
    assert [replace(trial, seconds=0.0) for trial in together.trials] == [
        replace(trial, seconds=0.0) for trial in alone.trials
    ]
    assert together.best.number == alone.best.number
    assert together.preset.read_text() == alone.preset.read_text()
    assert together.record.parent.name == alone.record.parent.name


def test_a_trial_that_ended_before_an_earlier_one_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_order(numbers: list[int], ready: Any, arguments: Any, work: Any, **how: Any) -> Any:
        assert (how["jobs"], numbers) == (2, [0, 1, 2])
        yield 2, tuning.Trial(2, arguments(2)["overrides"], "completed", 50.0, 0.1)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tuning, "in_processes", out_of_order)
        with pytest.raises(KeyboardInterrupt):
            tuning.tune(request(tmp_path), 3, 60.0, space=SPACE, jobs=2)
    tried: list[int] = []

    def watched(*, number: int, overrides: dict[str, Any], **how: Any) -> tuning.Trial:
        tried.append(number)
        return tuning.Trial(number, overrides, "completed", 40.0, 0.1)

    monkeypatch.setattr(tuning, "_try", watched)
    report = tuning.tune(request(tmp_path), 3, 60.0, space=SPACE)
    assert tried == [0, 1]
    assert [trial.score for trial in report.trials] == [40.0, 40.0, 50.0]
    assert "ahead" not in json.loads(report.record.read_text())
    # What optuna finds is another search.
    assert tuning.SAMPLERS == ("random", "optuna")


def test_optuna_draws_a_block_from_those_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna", reason="needs the extra optuna")
    space = {
        "lr": Uniform(1e-4, 1e-1, log=True),
        "epochs": Choice((1, 2)),
        "weight_decay": Mixed(0.0, Uniform(1e-5, 1e-2, log=True)),
    }

    def good_near(*, number: int, overrides: dict[str, Any], **how: Any) -> tuning.Trial:
        """Best at a rate of 0.01; trial 2 diverges."""
        off = abs(np.log10(overrides.get("lr", 1.0)) + 2)
        return tuning.Trial(number, overrides, *(("diverged", None) if number == 2 else ("completed", 90 - off)), 0.1)

    monkeypatch.setattr(tuning, "_try", good_near)
    first = tuning.tune(request(tmp_path / "a"), 21, 60.0, space=space, sampler="optuna")
    drawn = [trial.overrides["lr"] for trial in first.trials[1:]]
    assert np.abs(np.log10(drawn[-8:]) + 2).mean() < np.abs(np.log10(drawn[:4]) + 2).mean()
    assert {trial.overrides["weight_decay"] == 0 for trial in first.trials[1:]} == {True, False}
    # A search that is stopped within a block, and goes on, tries what one that is not stopped tries.
    tuning.tune(request(tmp_path / "b"), 7, 60.0, space=space, sampler="optuna")
    again = tuning.tune(request(tmp_path / "b"), 21, 60.0, space=space, sampler="optuna")
    assert again.trials == first.trials
    random = tuning.tune(request(tmp_path / "a"), 2, 60.0, space=space)
    assert random.record.parent != first.record.parent
    assert json.loads(first.record.read_text())["sampler"] == "optuna"


def test_a_trial_over_its_time_cap_is_recorded_as_such(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none of 1 trials .* still training at the time cap of 0 s"):
        tuning.tune(request(tmp_path), 1, 0.0, space=SPACE)
    (record,) = tmp_path.rglob("trials.json")
    assert json.loads(record.read_text())["trials"][0]["status"] == "timeout"


def test_nothing_to_tune_and_nothing_to_tune_on(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must be a list"):
        tuning.parse_space({"lr": 0.1})
    task = load_task("shapes-micro")
    without = task.model_copy(update={"validation": Validation()})
    bare = RunRequest(task=without, method="linear-probe", backbone="tiny-clip", weights="random", out=tmp_path)
    with pytest.raises(UserError, match="no validation rows"):
        tuning.tune(bare, 1, 60.0, space=SPACE)


def test_features_alone_are_not_searched_for_other_views() -> None:
    class Flipping(LinearProbe):
        @classmethod
        def search_space(cls) -> SearchSpace:
            return {"lr": Choice((1.0,)), "augment": Choice(("none", "flip"))}

    method = Flipping(Flipping.Config(lr=1.0))
    assert tuning.search_space(method, "tiny-clip") == Flipping.search_space()
    assert tuning.search_space(method, "precomputed:mine.npz") == {"lr": Choice((1.0,)), "augment": Choice(("none",))}


@pytest.mark.parametrize(
    ("method", "task", "backbone", "variant"),
    [
        ("dualcoop", "partial-coco@p50", "clip-rn101", "code"),
        ("an", "spml-coco@largeloss", "timm:resnet50.tv_in1k", "paper"),
        ("splc", "spml-coco@splc", "timm:resnet50.tv_in1k", "paper"),
        ("ssgrl", "partial-coco@p50", "timm:resnet101.tv_in1k", "paper"),
        ("ml-gcn", "partial-coco@p50", "timm:resnet101.tv_in1k", "paper"),
        ("hspnet", "spml-coco@splc", "clip-rn50", "code"),
    ],
)
def test_a_search_goes_around_the_published_configuration(method: str, task: str, backbone: str, variant: Any) -> None:
    """Each published value lies in its range, and every draw gives a valid configuration."""
    resolved = resolve_method(RunRequest(task=load_task(task), method=method, backbone=backbone, variant=variant))
    assert resolved.preset is not None
    space = tuning.search_space(resolved.method, backbone)
    declared = resolved.method.search_space()
    assert set(space) == set(declared)
    base = resolved.config.model_dump()
    moved = 0
    rng = np.random.default_rng(0)
    for name, what in space.items():
        moved += what != declared[name]
        value = getattr(resolved.config, name)
        if isinstance(what, Choice):
            assert value in what.values
        elif isinstance(what, Mixed):
            assert value == what.value == 0
            assert {what.draw(rng) == 0 for _ in range(30)} == {True, False}
        elif value is not None:
            assert what.low <= value <= what.high
            if what.log:
                assert what.high / what.low == pytest.approx(declared[name].high / declared[name].low)
    assert moved
    for _ in range(20):
        build_config(type(resolved.config), method, base, draw(space, rng))


def test_a_range_is_stretched_or_moved_as_far_as_the_value() -> None:
    space = {"a": Uniform(0.5, 0.9), "b": Uniform(1e-4, 1e-3, log=True), "c": Uniform(1e-4, 1e-2, log=True)}
    assert around(space, {"a": 1.0, "b": 2e-4, "c": 0.0}) == {
        "a": Uniform(0.5, 1.0),
        "b": Uniform(1e-4, 1e-3, log=True),
        "c": Mixed(0.0, Uniform(1e-4, 1e-2, log=True)),
    }
    found = around(space, {"b": 1e-5, "c": None})
    assert found["a"] == space["a"]
    assert found["c"] == space["c"]
    assert isinstance(found["b"], Uniform)
    assert (found["b"].low * found["b"].high) ** 0.5 == pytest.approx(1e-5)


def test_spaces_on_shapes_are_the_declared_ones() -> None:
    """Searches that presets state can be made again: their draws depend on the space."""
    for method in ("dualcoop", "ml-gcn", "hspnet"):
        task = load_task("shapes-spml" if method == "hspnet" else "shapes-partial@p50")
        resolved = resolve_method(RunRequest(task=task, method=method, backbone="tiny-clip"))
        assert resolved.preset is not None
        assert tuning.search_space(resolved.method, "tiny-clip") == resolved.method.search_space()


def test_variants_are_searched_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One configuration trains differently under each, so that trials of one say nothing of the other."""
    monkeypatch.setattr(tuning, "_search", lambda *_: [tuning.Trial(0, {}, "completed", 50.0, 0.1)])
    found = [
        tuning.tune(request(tmp_path, method="asl", variant=name), 1, 60.0, space=SPACE) for name in ("paper", "code")
    ]
    assert found[0].record != found[1].record
    assert [yaml.safe_load(each.preset.read_text())["asl"][0]["variant"] for each in found] == ["paper", "code"]
