"""Attacks that once ended in a result, and a wrong one: another task, changed bits, another search, code that ran."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from records.builders import method_facts, record, task, task_facts

from ltbench.backbones.weights import read_checkpoint
from ltbench.data.own.folder_images import FolderImages
from ltbench.data.shapes import ensure_shapes, store
from ltbench.engine import checkpoint, tune
from ltbench.engine.how import SweepOptions
from ltbench.engine.request import RunRequest
from ltbench.engine.run import run_one
from ltbench.engine.sweep import Cell, expand, request_of
from ltbench.engine.sweep_plan import SweepPlan
from ltbench.method import Choice
from ltbench.plugin.errors import Damaged, UserError
from ltbench.plugin.names import below
from ltbench.tasks.own import custom
from ltbench.tasks.own.custom import load_custom
from ltbench.tasks.own.new import Order, create_task
from ltbench.tasks.registry import load_task
from ltbench.tasks.task import Task


def photos(out: Path, seed: int) -> Path:
    """A task ``photos`` on made-up features, others for each seed."""
    folder = out.parent / f"{out.name}-{seed}"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    names = [f"{row}.jpg" for row in range(40)]
    labels = ["|".join(name for name in "abc" if rng.random() < 0.5) for _ in names]
    (folder / "labels.csv").write_text(
        "\n".join(["file,labels", *(f"{name},{line}" for name, line in zip(names, labels, strict=True))])
    )
    np.savez(folder / "features.npz", files=np.array(names), features=rng.normal(size=(40, 4)).astype(np.float32))
    create_task(Order("photos", folder / "labels.csv", None, out=out, features=folder / "features.npz"))
    return folder / "features.npz"


@pytest.mark.parametrize("address", ["elsewhere/photos", "ltbench-tasks/photos/v1"])
def test_a_sweep_runs_the_task_that_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(custom, "_LOADED", {})
    photos(Path("ltbench-tasks"), 1)
    photos(Path("ltbench-tasks"), 2)
    features = photos(Path("elsewhere"), 3)
    named = load_custom(Path(address)).fingerprints
    plan = SweepPlan.of((address,), ("linear-probe-lbfgs",), backbone=f"precomputed:{features}", seeds=(0,))
    (cell,) = expand(plan)
    # In a worker process nothing is known of what this one has loaded.
    monkeypatch.setattr(custom, "_LOADED", {})
    assert request_of(cell, plan, SweepOptions()).task.fingerprints == named
    assert isinstance(cell, Cell)
    shutil.rmtree(address)
    with pytest.raises(UserError):
        request_of(cell, plan, SweepOptions())


def test_scripted_weights_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.pt"
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("opened, which runs what is in it"))
    with pytest.raises(UserError, match="whose code would run"):
        read_checkpoint(path)


@pytest.mark.parametrize("name", ["../../elsewhere", "..", "a/b", "a\\b", "a\nb", "\x1b[2J", "", " ", "x" * 101])
def test_a_name_is_one_part_of_a_path(tmp_path: Path, name: str) -> None:
    facts = task_facts().model_dump()
    for field in ("name", "setting"):
        with pytest.raises(ValidationError):
            type(task_facts()).model_validate({**facts, field: name})
    with pytest.raises(ValidationError):
        method_facts(name=name)
    with pytest.raises(ValidationError):
        Task.model_validate({**task().model_dump(), "name": name})
    if len(name) < 101:
        with pytest.raises(UserError):
            below(tmp_path, "runs", name)


def test_a_link_leads_no_path_out_of_its_root(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "task").symlink_to(tmp_path)
    with pytest.raises(UserError, match="leads out of"):
        below(tmp_path / "runs", "task", "method")


def test_a_flipped_bit_of_a_checkpoint_is_never_a_weight(tmp_path: Path) -> None:
    path = tmp_path / "stage-0.pt"
    before, after = torch.arange(300.0), torch.arange(300.0) + 1
    checkpoint.save(path, {"w": before, "epoch": 1})
    checkpoint.save(path, {"w": after, "epoch": 2})
    whole = path.read_bytes()
    for bit in range(3, 8 * len(whole), 8 * len(whole) // 60):
        harmed = bytearray(whole)
        harmed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(harmed)
        said: list[str] = []
        state = checkpoint.load(path, said.append)
        assert state is not None
        assert state["epoch"] == 1
        assert torch.equal(state["w"], before)
        assert "stage-0.pt is damaged" in said[0]
    path.write_bytes(whole)
    assert torch.equal(checkpoint.load(path)["w"], after)  # type: ignore[index]


def test_trials_of_another_search_are_not_this_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def request(**changes: Any) -> RunRequest:
        made: dict[str, Any] = {"weights": "random", "out": tmp_path, "device": "cpu", **changes}
        return RunRequest(load_task("shapes-micro"), "linear-probe", "tiny-clip", **made)

    monkeypatch.setattr(tune, "_search", lambda *_: [tune.Trial(0, {}, "completed", 50.0, 0.1)])
    space = {"lr": Choice((0.003, 0.01))}
    records = [
        tune.tune(request(), 1, 60.0, space=space).record,
        tune.tune(request(limit=10), 1, 60.0, space=space).record,
        tune.tune(request(share=0.5), 1, 60.0, space=space).record,
        tune.tune(request(weights=None), 1, 60.0, space=space).record,
        tune.tune(request(), 1, 30.0, space=space).record,
    ]
    assert len(set(records)) == len(records)
    assert tune.tune(request(), 2, 60.0, space=space).record == records[0]


def test_a_record_of_trials_says_whose_they_are(tmp_path: Path) -> None:
    search = tune.Search("a" * 64, 1, {}, {}, None, tmp_path)
    assert search.known() == []
    (tmp_path / "trials.json").write_text('{"identity": "b", "trials": []}')
    with pytest.raises(Damaged, match="of another search"):
        search.known()
    (tmp_path / "trials.json").write_text("[" * 5000)
    with pytest.raises(Damaged, match="levels"):
        search.known()


def test_a_changed_pixel_with_its_old_time_is_found(tmp_path: Path) -> None:
    folder = ensure_shapes(tmp_path, parts=("micro-test",))
    path = folder / "micro-test" / "images.npy"
    status, whole = path.stat(), path.read_bytes()
    harmed = bytearray(whole)
    harmed[5000] ^= 255
    path.write_bytes(harmed)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    getattr(store, "_compared", {}).clear()  # as in another process
    said: list[str] = []
    ensure_shapes(tmp_path, notice=said.append, parts=("micro-test",))
    assert len(said) == 1
    assert path.read_bytes() == whole


def test_photographs_are_known_by_stamp_and_hashed_again_by_data_verify(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"old")
    status = path.stat()
    images = FolderImages(
        [path, tmp_path / "gone.jpg"], [hashlib.sha256(b"old").hexdigest()] * 2, [(3, status.st_mtime_ns)] * 2, "mine"
    )
    assert images.content_faults() == ["gone.jpg cannot be read (No such file or directory)"]
    path.write_bytes(b"new")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "a.jpg has sha256" in images.content_faults()[0]


def test_what_a_record_would_refuse_is_refused_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ltbench.engine import run

    (tmp_path / "mine.yaml").write_text('linear-probe: [{name: "bell \\a", origin: default, overrides: {epochs: 1}}]\n')
    request = RunRequest(
        load_task("shapes-micro"), "linear-probe", "tiny-clip", weights="random", out=tmp_path / "runs", device="cpu",
        preset=str(tmp_path / "mine.yaml"),
    )  # fmt: skip
    monkeypatch.setattr(run, "_phase1", lambda *_: pytest.fail("trained"))
    with pytest.raises(UserError, match=r"no record could be written of this run: preset"):
        run_one(request)
    assert not (tmp_path / "runs").exists()


def test_class_names_are_no_paths() -> None:
    made = record(per_class_ap={"/usr/bin/cup": 70.0, "/a/b leaf": None}, excluded_classes=("/a/b leaf",))
    assert "/usr/bin/cup" in made.per_class_ap
    with pytest.raises(ValidationError, match="holds a file path"):
        record(device="/usr/bin/cup")
