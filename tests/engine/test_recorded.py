"""What is finished is told from records alone, exactly where the key would tell it, and never where it would not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ltbench.engine import recorded as recording
from ltbench.engine.cells import expand
from ltbench.engine.executors import local
from ltbench.engine.how import SweepOptions
from ltbench.engine.recorded import Recorded, device_of
from ltbench.engine.request import RunRequest
from ltbench.engine.run import run_one
from ltbench.engine.sweep import sweep
from ltbench.engine.sweep_plan import SweepPlan
from ltbench.tasks.registry import load_task


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunRequest:
    out = tmp_path_factory.mktemp("runs")
    request = RunRequest(load_task("shapes-micro"), "linear-probe", "tiny-clip", weights="random", out=out)
    request = replace(request, overrides={"epochs": 1}, device="cpu")
    assert run_one(request).record.status == "completed"
    return request


def told(request: RunRequest, device: str | None = "cpu") -> bool:
    return Recorded(request.out).of(request, device) is not None


def test_the_finished_run_is_found(finished: RunRequest) -> None:
    found = Recorded(finished.out).of(finished, "cpu")
    assert found is not None
    record, path = found
    assert (record.status, path.name, path.is_file()) == ("completed", "record.json", True)
    # What is the default is the same run, said or not.
    assert told(replace(finished, image_size=None, selection="last"))


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"threads": 2},
        {"overrides": {"epochs": 2}},
        {"overrides": {"epochs": 1, "lr": 0.5}},
        {"dtype": "bfloat16"},
        {"limit": 4},
        {"share": 0.5},
        {"selection": "validation"},
        {"image_size": 96},
        {"method": "zero-shot", "overrides": {}},
        {"weights": None},
        # Its bytes decide, and a name does not tell them.
        {"weights": "checkpoint.pt"},
        {"overwrite": "always"},
    ],
)
def test_another_run_is_not(finished: RunRequest, other: dict[str, Any]) -> None:
    assert not told(replace(finished, **other))


def test_another_device_code_version_or_data_is_not(finished: RunRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not told(finished, "cuda")
    assert not told(finished, None)
    task = finished.task
    newer = task.model_copy(update={"version": task.version + 1})
    assert not told(replace(finished, task=newer))
    prints = task.fingerprints.model_copy(update={"test_labels": "0" * 64})
    assert not told(replace(finished, task=task.model_copy(update={"fingerprints": prints})))
    unpinned = task.model_copy(update={"unpinned": {"images": "made anew"}})
    assert not told(replace(finished, task=unpinned))
    with monkeypatch.context() as patch:
        patch.setattr(recording, "version", lambda name: "99")
        assert not told(finished)
    with monkeypatch.context() as patch:
        patch.setattr(recording, "made_by", lambda registered: ("ltbench", "0.1.0", "0" * 64))
        assert not told(finished)


def test_a_damaged_record_is_left_to_the_run(finished: RunRequest, tmp_path: Path) -> None:
    (source,) = finished.out.rglob("record.json")
    place = tmp_path / source.relative_to(finished.out)
    place.parent.mkdir(parents=True)
    text = source.read_text(encoding="utf-8")
    place.write_text(text.replace('"status": "completed"', '"status": "completed" ', 1), encoding="utf-8")
    assert told(replace(finished, out=tmp_path))
    place.write_text(text.replace('"epochs": 1', '"epochs": 1.5', 1), encoding="utf-8")
    assert not told(replace(finished, out=tmp_path))
    place.write_text("{", encoding="utf-8")
    assert not told(replace(finished, out=tmp_path))


def test_a_finished_sweep_starts_no_process(finished: RunRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(local.LocalExecutor, "submit", forbidden)
    item = {"method": "linear-probe", "options": {"epochs": 1}}
    plan = SweepPlan.of_document(
        {"tasks": ["shapes-micro"], "methods": [item], "seeds": [0], "weights": "random"}, "of the test"
    )
    (result,) = sweep(plan, SweepOptions(out=finished.out, device="cpu"))
    assert (result.status, result.reused, result.cell) == ("completed", True, expand(plan)[0])
    with pytest.raises(AssertionError, match="a process was started"):
        sweep(plan, SweepOptions(out=finished.out, device="cpu", overwrite="always"))


def test_the_device_is_told_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [device_of("cuda:1", None), device_of("cpu", 1)] == ["cuda", "cpu"]
    assert [device_of("auto", 0), device_of("auto", 1)] == ["cpu", "cuda"]
    monkeypatch.setattr(recording, "graphics_processors", list)
    assert device_of("auto", None) == "cpu"
    monkeypatch.setattr(recording.sys, "platform", "linux")
    monkeypatch.setattr(recording, "graphics_processors", lambda: ["0"])
    assert device_of("auto", None) is None
