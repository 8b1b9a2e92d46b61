"""Every official task on a tree of its own: small ones that need nothing, and those that meet the task's pins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from ltbench.cli import main
from ltbench.data.base import DataRoot, DataSet, Part
from ltbench.plugin.errors import UnknownName, UserError
from ltbench.tasks.plugin import ltbench_tasks
from ltbench.tasks.registry import files_of, load_task, resolve
from ltbench.tasks.task import Fingerprints, Task
from ltbench.tasks.views import check_fingerprints, open_test, open_train, open_truth
from ltbench.tasks.views.opened import TaskData
from ltbench.tasks.views.rows import mask_namespace
from ltbench.testing._task_pins import Rows, pinned_rows
from ltbench.testing._tree_plan import CLASSES
from ltbench.testing.task_trees import make_task_tree, tree_parts
from ltbench.testing.trees import Tree
from tests.tasks.official import official_facts as facts

#: One setting of each task of the papers, and both of those whose settings have other rows.
PAPERS = [
    f"{spec.name}@{setting}" if setting else spec.name
    for spec in ltbench_tasks()
    if spec.data_set != "shapes"
    for setting in (spec.settings if spec.family == "spml" else spec.settings[-1:]) or (None,)
]
SHAPES = [spec.name for spec in ltbench_tasks() if spec.data_set == "shapes"]


@pytest.fixture
def mirror(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Authors' lists come from the mirror, and the network is off limits."""
    monkeypatch.setenv("LTBENCH_MIRROR", str(facts.MIRROR))
    monkeypatch.setenv("LTBENCH_OFFLINE", "1")
    return facts.MIRROR


def present(tree: Tree, row: str, classes: Sequence[str], task: Task, judged: bool = False) -> set[int]:
    shown = set(tree.labels[row])
    if (
        task.difficult == "negative"
        or (judged and task.difficult == "unjudged")
        or task.train_part.endswith("+valid-boxes")
    ):
        shown -= set(tree.disputed.get(row, ()))
    return {column for column, name in enumerate(classes) if name in shown}


# --- small ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", PAPERS)
def test_a_small_tree_opens_as_every_task(address: str, tmp_path: Path) -> None:
    official = load_task(address)
    made = make_task_tree(address, tmp_path / "data", seed=1)
    data = made.open(tmp_path / "cache")
    view, test, truth = open_train(made.task, data), open_test(made.task, data), open_truth(made.task, data)
    trained, tested = made.trees[official.data_set], made.trees[official.test_data_set or official.data_set]
    # Of photos-zsl few drawn rows show no unseen class, of photos-micro few show one of its six.
    few = address in ("photos-zsl", "photos-micro")
    assert (3 if few else 30) <= len(view) <= 90
    assert view.class_names == official.seen
    for row, observed in zip(view.ids, view.observed, strict=True):
        shown = present(trained, row, view.class_names, official)
        assert set(np.flatnonzero(observed == 1)) <= shown
        assert not set(np.flatnonzero(observed == -1)) & shown
        if official.protocol.kind == "single-positive":
            assert (observed == 1).sum() == bool(shown)
    assert view.images.load(0).size == test.images.load(len(test) - 1).size == (32, 24)
    assert (view.captions is None) == (official.captions == "none")
    if official.validation.in_final_runs:
        assert view.validation is not None
        assert len(view.validation) >= (3 if few else 10)
        assert not set(view.validation.ids) & set(view.ids)
    assert test.ids == truth.ids
    assert set(test.ids) <= set(tested.labels)
    for row, labels in zip(truth.ids, truth.labels, strict=True):
        assert set(np.flatnonzero(labels == 1)) >= present(tested, row, official.classes, official, judged=True)
        assert set(np.flatnonzero(labels == 1)) <= {
            c for c, name in enumerate(official.classes) if name in tested.labels[row]
        }
    assert set(truth.groups) >= set(open_groups(official))


def open_groups(task: Task) -> tuple[str, ...]:
    return ("head", "medium", "tail") if task.groups.by_count else tuple(group.name for group in task.groups.fixed)


