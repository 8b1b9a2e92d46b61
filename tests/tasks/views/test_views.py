"""Training views: observed labels, captions, what zero-shot training may know, validation rows."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from ltbench.tasks.protocols import Full, Partial, Plt, SinglePositive
from ltbench.tasks.task import Validation
from ltbench.tasks.views import (
    caption_from_labels,
    mask_namespace,
    open_train,
    validation_labels,
)
from tests.tasks.views.view_toys import CLASSES, HOLDOUT, SOURCE, ZERO_SHOT, complete_labels, make_data, make_task


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
