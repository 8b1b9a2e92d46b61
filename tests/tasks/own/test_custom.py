"""A task from a user's own photographs: versioned, pinned, found by name and by path."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ltbench.data.base import DataRoot
from ltbench.data.own.folder import folder_status, open_folder
from ltbench.metrics.versions import CONTRACT_VERSIONS
from ltbench.plugin import UserError
from ltbench.tasks.cards.card import Card, make_card
from ltbench.tasks.defaults import suggested_run
from ltbench.tasks.own.custom import custom_tasks, features_of, find_custom, folder_of, load_custom
from ltbench.tasks.own.new import Order, create_task
from ltbench.tasks.registry import open_data_set, resolve
from ltbench.tasks.task import Task
from ltbench.tasks.views import check_fingerprints, open_test, open_train, open_truth

ROWS = ["a.png,train,cat", "b.png,train,cat|dog", "c.png,train,", "d.png,test,dog", "e.png,test,cat"]


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Order:
    """Five tiny photographs with a CSV, and the current folder beside them."""
    images = tmp_path / "photos"
    images.mkdir()
    for number, row in enumerate(ROWS):
        picture(images / row.partition(",")[0], number)
    monkeypatch.chdir(tmp_path)
    return Order("my-photos", table(tmp_path, ROWS), images)


def picture(path: Path, colour: int) -> None:
    Image.fromarray(np.full((6, 8, 3), colour, dtype=np.uint8)).save(path)


def table(tmp_path: Path, rows: list[str], header: str = "file,split,labels") -> Path:
    path = tmp_path / "labels.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_a_task_is_pinned_and_opens_through_the_views(order: Order) -> None:
    created = create_task(order)
    task = created.task
    assert (task.name, task.version, task.family, task.data_set) == ("my-photos", 1, "custom", "folder:my-photos")
    assert (task.protocol.kind, task.unknown_policy, task.classes) == ("full", "ignore", ("cat", "dog"))
    assert (task.groups.head_from, task.groups.medium_from) == (100, 20)
    assert task.official
    assert (created.rows, created.changed) == ({"train": 3, "test": 2}, True)

    data = open_folder(created.folder)
    train, test, truth = open_train(task, data), open_test(task, data), open_truth(task, data)
    assert train.observed.tolist() == [[1, -1], [1, 1], [-1, -1]]
    assert train.validation is None
    assert (test.ids, truth.labels.tolist()) == (("d.png", "e.png"), [[-1, 1], [1, -1]])
    assert truth.groups["tail"] == (0, 1)
    check_fingerprints(task, truth.fingerprints)
    pinned = {name for name, value in task.fingerprints if value is not None}
    assert pinned == {
        "class_names", "train_ids", "observed_labels", "train_labels", "test_ids", "test_labels", "groups", "images",
    }  # fmt: skip


def test_labels_lie_in_files_of_their_own_and_paths_stay_out_of_the_task(order: Order, tmp_path: Path) -> None:
    folder = create_task(order).folder
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*")) == [
        "source.json", "task.json", "v1/labels-test.npy", "v1/labels-train.npy", "v1/rows.json", "v1/stamps.json",
        "v1/task.json",
    ]  # fmt: skip
    for name in ("task.json", "v1/task.json", "v1/rows.json", "v1/stamps.json"):
        assert str(tmp_path) not in (folder / name).read_text()
    rows = json.loads((folder / "v1/rows.json").read_text())
    assert set(rows["parts"]["test"]) == {"ids", "sha256"}
    assert json.loads((folder / "source.json").read_text())["images"] == str(tmp_path / "photos")


def test_the_same_again_changes_nothing_and_other_data_make_a_new_version(order: Order, tmp_path: Path) -> None:
    first = create_task(order)
    before = (first.folder / "task.json").read_bytes()
    again = create_task(order)
    assert (again.changed, again.task) == (False, first.task)
    assert (first.folder / "task.json").read_bytes() == before

    table(tmp_path, [*ROWS[:4], "e.png,test,cat|dog"])
    second = create_task(order)
    assert (second.changed, second.task.version) == (True, 2)
    assert second.task.fingerprints.test_labels != first.task.fingerprints.test_labels
    assert second.task.fingerprints.train_labels == first.task.fingerprints.train_labels

    picture(tmp_path / "photos" / "a.png", 77)
    third = create_task(order)
    assert third.task.version == 3
    assert third.task.fingerprints.images != second.task.fingerprints.images

    assert load_custom(first.folder).version == 3
    assert load_custom(first.folder / "v1") == first.task
    old = open_truth(first.task, open_folder(first.folder / "v1"))
    assert old.fingerprints == first.task.fingerprints


def test_a_new_task_takes_the_newest_contract_and_an_old_one_keeps_its_own(order: Order) -> None:
    created = create_task(order)
    assert created.task.contract == CONTRACT_VERSIONS[-1] == 2
    path = created.folder / "task.json"
    document = json.loads(path.read_text())
    assert document.pop("contract") == 2
    path.write_text(json.dumps({**document, "contract": 1}, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    again = create_task(order)
    assert (again.changed, again.task.contract, again.task.version) == (False, 1, 1)


def test_another_validation_is_another_version(order: Order) -> None:
    create_task(order)
    held = create_task(replace(order, validation=0.3))
    assert (held.task.version, held.task.validation.kind, held.task.validation.fraction) == (2, "holdout", 0.3)
    train = open_train(held.task, open_folder(held.folder))
    assert (len(train), train.validation is not None and len(train.validation)) == (2, 1)
    assert create_task(replace(order, validation=0.3)).changed is False


def test_a_val_part_is_used_for_validation(order: Order, tmp_path: Path) -> None:
    table(tmp_path, [ROWS[0], ROWS[1], "c.png,val,dog", *ROWS[3:]])
    created = create_task(order)
    assert (created.task.validation.kind, created.task.validation.part) == ("part", "val")
    assert open_train(created.task, open_folder(created.folder)).validation is not None
    with pytest.raises(UserError, match="--validation has no meaning"):
        create_task(replace(order, validation=0.2))


def test_unknown_labels_are_zero_and_said(order: Order, tmp_path: Path) -> None:
    table(tmp_path, ["a.png,train,cat,dog", "b.png,train,dog,", "d.png,test,cat,dog"], "file,split,labels,unknown")
    created = create_task(order)
    data = open_folder(created.folder)
    assert open_train(created.task, data).observed.tolist() == [[1, 0], [-1, 1]]
    assert open_truth(created.task, data).labels.tolist() == [[1, 0]]
    assert created.notes == (
        "1 of 2 classes have no test image, means leave them out: dog",
        "2 labels are unknown: ignored in training and in scores",
    )


def test_without_a_split_column_the_split_is_seeded(order: Order, tmp_path: Path) -> None:
    rows = [",".join((row.split(",")[0], row.split(",")[2])) for row in ROWS]
    table(tmp_path, rows, "file,labels")
    first = create_task(replace(order, test_share=0.4))
    assert first.rows == {"train": 3, "test": 2}
    assert create_task(replace(order, test_share=0.4)).changed is False
    table(tmp_path, rows[::-1], "file,labels")
    reordered = create_task(replace(order, name="reordered", test_share=0.4))
    ids = open_folder(first.folder).part("test").ids
    assert sorted(open_folder(reordered.folder).part("test").ids) == sorted(ids)


def test_split_and_test_share_exclude_each_other(order: Order) -> None:
    with pytest.raises(UserError, match="--test-share has no meaning"):
        create_task(replace(order, test_share=0.4))


def test_bad_rows_and_bad_images_are_told_together(order: Order, tmp_path: Path) -> None:
    table(tmp_path, [*ROWS, "f.png,test,dog", "b.png,train,dog", "a.png,tset,"])
    (tmp_path / "photos" / "d.png").write_text("no image")
    with pytest.raises(UserError) as caught:
        create_task(order)
    assert caught.value.details == (
        "labels.csv line 5: image 'd.png' cannot be decoded (no image format that Pillow knows)",
        "labels.csv line 7: image 'f.png' is missing",
        "labels.csv line 8: duplicate file 'b.png' (first on line 3)",
        "labels.csv line 9: duplicate file 'a.png' (first on line 2)",
        "labels.csv line 9: unknown split 'tset'; it is one of train, val, test",
    )
    assert not (tmp_path / "ltbench-tasks").exists()


def test_the_wrong_folder_is_one_line_not_hundreds(order: Order, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"none of the 5 files of labels\.csv is in .*first: a\.png") as caught:
        create_task(replace(order, images=tmp_path / "empty"))
    assert caught.value.details == ()


@pytest.mark.parametrize(
    ("rows", "header", "words"),
    [
        (["a.png,train,cat"], "file,split,labels", "leaves no image for test"),
        (["a.png,val,cat"], "file,split,labels", "leaves no image for train and test"),
        (["a.png,train,", "b.png,test,"], "file,split,labels", "names no class"),
    ],
)
def test_a_table_without_substance_is_refused(
    order: Order, tmp_path: Path, rows: list[str], header: str, words: str
) -> None:
    table(tmp_path, rows, header)
    with pytest.raises(UserError, match=words):
        create_task(order)


@pytest.mark.parametrize(("name", "words"), [("My Photos", "use lower-case"), ("shapes-lt", "exists already")])
def test_a_bad_name_is_refused(order: Order, name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        create_task(replace(order, name=name))


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
    with pytest.raises(UserError, match=r"bad\.npz cannot be read"):
        create_task(replace(order, features=tmp_path / "bad.npz"))
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


def card_of(task: Task) -> Card:
    return make_card([task], open_data=lambda each: open_data_set(each, DataRoot(offline=True)))


def test_the_card_counts_the_folder_and_says_what_is_unknown(order: Order, tmp_path: Path) -> None:
    rows = ["a.png,train,cat,", "b.png,train,cat|dog,", "c.png,train,,dog", "d.png,test,dog,", "e.png,test,cat,dog"]
    table(tmp_path, rows, "file,split,labels,unknown")
    card = card_of(create_task(order).task)
    assert card.facts["rows"] == "3 training, 2 test"
    assert card.facts["labels"] == (
        "all known labels observed; 1 of 6 training labels and 1 of 4 test labels are unknown to the data themselves"
    )
    assert card.facts["counts"] == "counted in the data at hand"
    classes = card.table("Classes")
    assert classes is not None
    assert classes.rows == (("cat", "tail", "2", "1"), ("dog", "tail", "1", "1"), ("total", "", "3", "2"))


def test_the_card_of_a_task_without_unknown_labels(order: Order) -> None:
    assert card_of(create_task(order).task).facts["labels"] == "all labels observed"


def test_the_card_of_a_folder_that_is_gone(order: Order) -> None:
    created = create_task(order)
    shutil.rmtree(created.folder)
    card = card_of(created.task)
    assert card.facts["counts"] == "not counted: its folder is not here"
    assert card.table("Classes") is None


def test_the_suggested_command_names_a_backbone_where_there_is_no_default(order: Order, tmp_path: Path) -> None:
    task = create_task(order).task
    assert suggested_run(task, "my-photos") == (
        "ltbench run --task my-photos --method linear-probe-lbfgs --backbone timm:resnet18"
    )
    files = np.array([row.partition(",")[0] for row in ROWS])
    np.savez(tmp_path / "features.npz", files=files, features=np.zeros((5, 3), dtype=np.float32))
    other = create_task(replace(order, name="with-features", features=tmp_path / "features.npz")).task
    assert suggested_run(other, "with-features") == "ltbench run --task with-features --method linear-probe-lbfgs"
    assert suggested_run(resolve("voc-lt")[0], "voc-lt") == (
        "ltbench run --task voc-lt --method zero-shot --backbone clip-rn50"
    )
    assert suggested_run(resolve("shapes-lt")[0], "shapes-lt") == "ltbench run --task shapes-lt --method zero-shot"