@pytest.mark.parametrize("address", PAPERS)
def test_the_task_of_a_small_tree_has_the_rules_and_none_of_the_pins(address: str, tmp_path: Path) -> None:
    official = load_task(address)
    made = make_task_tree(address, tmp_path, train=12, test=6)
    small = made.task
    assert (small.name, small.setting) == (f"{official.name}-small", official.setting)
    for name in ("data_set", "test_data_set", "train_part", "test_part", "select", "test_select", "classes", "unseen"):
        assert getattr(small, name) == getattr(official, name)
    for name in ("train_rows", "difficult", "protocol", "mask_seed", "groups", "metrics", "headline", "captions"):
        assert getattr(small, name) == getattr(official, name)
    assert mask_namespace(small) == mask_namespace(official)
    assert not small.ranked
    assert not small.official
    assert small.fingerprints == Fingerprints()
    assert {file.name for file in small.published} == {
        file.name for file in official.published if file.use == "defines"
    }
    assert all(file.origin.startswith("https://small-tree.invalid/") for file in small.published)
    assert made.folder is not None
    assert resolve(str(made.folder)) == [small]


@pytest.mark.parametrize("name", SHAPES)
def test_tasks_on_the_bundled_data_need_no_tree(name: str, tmp_path: Path) -> None:
    (task, *_) = resolve(name)
    made = make_task_tree(task.address, tmp_path)
    assert made.task == task
    assert not list(tmp_path.iterdir())
    if name == "shapes-micro":
        assert open_truth(task, made.open()).fingerprints.test_ids == task.fingerprints.test_ids


@pytest.mark.parametrize("address", ["voc-lt", "spml-nus@splc"])
def test_same_call_writes_the_same_bytes(address: str, tmp_path: Path) -> None:
    for folder, seed in (("one", 1), ("two", 1), ("other", 2)):
        make_task_tree(address, tmp_path / folder, seed, train=8, test=4)

    def content(folder: str) -> dict[str, bytes]:
        root = tmp_path / folder
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    assert content("one") == content("two")
    assert content("one") != content("other")


def test_the_command_line_runs_a_small_task_and_never_ranks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_task_tree("coco-lt", tmp_path / "data", train=12, test=6)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LTBENCH_MIRROR", str(made.mirror))
    run = ["run", "--task", str(made.folder), "--data-root", str(made.root), "--offline"]
    # Set here, so that it is put back: --offline sets it for the process.
    monkeypatch.setenv("LTBENCH_OFFLINE", "1")
    assert main([*run, "--method", "zero-shot", "--backbone", "tiny-clip"]) == 0
    said = capsys.readouterr().out
    assert "coco-lt-small, zero-shot" in said
    assert "Never ranked: the task is made for tests." in said
    assert len(list(tmp_path.glob("ltbench-runs/coco-lt-small/zero-shot/*/attempt-1/record.json"))) == 1


# --- pinned --------------------------------------------------------------------------------------------------------


def given(*names: str) -> dict[str, dict[str, tuple[str, ...]]]:
    return {name: facts.labelled_rows(name, "trainval") for name in names}


def in_memory(task: Task, rows: Mapping[str, Mapping[str, Rows]]) -> TaskData:
    """The rows as a data set; parts that no pin is about have rows of no meaning."""

    def data_set(name: str) -> DataSet:
        def open_part(wanted: str) -> Part:
            plain = wanted.partition("+")[0]
            parts = rows.get(name, {})
            found = {row: names for part in parts.values() for row, names in part.items()} if plain == "all" else (
                parts.get(plain) or {f"{plain}-{number}": None for number in range(40)}
            )  # fmt: skip
            column = {class_name: place for place, class_name in enumerate(CLASSES[name])}
            labels = np.full((len(found), len(column)), -1, dtype=np.int8)
            for place, names in enumerate(found.values()):
                labels[place, [column[each] for each in names or CLASSES[name][:1]]] = 1
            return Part(wanted, tuple(found), facts.NoImages(len(found)), labels.copy)

        variants = (task.train_part, task.test_part, *([task.validation.part] if task.validation.part else []))
        return DataSet(name, CLASSES[name], variants, open_part)

    data = data_set(task.data_set)
    test = None if task.test_data_set is None else data_set(task.test_data_set)
    return TaskData(**{**vars(data), "test": test, "open_file": files_of(task, DataRoot(offline=True))})


