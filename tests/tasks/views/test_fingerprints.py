"""Fingerprints: data of the task's version are accepted, others are refused with both hashes and a cause."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ltbench.data.base import DataSet
from ltbench.plugin.errors import UserError
from ltbench.tasks.task import Fingerprints, Task
from ltbench.tasks.views import (
    check_fingerprints,
    compare_fingerprints,
    open_truth,
)
from tests.tasks.views.view_toys import HOLDOUT, SIZES, Labels, labels_of, make_data, make_task


def pinned_task(**changes: Any) -> Task:
    task = make_task(**changes)
    return task.model_copy(update={"fingerprints": open_truth(task, make_data()).fingerprints})


def test_fingerprints_as_found_are_accepted() -> None:
    task = pinned_task(captions="given", validation=HOLDOUT)
    found = open_truth(task, make_data()).fingerprints
    filled = {name for name, value in found.model_dump().items() if value is not None}
    assert filled == set(Fingerprints.model_fields) - {"images"}
    check_fingerprints(task, found)


def _flip(part: str, row: int = 3) -> Callable[[str], Labels]:
    def labels_for(name: str) -> Labels:
        labels = labels_of(name, SIZES[name])
        if name == part:
            labels[row, 0] *= -1
        return labels

    return labels_for


@pytest.mark.parametrize(
    ("data", "named", "cause"),
    [
        (make_data(labels_for=_flip("train")), {"train_labels", "observed_labels"}, "another annotation release"),
        (make_data(labels_for=_flip("test")), {"test_labels"}, "another annotation release"),
        (make_data(order=[1, 0, *range(2, 90)]), {"train_ids"}, "another split under the same name"),
        (make_data(rows=89), {"train_ids", "train_labels", "observed_labels"}, "rows added or removed"),
    ],
)
def test_other_data_are_refused_with_both_hashes_and_a_cause(data: DataSet, named: set[str], cause: str) -> None:
    task = pinned_task()
    found = open_truth(task, data).fingerprints
    with pytest.raises(UserError) as caught:
        check_fingerprints(task, found)
    message = caught.value.message
    assert message.startswith("task toy-task: the data are not those of version 1")
    assert cause in message
    for name in named:
        assert f"{name}: expected sha256 {getattr(task.fingerprints, name)}, found {getattr(found, name)}" in message
    assert "ltbench show task toy-task" in caught.value.hint


def test_every_fingerprint_is_compared_and_an_unpinned_one_is_not() -> None:
    pinned = Fingerprints(**dict.fromkeys(Fingerprints.model_fields, "a" * 64))
    for name in Fingerprints.model_fields:
        other = pinned.model_copy(update={name: "b" * 64})
        (line,) = compare_fingerprints(pinned, other)
        assert line.startswith(f"{name}: expected sha256 {'a' * 64}, found {'b' * 64} (likely ")
        assert compare_fingerprints(pinned.model_copy(update={name: None}), other) == []
    assert compare_fingerprints(pinned, pinned) == []
