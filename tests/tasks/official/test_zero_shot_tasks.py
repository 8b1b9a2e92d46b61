"""Zero-shot splits against the golden lists, and which images are kept."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from ltbench.data.base import DataSet, Part
from ltbench.data.formats.names import COCO_CLASSES
from ltbench.data.formats.nus_names import NUS_CONCEPTS
from ltbench.metrics import evaluate
from ltbench.records.judge import judge
from ltbench.tasks.official.common import FILTERED
from ltbench.tasks.official.zero_shot import COCO_DROPPED, zsl_coco, zsl_nus
from ltbench.tasks.registry import resolve
from ltbench.tasks.views import Truth, open_test, open_train, open_truth
from tests.tasks.official import official_facts as facts

UNSEEN = (4, 5, 15, 16, 19, 20, 25, 27, 31, 36, 41, 43, 55, 57, 66, 71, 76)
SEEN = (
    *(0, 1, 2, 3, 6, 7, 8, 13, 14, 17, 18, 21, 22, 23, 24, 26, 28, 29, 30, 33, 37, 39, 42, 44, 45, 46, 47, 48, 49, 50),
    *(51, 53, 54, 56, 59, 61, 62, 63, 64, 65, 68, 69, 70, 72, 73, 74, 75, 79),
)


def test_coco_split_is_the_published_one() -> None:
    task = zsl_coco()
    assert task.seen == tuple(COCO_CLASSES[c] for c in SEEN)
    assert tuple(name for name in task.classes if name in task.unseen) == tuple(COCO_CLASSES[c] for c in UNSEEN)
    assert (len(task.seen), len(task.unseen), len(COCO_DROPPED)) == (48, 17, 15)
    assert not set(COCO_DROPPED) & set(task.classes)


def test_nus_split_equals_the_golden_lists(shared: Path) -> None:
    golden = json.loads((facts.GOLDEN / "nus_925_81.json").read_text())
    task = zsl_nus()
    assert task.seen == tuple(golden["seen"])
    assert task.unseen == tuple(golden["unseen"]) == NUS_CONCEPTS
    assert len(task.classes) == 1006


def toy_coco() -> tuple[DataSet, np.ndarray]:
    """Forty images: some show unseen classes, some only dropped ones, some nothing."""
    generator = np.random.default_rng(1)
    labels = np.where(generator.random((400, 80)) < 0.012, 1, -1).astype(np.int8)

    def open_part(name: str) -> Part:
        return Part(name, tuple(f"{name}{row}" for row in range(400)), facts.NoImages(400), lambda: labels.copy())

    return DataSet("coco2014", COCO_CLASSES, ("train", "val"), open_part), labels


def test_training_keeps_images_with_a_seen_class_and_their_seen_labels_only() -> None:
    data, labels = toy_coco()
    view = open_train(zsl_coco(), data)
    rows = np.flatnonzero((labels[:, SEEN] == 1).any(axis=1))
    assert view.ids == tuple(f"train{row}" for row in rows)
    np.testing.assert_array_equal(view.observed, labels[np.ix_(rows, SEEN)])
    assert (labels[np.ix_(rows, UNSEEN)] == 1).any(), "images that show unseen classes too are kept"
    assert view.validation is None


def test_testing_keeps_images_with_any_of_the_65_classes() -> None:
    data, labels = toy_coco()
    task = zsl_coco()
    columns = [COCO_CLASSES.index(name) for name in task.classes]
    rows = np.flatnonzero((labels[:, columns] == 1).any(axis=1))
    assert 0 < len(rows) < 400
    assert open_test(task, data).ids == tuple(f"val{row}" for row in rows)
    truth = open_truth(task, data)
    np.testing.assert_array_equal(truth.labels, labels[np.ix_(rows, columns)])
    assert {group: len(found) for group, found in truth.groups.items()} == {"seen": 48, "unseen": 17}


def test_tuning_withholds_seen_classes_and_rows() -> None:
    data, labels = toy_coco()
    task = zsl_coco()
    view = open_train(task, data, "tune")
    withheld = task.validation.classes
    assert len(withheld) == 8
    assert set(withheld) <= set(task.seen)
    assert view.class_names == tuple(name for name in task.seen if name not in withheld)
    assert (view.observed == 1).any(axis=1).all()
    assert view.validation is not None
    assert view.validation.class_names == withheld
    rows = [int(name.removeprefix("train")) for name in view.validation.ids]
    np.testing.assert_array_equal(
        view.validation.observed, labels[np.ix_(rows, [COCO_CLASSES.index(name) for name in withheld])]
    )
    assert not set(view.ids) & set(view.validation.ids)


def test_cards_say_why_figures_do_not_compare() -> None:
    for task in (zsl_coco(), zsl_nus()):
        text = " ".join(task.traps)
        assert "labels per image" in text or "labels an image" in text
        assert not task.official
        assert task.headline == "F1@3"


def test_pins_follow_from_the_facts(shared: Path) -> None:
    stored = json.loads(Path(str(resources.files("ltbench.tasks.official") / "zero_shot.json")).read_text())
    assert facts.document("zero-shot") == stored


def test_filtered_figures_stand_next_to_those_over_every_image() -> None:
    """DualCoOp's filter: ZSL keeps images with an unseen class, GZSL images with any class of the task."""
    (task,) = resolve("shapes-zsl")
    generator = np.random.default_rng(0)
    labels = np.where(generator.random((80, len(task.classes))) < 0.08, 1, -1).astype(np.int8)
    logits = (labels + generator.normal(size=labels.shape)).astype(np.float32)
    unseen = tuple(task.classes.index(name) for name in task.unseen)
    truth = Truth(tuple(map(str, range(80))), labels, task.classes, {}, unseen, task.fingerprints)
    found = judge(task, truth, logits, replicates=20).scores
    of_unseen = (labels[:, unseen] == 1).any(axis=1)
    of_any = (labels == 1).any(axis=1)
    assert of_unseen.sum() < of_any.sum() < 80
    names = ["F1@3", "P@3", "R@3"]
    zsl = evaluate(logits, labels, None, names, columns=unseen, rows=of_unseen)
    gzsl = evaluate(logits, labels, None, names, rows=of_any)
    everything = evaluate(logits, labels, None, names)
    for name in names:
        assert found[f"{name}_filtered"]["zsl"] == pytest.approx(zsl[name]["total"], abs=1e-6)
        assert found[f"{name}_filtered"]["gzsl"] == pytest.approx(gzsl[name]["total"], abs=1e-6)
        assert found[name]["gzsl"] == pytest.approx(everything[name]["total"], abs=1e-6)
    assert task.headline not in FILTERED


def test_every_zero_shot_task_reports_the_filtered_figures() -> None:
    for address in ("zsl-coco", "zsl-nus", "shapes-zsl"):
        (task,) = resolve(address)
        assert set(FILTERED) < set(task.metrics)
        assert "filtered" not in task.headline