@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize("address", [each for each in PAPERS if not each.startswith(("spml-nus", "photos-"))])
def test_pinned_rows_and_labels_are_those_of_the_official_task(address: str) -> None:
    task = load_task(address)
    if address == "spml-coco@largeloss":
        with pytest.raises(UserError, match="pins labels of coco2014 train that no published file has"):
            pinned_rows(task, {}, DataRoot(offline=True))
        return
    rows = pinned_rows(task, given("voc2012") if task.data_set == "voc2012" else {}, DataRoot(offline=True))
    assert bool(rows) == any(
        value for name, value in task.fingerprints.model_dump().items() if name not in ("class_names", "groups")
    )
    check_fingerprints(task, open_truth(task, in_memory(task, rows)).fingerprints)


def test_labels_of_difficult_objects_are_in_no_pinned_tree(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="photos-lt pins which labels only difficult objects show") as caught:
        make_task_tree("photos-lt", tmp_path, pinned=True)
    assert caught.value.hint == "ltbench data prepare photos-lt"


def test_of_nus_wide_the_test_list_is_known_and_the_training_list_is_not(mirror: Path) -> None:
    task = load_task("spml-nus@splc")
    rows = pinned_rows(task, {}, DataRoot(offline=True))
    assert {name: set(parts) for name, parts in rows.items()} == {"nus-wide": {"test"}}
    assert len(rows["nus-wide"]["test"]) == 50720
    assert tree_parts(task) == {"nus-wide": ("train", "test")}


@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize("address", ["coco-lt", "partial-voc2007@p50", "zsl-nus"])
def test_a_pinned_tree_is_the_official_task(address: str, tmp_path: Path) -> None:
    made = make_task_tree(address, tmp_path / "data", pinned=True, train=20, test=10, cache=tmp_path / "cache")
    assert made.task == load_task(address)
    assert (made.folder, made.mirror) == (None, None)
    data = made.open(tmp_path / "cache")
    truth, view = open_truth(made.task, data), open_train(made.task, data)
    check_fingerprints(made.task, truth.fingerprints)
    assert len(view) == {"coco-lt": 1909}.get(address, 20)
    assert len(truth.ids) == {"coco-lt": 5000, "partial-voc2007@p50": 4952}.get(address, 10)
    if address == "coco-lt":
        assert truth.fingerprints == made.task.fingerprints
        assert view.validation is not None
        assert len(view.validation) == 2000
    assert view.images.load(0).size == (8, 6)


# --- refused -------------------------------------------------------------------------------------------------------


def test_labels_that_no_list_has_must_be_given(tmp_path: Path) -> None:
    for address in ("voc-lt", "plt-voc@mr40"):
        with pytest.raises(UserError, match="pins labels of voc2012 trainval that no published file has") as caught:
            make_task_tree(address, tmp_path / "data", pinned=True)
        assert "labels={'voc2012': {row id: classes}}" in caught.value.hint
    assert not (tmp_path / "data").exists()


@pytest.mark.usefixtures("mirror")
def test_given_labels_that_lack_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="labels of 5716 rows of voc2012 train are not given"):
        make_task_tree("spml-voc@splc", tmp_path, pinned=True, labels={"voc2012": {"2008_000008": ["horse"]}})


def test_a_list_that_cannot_be_had_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTBENCH_OFFLINE", "1")
    with pytest.raises(UserError, match=r"coco_lt_train\.txt"):
        make_task_tree("coco-lt", tmp_path / "data", pinned=True, cache=tmp_path / "cache")


def test_addresses_that_are_no_task_setting(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'voc-lt'"):
        make_task_tree("voc-tl", tmp_path)
    with pytest.raises(UserError, match="stands for 2 settings"):
        make_task_tree("spml-voc", tmp_path)
    assert not list(tmp_path.iterdir())
