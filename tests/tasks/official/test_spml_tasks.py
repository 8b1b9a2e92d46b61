"""One positive label an image: published draws, splits and single-label files."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from ltbench.data.base import Part
from ltbench.plugin.errors import UserError
from ltbench.tasks.official.rules import labelled_by_number
from ltbench.tasks.official.spml import spml_coco, spml_cub, spml_nus, spml_voc
from ltbench.tasks.protocols.masks import cole_observed
from ltbench.tasks.views import open_test, open_train, open_truth
from ltbench.tasks.views.rows import held_out
from tests.tasks.official import official_facts as facts

pytestmark = pytest.mark.usefixtures("shared")


def test_rows_are_sorted_by_image_number_as_text() -> None:
    ids = [f"COCO_train2014_{number:012d}.jpg" for number in (9, 100, 99, 1000, 5)]
    labels = np.array([[1], [1], [1], [1], [-1]], dtype=np.int8)
    assert [ids[row][-8:-4] for row in labelled_by_number(ids, labels)] == ["0100", "1000", "0009", "0099"]


def test_coco_rows_and_split_of_cole_et_al() -> None:
    """Golden keys: spml_coco_observed_seed1200, spml_train_val_split."""
    task = spml_coco("largeloss")
    ids, observed = facts.golden_coco_single()
    view = open_train(task, facts.task_data(task))
    held = held_out(task, ids)
    golden = np.load(facts.GOLDEN / "spml_train_val_split.npz")["coco__val_idx"]
    np.testing.assert_array_equal(np.flatnonzero(held), np.sort(golden))
    assert view.ids == tuple(name for name, out in zip(ids, held, strict=True) if not out)
    assert view.validation is not None
    assert (len(view), len(view.validation)) == (65665, 16416)
    assert set(np.unique(view.validation.observed)) == {0, 1}, "one positive label an image, as in training"
    clean = open_train(task, facts.task_data(task), validation="clean").validation
    assert clean is not None
    assert set(np.unique(clean.observed)) == {1}, "complete labels where they are asked for (here: all present)"
    assert task.counts.observed == tuple((observed[~held] == 1).sum(axis=0).tolist())


def test_the_draw_goes_on_where_the_golden_one_does() -> None:
    stored = np.load(facts.GOLDEN / "spml_observe_toy.npz")
    labels = stored["labels_pm1"].astype(np.int8)
    expected = np.where(stored["observed_pos1_neg0"] == 1, 1, 0)
    np.testing.assert_array_equal(cole_observed(labels, 1200), expected)


@pytest.mark.parametrize(("make", "rows"), [(spml_cub, (4795, 1199)), (spml_voc, (4574, 1143))])
def test_splits_of_largeloss(make: object, rows: tuple[int, int]) -> None:
    task = make("largeloss")  # type: ignore[operator]
    view = open_train(task, facts.task_data(task))
    assert view.validation is not None
    assert (len(view), len(view.validation)) == rows
    if task.name == "spml-cub":
        golden = np.load(facts.GOLDEN / "spml_train_val_split.npz")["cub__val_idx"]
        np.testing.assert_array_equal(np.flatnonzero(held_out(task, ["x"] * sum(rows))), np.sort(golden))
    assert (view.observed == 1).sum(axis=1).tolist() == [1] * rows[0]


@pytest.mark.parametrize(
    ("make", "file", "rows", "test_rows"),
    [(spml_voc, "voc", 5717, 5823), (spml_cub, "cub", 5994, 5794), (spml_coco, "coco", 82081, 40)],
)
def test_splc_observes_the_published_single_labels(make: object, file: str, rows: int, test_rows: int) -> None:
    task = make("splc")  # type: ignore[operator]
    data = facts.task_data(task)
    view = open_train(task, data)
    name = "dataset/coco_train_singlelabel.txt" if file == "coco" else f"dataset/{file}_train.txt"
    lines = facts.mirrored("jameslahm/HSPNet", name)
    assert len(view) == len(lines) == rows
    for row, row_id, line in zip(view.observed, view.ids, lines, strict=True):
        image, _, label = line.partition(",")
        assert row_id in (image, image.removesuffix(".jpg"))
        assert np.flatnonzero(row).tolist() == [int(label)]
        assert row[int(label)] == 1
    assert view.validation is None
    assert len(open_test(task, data)) == test_rows


def test_splc_tunes_on_held_out_rows_without_touching_final_runs() -> None:
    task = spml_voc("splc")
    view = open_train(task, facts.task_data(task), "tune")
    assert view.validation is not None
    assert len(view) + len(view.validation) == 5717
    assert not set(view.ids) & set(view.validation.ids)


def test_single_labels_of_voc_are_true_where_difficult_objects_count() -> None:
    task = spml_voc("splc")
    view = open_train(task, facts.task_data(task))
    complete = facts.voc2012()["train"][1]
    assert (complete[view.observed == 1] == 1).all()


def test_test_labels_of_splc_are_those_of_the_published_files() -> None:
    for task, positives in ((spml_voc("splc"), 8856), (spml_cub("splc"), 182701)):
        truth = open_truth(task, facts.task_data(task))
        lines = facts.mirrored("jameslahm/HSPNet", f"dataset/{task.name[-3:]}_val.txt")
        assert len(truth.ids) == len(lines)
        written = sum(len(line.replace(",", " ").split()) - 1 for line in lines)
        assert (truth.labels == 1).sum() == written
        assert written == positives or task.name == "spml-cub"


def test_nus_test_rows_are_found_by_their_flickr_number() -> None:
    task = spml_nus("splc")
    data = facts.task_data(task)
    view = open_test(task, data)
    lines = facts.mirrored("jameslahm/HSPNet", "dataset/nus_val.txt")
    assert len(view) == len(lines) == 50720
    for row_id, line in zip(view.ids, lines, strict=True):
        assert row_id.rpartition("_")[2] == f"{line.split('_')[1]}.jpg"
    assert not task.official
    assert "missing from every copy" in task.unpinned["observed_labels"]


def test_nus_single_labels_come_from_a_users_own_file(tmp_path: Path) -> None:
    """The published file is not at hand, so one of its form stands in."""
    task = spml_nus("splc")
    data = facts.task_data(task)
    ids = data.part("all+concepts").ids
    own = tmp_path / "nus_train_singlelabel.txt"
    own.write_text("".join(f"{k}_{ids[k].rpartition('_')[2][:-4]}_0a_m.jpg,{k % 81}\n" for k in (7, 3, 5)))
    files = {"nus_train_singlelabel.txt": own}
    open_file = data.open_file
    assert open_file is not None
    from dataclasses import replace

    view = open_train(task, replace(data, open_file=lambda name: files.get(name) or open_file(name)))
    assert view.ids == (ids[7], ids[3], ids[5])
    assert np.flatnonzero(view.observed.ravel()).tolist() == [7, 81 + 3, 162 + 5]


def test_a_listed_image_that_the_data_set_lacks_is_named() -> None:
    from dataclasses import replace

    task = spml_voc("splc")
    data = facts.task_data(task)
    source = data.open_part

    def short(name: str) -> Part:
        part = source(name)
        return replace(part, ids=part.ids[:-2])

    with pytest.raises(UserError, match=r"lacks 2 of the 5717 images that voc_train.txt lists: 20\d\d_\d+.jpg"):
        open_train(task, replace(data, open_part=short))


def test_pins_follow_from_the_facts() -> None:
    stored = json.loads(Path(str(resources.files("ltbench.tasks.official") / "spml.json")).read_text())
    assert facts.document("spml") == stored
    assert spml_voc("splc").official
    official = {task.address for task in facts.official_tasks("spml") if task.official}
    assert official == {"spml-voc@splc"}


def test_groups_are_counted_without_the_validation_rows() -> None:
    task = spml_cub("largeloss")
    data = facts.task_data(task)
    counts = (open_train(task, data).observed == 1).sum(axis=0)
    groups = open_truth(task, data).groups
    assert groups["head"] == tuple(np.flatnonzero(counts >= 100))
    assert groups["medium"] == tuple(np.flatnonzero((counts >= 20) & (counts < 100)))
    everything = facts.task_data(task).part("train").ids
    assert len(everything) == 5994
    assert counts.sum() == 4795
