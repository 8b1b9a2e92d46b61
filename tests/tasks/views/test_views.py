"""Views: what phase 1 may see, what it may not, and that the truth is the task's."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from ltbench.data.base import DataSet, Part
from ltbench.plugin.errors import UserError
from ltbench.tasks.groups import GroupRule
from ltbench.tasks.protocols import Full, Partial, Plt, SeenOnly, SinglePositive, fingerprint
from ltbench.tasks.task import Fingerprints, Task, Validation
from ltbench.tasks.views import (
    TrainView,
    caption_from_labels,
    check_fingerprints,
    compare_fingerprints,
    mask_namespace,
    open_test,
    open_train,
    open_truth,
    validation_labels,
)

Labels = npt.NDArray[np.int8]

CLASSES = ("ant", "bee", "cat", "dog", "elk", "fox")
SOURCE = ("fox", "elk", "dog", "cat", "bee", "ant", "gnu")
"""The data set's own order, with a class that the tasks leave out."""


class Pictures:
    """Images that know which row they are."""

    def __init__(self, part: str, ids: Sequence[str]) -> None:
        self.part, self.ids = part, tuple(ids)

    def __len__(self) -> int:
        return len(self.ids)

    def load(self, row: int) -> Any:
        return f"{self.part}/{self.ids[row]}"

    def sha256(self, row: int) -> str:
        return fingerprint([f"{self.part}/{self.ids[row]}"])


def labels_of(part: str, rows: int) -> Labels:
    rng = np.random.default_rng([len(part), rows])
    labels = np.where(rng.random((rows, len(SOURCE))) < 0.3, 1, -1).astype(np.int8)
    labels[np.arange(rows), np.arange(rows) % 6] = 1
    return labels


SIZES = {"train": 90, "val": 30, "test": 40}


def make_data(
    order: Sequence[int] | None = None, labels_for: Callable[[str], Labels] | None = None, rows: int | None = None
) -> DataSet:
    """A data set in memory; ``order`` shuffles the training rows."""

    def open_part(name: str) -> Part:
        size = rows if rows is not None and name == "train" else SIZES[name]
        at = np.arange(size) if order is None or name != "train" else np.asarray(order)
        ids = tuple(f"{name}-{k:03d}" for k in at)
        labels = (labels_for or (lambda part: labels_of(part, SIZES[part])))(name)
        captions = tuple(f"caption of {row} with a bicycle" for row in ids)
        return Part(name, ids, Pictures(name, ids), lambda: labels[at].copy(), lambda: captions)

    groups = {"small": ("ant", "bee"), "large": ("elk", "dog", "fox"), "odd": ("gnu",)}
    return DataSet("toy", SOURCE, tuple(SIZES), open_part, groups)


def make_task(**changes: Any) -> Task:
    facts: dict[str, Any] = {
        "name": "toy-task", "version": 1, "family": "ltml", "title": "a toy", "data_set": "toy", "train_part": "train",
        "test_part": "test", "classes": CLASSES, "protocol": Full(), "groups": GroupRule(head_from=40, medium_from=30),
    }  # fmt: skip
    return Task(**{**facts, **changes})


ZERO_SHOT: dict[str, Any] = {
    "family": "zero-shot",
    "unseen": ("bee", "fox"),
    "train_rows": "seen-only",
    "protocol": SeenOnly(seen=("ant", "cat", "dog", "elk")),
    "groups": GroupRule.zero_shot(("ant", "cat", "dog", "elk"), ("bee", "fox")),
    "validation": Validation(kind="part", part="val", classes=("cat",)),
}


def complete_labels(part: str, classes: Sequence[str] = CLASSES) -> Labels:
    """Complete labels in the task's column order, straight from the source."""
    return labels_of(part, SIZES[part])[:, [SOURCE.index(name) for name in classes]]


@pytest.mark.parametrize("protocol", [Full(), Partial(share=0.4), SinglePositive(), Plt(missing=0.4)])
def test_observed_labels_are_the_protocols(protocol: Any) -> None:
    task = make_task(protocol=protocol, mask_seed=7)
    view = open_train(task, make_data())
    expected = protocol.apply(complete_labels("train"), view.ids, CLASSES, "toy-task.v1", 7)
    np.testing.assert_array_equal(view.observed, expected)
    assert view.class_names == CLASSES
    assert mask_namespace(task) == "toy-task.v1"
    if not isinstance(protocol, Full):
        assert not np.array_equal(view.observed, complete_labels("train"))


