"""Tasks of features, and where a user's tasks are found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ltbench.data.base import DataRoot
from ltbench.data.own.folder import folder_status, open_folder
from ltbench.plugin import UserError
from ltbench.tasks.own.custom import custom_tasks, features_of, find_custom, folder_of, load_custom
from ltbench.tasks.own.new import Order, create_task
from ltbench.tasks.registry import resolve
from ltbench.tasks.views import open_truth
from tests.tasks.own.custom_toys import ROWS


def features(path: Path, files: list[str]) -> Path:
    np.savez(path, files=np.array(files), features=np.zeros((len(files), 4), dtype=np.float16))
    return path


def test_features_are_checked_and_noted(order: Order, tmp_path: Path) -> None:
    names = [row.partition(",")[0] for row in ROWS]
    with pytest.raises(UserError) as caught:
        create_task(replace(order, features=features(tmp_path / "part.npz", names[:-1])))
    assert caught.value.details == ("labels.csv line 6: part.npz has no features for 'e.png'",)
    with pytest.raises(UserError, match="does not exist"):
        create_task(replace(order, features=tmp_path / "gone.npz"))
    (tmp_path / "bad.npz").write_text("no archive")
    with pytest.raises(UserError, match=r"bad\.npz is damaged"):
        create_task(replace(order, features=tmp_path / "bad.npz"))
    np.save(tmp_path / "one.npy", np.zeros((5, 4)))
    with pytest.raises(UserError, match=r"one\.npy is one array without names") as caught:
        create_task(replace(order, features=tmp_path / "one.npy"))
    assert caught.value.hint.startswith("np.savez(")
    np.savez(tmp_path / "whole.npz", files=names, features=np.zeros((5, 4), dtype=np.int16))
    with pytest.raises(UserError, match="features must be float"):
        create_task(replace(order, features=tmp_path / "whole.npz"))
    np.savez(tmp_path / "bytes.npz", files=[name.encode() for name in names], features=np.zeros((5, 4)))
    assert create_task(replace(order, features=tmp_path / "bytes.npz")).rows == {"train": 3, "test": 2}
    created = create_task(replace(order, features=features(tmp_path / "all.npz", names)))
    assert features_of(created.folder) == tmp_path / "all.npz"


def test_a_task_of_features_only_has_no_images(order: Order, tmp_path: Path) -> None:
    file = features(tmp_path / "all.npz", [row.partition(",")[0] for row in ROWS])
    created = create_task(replace(order, images=None, features=file))
    assert created.task.fingerprints.images is None
    assert created.task.official
    with pytest.raises(UserError, match="made with --no-images") as caught:
        open_folder(created.folder).part("train").images.load(0)
    assert "precomputed" in caught.value.hint
    assert open_folder(created.folder).part("train").images.sha256(0) != ""


def test_tasks_are_found_by_name_path_and_file(order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    created = create_task(replace(order, out=tmp_path / "elsewhere"))
    folder = tmp_path / "elsewhere" / "my-photos"
    assert resolve(str(folder)) == [created.task]
    assert find_custom(str(folder / "task.json")) == folder
    assert folder_of(created.task) == folder
    assert custom_tasks() == []
    monkeypatch.setenv("LTBENCH_TASKS", str(tmp_path / "elsewhere"))
    assert find_custom("my-photos") == folder
    assert resolve("my-photos") == [created.task]
    assert custom_tasks() == [created.task]
    assert find_custom("") is None
    assert find_custom("no-such-task") is None


def test_status_tells_images_that_are_gone(order: Order, tmp_path: Path) -> None:
    create_task(order)
    (status,) = folder_status(DataRoot())
    assert (status.name, status.state, status.detail) == ("folder:my-photos", "here", "5 images")
    assert status.bytes > 500
    (tmp_path / "photos" / "a.png").unlink()
    (status,) = folder_status(DataRoot())
    assert (status.state, status.detail) == ("partly", "1 of 5 images are gone")
    assert status.next.startswith("ltbench task new my-photos")
    (tmp_path / "ltbench-tasks" / "my-photos" / "v1" / "rows.json").write_text("{")
    (status,) = folder_status(DataRoot())
    assert (status.state, "damaged" in status.detail) == ("missing", True)
    assert len(custom_tasks()) == 1


def test_a_task_of_another_ltbench_is_one_line(order: Order) -> None:
    folder = create_task(order).folder
    document = json.loads((folder / "task.json").read_text())
    (folder / "task.json").write_text(json.dumps({**document, "colour": "red"}))
    with pytest.raises(UserError, match=r"task\.json does not fit this ltbench \(colour: ") as caught:
        load_custom(folder)
    assert "ltbench task new my-photos" in caught.value.hint


def test_a_real_folder_of_photographs(shared: Path, tmp_path: Path) -> None:
    source = shared / "data" / "coco-mini"
    if not source.is_dir():
        pytest.skip("needs ../shared/data/coco-mini")
    created = create_task(
        Order(
            "coco-mini",
            source / "labels.csv",
            source / "images",
            tmp_path / "tasks",
            features=source / "features_mobilenetv2.npz",
        )
    )
    assert created.rows == {"train": 335, "test": 404}
    assert len(created.task.classes) == 80
    data = open_folder(created.folder)
    truth = open_truth(created.task, data)
    assert truth.fingerprints == created.task.fingerprints
    assert sum(len(truth.groups[name]) for name in ("head", "medium", "tail")) == 80
    assert min(data.part("train").images.load(0).size) == 256
