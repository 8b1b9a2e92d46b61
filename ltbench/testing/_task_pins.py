"""The rows and labels that an official task pins, from the lists of authors and from labels that are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ltbench.data.base import DataRoot, DataSet, Part
from ltbench.plugin.errors import UserError
from ltbench.tasks.registry import files_of, load_task
from ltbench.tasks.task import PublishedFile, Task
from ltbench.tasks.views.opened import TaskData
from ltbench.tasks.views.rows import unused_rows
from ltbench.testing._task_lists import listed

#: Row id → classes present; None where nobody says, so that they are drawn.
Rows = dict[str, "tuple[str, ...] | None"]
Given = Mapping[str, Mapping[str, Sequence[str]]]

#: Parts that a published file lists from first to last → the task with that file, and its role there.
_WHOLE = {
    ("voc2007", "test"): ("voc-lt", "test"),
    ("voc2012", "train"): ("spml-voc@splc", "observed"),
    ("voc2012", "val"): ("spml-voc@splc", "test"),
    ("coco2014", "train"): ("spml-coco@splc", "observed"),
    ("coco2017", "val"): ("coco-lt", "test"),
    ("cub", "train"): ("spml-cub@splc", "observed"),
    ("cub", "test"): ("spml-cub@splc", "test"),
}
_TRAIN_PINS = ("train_ids", "train_labels", "observed_labels", "val_ids", "captions")
_TEST_PINS = ("test_ids", "test_labels")


def pinned_rows(task: Task, given: Given, root: DataRoot) -> dict[str, dict[str, Rows]]:
    """Rows by data set and part of a tree, of those parts that the task's pins are about.

    Raises:
        UserError: a list cannot be had, or labels that no list has are not given.
    """
    found: dict[str, dict[str, Rows]] = {}
    if _is_pinned(task, _TRAIN_PINS):
        part = tree_part(task.train_part, "train")
        found.setdefault(task.data_set, {})[part] = _training(task, part, given.get(task.data_set), root)
    if _is_pinned(task, _TEST_PINS):
        name, part = task.test_data_set or task.data_set, tree_part(task.test_part, "test")
        file = task.defining("test")
        found.setdefault(name, {})[part] = dict(
            listed(task, file, name, root) if file is not None else _whole(name, part, task, root)
        )
    return found


def tree_part(part: str, meaning: str) -> str:
    """The part of a tree that a task's part is: without the variant; of NUS-WIDE's ``all``, the one that is meant."""
    plain = part.partition("+")[0]
    return meaning if plain == "all" else plain


def _is_pinned(task: Task, names: Sequence[str]) -> bool:
    return any(getattr(task.fingerprints, name) is not None for name in names)


def _whole(data_set: str, part: str, task: Task, root: DataRoot) -> dict[str, tuple[str, ...]]:
    """All rows of a part, from the list that has them."""
    if (data_set, part) not in _WHOLE:
        raise UserError(f"no published file lists {data_set} {part}, which {task.address} pins")
    address, role = _WHOLE[data_set, part]
    owner = load_task(address)
    file = next(file for file in owner.published if file.role == role)
    return listed(owner, file, data_set, root)


def _training(task: Task, part: str, given: Mapping[str, Sequence[str]] | None, root: DataRoot) -> Rows:
    file = task.defining("train")
    if file is not None:
        return _of_a_list(task, file, root)
    observed = task.defining("observed")
    pins = task.fingerprints
    if given is None and (pins.train_labels is not None or (pins.observed_labels is not None and observed is None)):
        raise UserError(
            f"{task.address} pins labels of {task.data_set} {part} that no published file has",
            f"make_task_tree(…, labels={{{task.data_set!r}: {{row id: classes}}}})",
        )
    if part == "trainval":
        # Its rows are the given ones: the two lists of its halves do not say how they are mixed.
        return {row: tuple(names) for row, names in (given or {}).items()}
    rows = listed(task, observed, task.data_set, root) if observed else _whole(task.data_set, part, task, root)
    if given is None:
        # Of a list of single labels, the one it names is all that is known to be present.
        return {row: names or None for row, names in rows.items()} if observed else dict.fromkeys(rows)
    without = [row for row in rows if row not in given]
    if without:
        raise UserError(f"labels of {len(without)} rows of {task.data_set} {part} are not given: {without[0]}, …")
    return {row: tuple(given[row]) for row in rows}


def _of_a_list(task: Task, file: PublishedFile, root: DataRoot) -> Rows:
    """Rows of a defining list, and the validation rows that are drawn from what it leaves out."""
    rows: Rows = dict(listed(task, file, task.data_set, root))
    pool = task.defining("validation")
    if pool is not None:
        everything = sorted({*rows, *listed(task, pool, task.data_set, root)})
        drawn = unused_rows(task, _files_only(task, root), everything, tuple(rows))
        rows |= dict.fromkeys(everything[int(row)] for row in drawn)
    return dict(sorted(rows.items()))


def _files_only(task: Task, root: DataRoot) -> DataSet:
    def no_part(name: str) -> Part:
        raise AssertionError(f"part {name} is not written yet")

    return TaskData(task.data_set, task.classes, (), no_part, open_file=files_of(task, root))
