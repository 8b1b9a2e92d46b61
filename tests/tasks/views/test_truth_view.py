"""The truth: what phase 1 never reads, columns and groups, rows that stay aligned."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from ltbench.data.base import Part
from ltbench.plugin.errors import UserError
from ltbench.tasks.protocols import Plt
from ltbench.tasks.task import Validation
from ltbench.tasks.views import (
    TrainView,
    open_test,
    open_train,
    open_truth,
)
from tests.tasks.views.view_toys import (
    CLASSES,
    HOLDOUT,
    SIZES,
    ZERO_SHOT,
    Labels,
    complete_labels,
    labels_of,
    make_data,
    make_task,
)


def test_phase_1_reads_no_test_label_and_the_truth_does() -> None:
    def labels_for(part: str) -> Labels:
        if part == "test":
            raise AssertionError("test labels were read")
        return labels_of(part, SIZES[part])

    data = make_data()
    source = data.open_part

    def guarded(name: str) -> Part:
        part = source(name)
        return dataclasses.replace(part, read_labels=lambda: labels_for(name))

    data = dataclasses.replace(data, open_part=guarded)
    task = make_task(protocol=Plt(missing=0.4), validation=Validation(kind="part", part="val"))
    open_train(task, data)
    view = open_test(task, data)
    assert view.ids == tuple(f"test-{k:03d}" for k in range(40))
    assert view.class_names == CLASSES
    with pytest.raises(AssertionError, match="test labels were read"):
        open_truth(task, data)


def test_truth_has_the_tasks_columns_and_groups() -> None:
    task = make_task(protocol=Plt(missing=0.5))
    truth = open_truth(task, make_data())
    np.testing.assert_array_equal(truth.labels, complete_labels("test"))
    observed = (open_train(task, make_data()).observed == 1).sum(axis=0)
    complete = (complete_labels("train") == 1).sum(axis=0)
    for counts, suffix in ((observed, ""), (complete, "_fixed")):
        assert truth.groups[f"head{suffix}"] == tuple(np.flatnonzero(counts >= 40))
        assert truth.groups[f"medium{suffix}"] == tuple(np.flatnonzero((counts >= 30) & (counts < 40)))
        assert truth.groups[f"tail{suffix}"] == tuple(np.flatnonzero(counts < 30))
    assert truth.groups["tail"] != truth.groups["tail_fixed"]
    assert "tail_fixed" not in open_truth(make_task(), make_data()).groups


def test_zero_shot_truth_names_its_unseen_columns() -> None:
    truth = open_truth(make_task(**ZERO_SHOT), make_data())
    assert truth.unseen == (1, 5)
    assert truth.groups == {"seen": (0, 2, 3, 4), "unseen": (1, 5)}
    np.testing.assert_array_equal(truth.labels, complete_labels("test"))


def test_limited_views_stay_aligned() -> None:
    task = make_task(captions="given", validation=HOLDOUT)
    data = make_data()
    train, test, truth = open_train(task, data), open_test(task, data), open_truth(task, data)
    small: tuple[TrainView, Any, Any] = train.limited(7), test.limited(7), truth.limited(7)
    assert [len(small[0]), len(small[1]), len(small[2].ids)] == [7, 7, 7]
    assert small[0].ids == train.ids[:7]
    np.testing.assert_array_equal(small[0].observed, train.observed[:7])
    assert small[0].captions == train.captions[:7]  # type: ignore[index]
    assert small[0].images.load(6) == train.images.load(6)
    assert small[1].ids == small[2].ids == test.ids[:7]
    assert small[1].images.load(6) == test.images.load(6)
    np.testing.assert_array_equal(small[2].labels, truth.labels[:7])
    for view in (train, test, truth):
        assert view.limited(None) is view
        assert view.limited(10_000) is view


def test_missing_parts_and_classes_are_named() -> None:
    with pytest.raises(UserError, match=r"task toy-task: data set toy has no class yak"):
        open_train(make_task(classes=(*CLASSES, "yak")), make_data())
    with pytest.raises(UserError, match=r"has no part 'extra'; it has train, val, test"):
        open_train(make_task(train_part="extra"), make_data())