def test_masks_of_settings_are_nested_because_they_share_a_namespace() -> None:
    views = [
        open_train(make_task(protocol=Partial(share=share), setting=f"p{round(100 * share)}"), make_data()).observed
        for share in (0.2, 0.5, 0.8)
    ]
    for smaller, larger in itertools.pairwise(views):
        known = smaller != 0
        assert known.sum() < (larger != 0).sum()
        np.testing.assert_array_equal(larger[known], smaller[known])


def test_a_new_version_draws_new_masks() -> None:
    first, second = (
        open_train(make_task(protocol=Partial(share=0.5), version=v), make_data()).observed for v in (1, 2)
    )
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("protocol", [SinglePositive(), Plt(missing=0.0), Plt(missing=0.5)])
def test_no_absent_label_is_observed_where_only_present_ones_may_be(protocol: Any) -> None:
    assert set(np.unique(open_train(make_task(protocol=protocol), make_data()).observed)) == {0, 1}


def test_given_captions_are_the_data_sets_row_by_row() -> None:
    view = open_train(make_task(captions="given"), make_data())
    assert view.captions == tuple(f"caption of {row} with a bicycle" for row in view.ids)


@pytest.mark.parametrize("protocol", [Partial(share=0.4), SinglePositive(), Plt(missing=0.4)])
def test_given_captions_are_refused_where_labels_are_hidden(protocol: Any) -> None:
    with pytest.raises(ValidationError, match="captions name what a mask hides"):
        make_task(protocol=protocol, captions="given")


@pytest.mark.parametrize("protocol", [Partial(share=0.4), SinglePositive(), Plt(missing=0.4)])
def test_observed_captions_name_observed_labels_and_nothing_else(protocol: Any) -> None:
    view = open_train(make_task(protocol=protocol, captions="observed"), make_data())
    assert view.captions is not None
    for row, caption in zip(view.observed, view.captions, strict=True):
        named = [name for name in SOURCE if name in caption.replace(".", "").replace(",", "").split()]
        assert sorted(named) == [name for name, value in zip(CLASSES, row, strict=True) if value == 1]
    hidden = (complete_labels("train") == 1) & (view.observed != 1)
    assert hidden.any(axis=1).sum() > 20


def test_captions_are_absent_unless_the_task_has_them() -> None:
    assert open_train(make_task(), make_data()).captions is None


def test_captions_from_labels_read_as_sentences() -> None:
    assert caption_from_labels([]) == "a photo of a scene."
    assert caption_from_labels(["cup"]) == "a photo of a cup."
    assert caption_from_labels(["cup", "traffic_light", "star"]) == "a photo of a cup, a traffic light and a star."


def strings_within(thing: Any) -> Iterator[str]:
    if isinstance(thing, str):
        yield thing
    elif dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        for item in dataclasses.fields(thing):
            yield from strings_within(getattr(thing, item.name))
    elif isinstance(thing, dict):
        for key, value in thing.items():
            yield from strings_within(key)
            yield from strings_within(value)
    elif isinstance(thing, list | tuple):
        for part in thing:
            yield from strings_within(part)


@pytest.mark.parametrize("purpose", ["final", "tune"])
def test_zero_shot_training_knows_seen_columns_and_names_only(purpose: Any) -> None:
    task = make_task(**ZERO_SHOT)
    view = open_train(task, make_data(), purpose)
    hidden = {"bee", "fox", "gnu"} | ({"cat"} if purpose == "tune" else set())
    kept = tuple(name for name in ("ant", "cat", "dog", "elk") if name not in hidden)
    assert view.class_names == kept
    rows = [int(row.removeprefix("train-")) for row in view.ids]
    np.testing.assert_array_equal(view.observed, complete_labels("train", kept)[rows])
    training_side = dataclasses.replace(view, validation=None)
    assert not hidden & set(strings_within(training_side))
    assert view.label_groups == ({"small": ("ant",), "large": ("elk", "dog")})


