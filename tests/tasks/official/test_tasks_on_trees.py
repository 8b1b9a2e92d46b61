"""Tasks opened from files of the true formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ltbench.data.base import DataRoot
from ltbench.tasks.registry import load_task, open_data_set
from ltbench.tasks.views import check_fingerprints, open_test, open_train, open_truth
from ltbench.testing.trees import make_tree
from tests.tasks.official import official_facts as facts


@pytest.fixture
def mirror(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Published files come from the mirror, and the network is off limits."""
    monkeypatch.setenv("LTBENCH_MIRROR", str(facts.MIRROR))


@pytest.mark.parametrize(
    ("address", "data_set", "parts"),
    [
        ("zsl-coco", "coco2014", {"train": 60, "val": 30}),
        ("spml-coco@largeloss", "coco2014", {"train": 60, "val": 30}),
        ("partial-coco@p40", "coco2014", {"train": 60, "val": 30}),
        ("plt-coco@mr40", "coco2017", {"train": 60, "val": 10}),
        ("spml-cub@largeloss", "cub", {"train": 40, "test": 10}),
        ("spml-nus@largeloss", "nus-wide", {"train": 60, "test": 30}),
        ("partial-vg200@p70", "vg-200", {"train": 40, "test": 10}),
        ("zsl-nus", "nus-wide", {"train": 60, "test": 30}),
    ],
)
def test_a_task_opens_on_a_small_tree(address: str, data_set: str, parts: dict[str, int], tmp_path: Path) -> None:
    tree = make_tree(data_set, tmp_path / "data", images=parts, image_size=(16, 12))
    task = load_task(address)
    data = open_data_set(task, DataRoot(root=tree.root, cache=tmp_path / "cache", offline=True))
    view, test, truth = open_train(task, data), open_test(task, data), open_truth(task, data)
    assert len(view) > 0
    assert view.images.load(0).mode == "RGB"
    assert test.images.load(len(test) - 1).mode == "RGB"
    assert test.ids == truth.ids
    known = [row for row in view.ids if row in tree.labels]
    assert len(known) == len(view)
    column = {name: c for c, name in enumerate(view.class_names)}
    for row_id, row in zip(view.ids, view.observed, strict=True):
        present = {column[name] for name in tree.labels[row_id] if name in column}
        assert set(np.flatnonzero(row == 1)) <= present
        assert not set(np.flatnonzero(row == -1)) & present
    if task.train_rows == "any-seen":
        assert all(any(name in column for name in tree.labels[row]) for row in view.ids)
    tuned = open_train(task, data, "tune")
    assert tuned.validation is not None
    assert not set(tuned.ids) & set(tuned.validation.ids)


@pytest.mark.slow
@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize("address", ["voc-lt", "plt-voc@mr40", "spml-voc@splc"])
def test_the_real_labels_in_the_true_format_give_the_pinned_task(address: str, voc: Path, tmp_path: Path) -> None:
    task = load_task(address)
    data = open_data_set(task, DataRoot(root=voc, cache=tmp_path, offline=True))
    truth = open_truth(task, data)
    check_fingerprints(task, truth.fingerprints)
    assert truth.fingerprints == task.fingerprints
    assert open_train(task, data).images.load(0).mode == "RGB"


@pytest.fixture(scope="module")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VOC2012 and VOC2007 with their real ids and labels, and textures for photographs."""
    if not facts.SHARED.is_dir():
        pytest.skip("needs the real data in ../shared/data, which is not part of the project")
    root = tmp_path_factory.mktemp("voc")
    for year, parts in (("voc2012", ("train", "val")), ("voc2007", ("test",))):
        known = {part: facts.labelled_rows(year, part) for part in parts}
        labels = {row: names for rows in known.values() for row, names in rows.items()}
        ids = {part: list(rows) for part, rows in known.items()}
        make_tree(year, root, images=ids, labels=labels, image_size=(8, 6))
    return root