def test_no_training_row_shows_an_unseen_object_and_each_shows_a_seen_one() -> None:
    view = open_train(make_task(**ZERO_SHOT), make_data())
    complete = complete_labels("train")
    rows = [int(row.removeprefix("train-")) for row in view.ids]
    unseen, seen = [1, 5], [0, 2, 3, 4]
    wanted = (complete[:, unseen] == -1).all(axis=1) & (complete[:, seen] == 1).any(axis=1)
    np.testing.assert_array_equal(rows, np.flatnonzero(wanted))
    assert 0 < len(rows) < 90
    assert [view.images.load(k) for k in range(len(rows))] == [f"train/train-{row:03d}" for row in rows]


def test_tuning_a_zero_shot_task_withholds_its_validation_classes() -> None:
    view = open_train(make_task(**ZERO_SHOT), make_data(), "tune")
    rows = [int(row.removeprefix("train-")) for row in view.ids]
    assert (complete_labels("train", ("cat",))[rows] == -1).all(), "no training row shows a withheld class"
    assert view.validation is not None
    assert view.validation.class_names == ("cat",)
    val = [int(row.removeprefix("val-")) for row in view.validation.ids]
    np.testing.assert_array_equal(view.validation.observed, complete_labels("val", ("cat",))[val])
    assert (complete_labels("val", ("bee", "fox"))[val] == -1).all(), "no validation row shows an unseen class"
    final = open_train(make_task(**ZERO_SHOT), make_data(), "final")
    assert final.validation is not None
    assert final.validation.class_names == final.class_names


HOLDOUT = Validation(kind="holdout", fraction=0.3, labels="clean")


def test_holdout_is_disjoint_and_complete() -> None:
    view = open_train(make_task(validation=HOLDOUT, captions="given"), make_data())
    assert view.validation is not None
    assert len(view.validation) == 27
    assert not set(view.ids) & set(view.validation.ids)
    assert sorted((*view.ids, *view.validation.ids)) == [f"train-{k:03d}" for k in range(90)]
    for part in (view, view.validation):
        rows = [int(row.removeprefix("train-")) for row in part.ids]
        np.testing.assert_array_equal(part.observed, complete_labels("train")[rows])
        assert part.images.load(0) == f"train/{part.ids[0]}"
    assert view.captions is not None
    assert all(row in caption for row, caption in zip(view.ids, view.captions, strict=True))


def test_holdout_does_not_depend_on_the_order_of_rows() -> None:
    order = np.random.default_rng(5).permutation(90)
    plain, shuffled = (open_train(make_task(validation=HOLDOUT), make_data(order=o)) for o in (None, order))
    assert plain.validation is not None
    assert shuffled.validation is not None
    assert plain.ids != shuffled.ids
    assert set(plain.validation.ids) == set(shuffled.validation.ids)


@pytest.mark.parametrize("promised", ["clean", "observed"])
@pytest.mark.parametrize("kind", ["holdout", "part"])
def test_validation_labels_are_clean_only_in_a_search_or_where_a_row_says_so(kind: Any, promised: Any) -> None:
    place: dict[str, Any] = {"fraction": 0.3} if kind == "holdout" else {"part": "val"}
    task = make_task(protocol=Partial(share=0.5), validation=Validation(kind=kind, labels=promised, **place))
    data = make_data()
    views = {
        "final": open_train(task, data).validation,
        "asked": open_train(task, data, validation="clean").validation,
        "search": open_train(task, data, "tune").validation,
    }
    source = "train" if kind == "holdout" else "val"
    for name, view in views.items():
        assert view is not None
        clean = complete_labels(source)[[int(row.removeprefix(f"{source}-")) for row in view.ids]]
        if name == "asked" or (name == "search" and promised == "clean"):
            np.testing.assert_array_equal(view.observed, clean)
        else:
            known = view.observed != 0
            assert 0.35 < known.mean() < 0.65
            np.testing.assert_array_equal(view.observed[known], clean[known])
    assert validation_labels(task) == "observed"
    assert validation_labels(task, "clean") == "clean"


def test_where_nothing_is_hidden_validation_is_clean_and_where_there_is_none_it_is_not() -> None:
    place: dict[str, Any] = {"kind": "holdout", "fraction": 0.3}
    assert validation_labels(make_task(validation=Validation(**place))) == "clean"
    assert validation_labels(make_task(validation=Validation(**place, tuning_only=True)), "clean") == ""
    assert validation_labels(make_task(validation=Validation())) == ""


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
