"""The tasks of the bundled data set: addresses, sizes, groups, realised rates, pinned fingerprints."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from ltbench.data.base import DataRoot, DataSet
from ltbench.data.shapes.hashes import PART_SHA256
from ltbench.data.shapes.names import CLASS_NAMES, LABEL_GROUPS, MICRO_CLASSES, SEEN_CLASSES, UNSEEN_CLASSES
from ltbench.plugin.errors import UnknownName, UserError
from ltbench.plugin.manager import registry
from ltbench.tasks.official import pin
from ltbench.tasks.protocols import masks
from ltbench.tasks.registry import load_task, open_data_set, resolve
from ltbench.tasks.task import Task
from ltbench.tasks.views import TrainView, Truth, check_fingerprints, open_test, open_train, open_truth
from ltbench.tasks.views.rows import mask_namespace, training_rows

ADDRESSES = (
    "shapes-lt",
    *(f"shapes-plt@mr{missing}" for missing in (0, 30, 40, 50)),
    "shapes-spml",
    *(f"shapes-partial@p{share}" for share in range(10, 100, 10)),
    "shapes-zsl",
    "shapes-micro",
)
BUNDLED = tuple(dict.fromkeys(address.partition("@")[0] for address in ADDRESSES))


@lru_cache(maxsize=1)
def data() -> DataSet:
    return open_data_set(load_task("shapes-lt"), DataRoot())


@lru_cache(maxsize=32)
def opened(address: str) -> tuple[Task, TrainView, Truth]:
    task = load_task(address)
    return task, open_train(task, data()), open_truth(task, data())


@pytest.fixture(scope="module", autouse=True)
def let_go() -> Iterator[None]:
    """Tests of other modules look for labels that should not be there."""
    yield
    opened.cache_clear()
    data.cache_clear()


def present(view: TrainView) -> np.ndarray:
    return (view.observed == 1).sum(axis=0)


def test_the_registry_offers_these_tasks_and_settings() -> None:
    assert tuple(task.address for name in BUNDLED for task in resolve(name)) == ADDRESSES
    for name in BUNDLED:
        spec = registry().tasks.get(name).spec
        tasks = resolve(name)
        assert {(t.version, t.family, t.data_set) for t in tasks} == {(spec.version, spec.family, spec.data_set)}
        assert {task.ranked for task in tasks} == {spec.ranked}


def test_an_address_names_one_setting_and_a_name_all() -> None:
    assert [task.setting for task in resolve("shapes-plt@mr40")] == ["mr40"]
    assert len(resolve("shapes-partial")) == 9
    with pytest.raises(UserError, match="stands for 4 settings: shapes-plt@mr0, shapes-plt@mr30"):
        load_task("shapes-plt")
    with pytest.raises(UnknownName, match=r"unknown setting of shapes-plt 'mr45'; did you mean '.*mr40'"):
        resolve("shapes-plt@mr45")
    with pytest.raises(UserError, match="task shapes-lt has no settings"):
        resolve("shapes-lt@mr40")
    with pytest.raises(UnknownName, match="did you mean 'shapes-zsl'"):
        resolve("shapes-zsll")


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_task_opens_and_is_the_pinned_one(address: str) -> None:
    task, train, truth = opened(address)
    assert task.address == address
    check_fingerprints(task, truth.fingerprints)
    pinned, found = task.fingerprints.model_dump(), truth.fingerprints.model_dump()
    assert pinned == found, "every fingerprint that the data have is pinned"
    assert {name for name, value in pinned.items() if value is None} <= {"captions"}
    assert (pinned["captions"] is not None) == (task.captions == "given")
    assert task.official == (address != "shapes-micro")
    assert len(train.ids) == len(train.images) == len(train.observed) == len(set(train.ids))
    test = open_test(task, data())
    assert test.ids == truth.ids
    assert len(test.images) == len(truth.labels)
    assert test.class_names == truth.class_names == task.classes
    assert train.class_names == task.seen


def test_the_pinned_document_is_current() -> None:
    text = resources.files("ltbench.tasks.official").joinpath("shapes.json").read_text(encoding="utf-8")
    assert pin.rendered("shapes", DataRoot()) == text, "run: python -m ltbench.tasks.official.pin shapes"


def test_image_fingerprints_follow_the_parts_a_task_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = {name: pin.image_fingerprint(load_task(name)) for name in ("shapes-lt", "shapes-spml", "shapes-micro")}
    assert len(set(tasks.values())) == 3
    monkeypatch.setitem(PART_SHA256, "train-lt", {**PART_SHA256["train-lt"], "images": "0" * 64})
    changed = {name for name, value in tasks.items() if pin.image_fingerprint(load_task(name)) != value}
    assert changed == {"shapes-lt"}


def test_sizes() -> None:
    sizes = {address: len(opened(address)[1]) for address in ADDRESSES}
    assert sizes["shapes-lt"] == sizes["shapes-plt@mr0"] == sizes["shapes-plt@mr50"] == 1100
    assert sizes["shapes-spml"] == sizes["shapes-partial@p10"] == sizes["shapes-partial@p90"] == 1500
    assert sizes["shapes-zsl"] == 470
    for address in ADDRESSES:
        _, train, truth = opened(address)
        assert train.validation is not None
        if address == "shapes-micro":
            assert (len(train), len(train.validation), len(truth.ids)) == (24, 8, 16)
        else:
            assert len(truth.ids) == 1600
            # Rows that show an unseen class leave the validation part of the zero-shot task.
            assert len(train.validation) == (152 if address == "shapes-zsl" else 400)


def test_images_show_more_than_two_objects_on_average() -> None:
    _, train, truth = opened("shapes-lt")
    assert (train.observed == 1).sum(axis=1).mean() >= 2.2
    assert (truth.labels == 1).sum(axis=1).mean() >= 2.2


def test_long_tail_has_the_groups_of_voc_lt() -> None:
    task, train, truth = opened("shapes-lt")
    counts = present(train)
    assert {name: len(columns) for name, columns in truth.groups.items()} == {"head": 6, "medium": 6, "tail": 8}
    assert all(counts[c] >= 100 for c in truth.groups["head"])
    assert all(20 <= counts[c] < 100 for c in truth.groups["medium"])
    assert all(0 < counts[c] < 20 for c in truth.groups["tail"])
    assert sorted(counts.tolist(), reverse=True)[:2] == [560, 450]
    assert counts.min() == 4
    assert task.classes == CLASS_NAMES


def test_test_and_validation_are_balanced() -> None:
    _, train, truth = opened("shapes-lt")
    assert train.validation is not None
    for counts in ((truth.labels == 1).sum(axis=0), present(train.validation)):
        assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize(("setting", "hidden"), [("mr0", 0), ("mr30", 666), ("mr40", 845), ("mr50", 1009)])
def test_plt_hides_the_stated_share_and_leaves_no_image_without_a_label(setting: str, hidden: int) -> None:
    _, train, truth = opened(f"shapes-plt@{setting}")
    complete = opened("shapes-lt")[1].observed
    assert set(np.unique(train.observed)) == ({0, 1})
    kept = train.observed == 1
    assert (complete[kept] == 1).all()
    assert ((complete == 1) & ~kept).sum() == hidden
    assert kept.any(axis=1).all()
    missing = int(setting.removeprefix("mr"))
    per_class = (complete == 1).sum(axis=0)
    drawn = (missing * per_class + 50) // 100
    given_back = drawn.sum() - hidden
    # One label is given back to each image that lost all of its own, and to no other.
    alone = (kept.sum(axis=1) == 1) & ((complete == 1).sum(axis=1) >= 1)
    assert 0 <= given_back <= alone.sum()
    assert (per_class - present(train) <= drawn).all()
    np.testing.assert_array_equal(train.ids, opened("shapes-lt")[1].ids)
    assert [len(truth.groups[f"{name}_fixed"]) for name in ("head", "medium", "tail")] == [6, 6, 8]


def reveal(address: str) -> tuple[float, int]:
    """What a public mask gives away: share of the absent labels that are known to be absent, in %, and mistakes."""
    task = load_task(address)
    rows = training_rows(task, data())
    known = np.zeros(rows.observed.shape, dtype=bool)
    kept = rows.observed == 1
    if task.family == "spml":
        keys = masks.uniforms(masks.SINGLE_POSITIVE_RULE, mask_namespace(task), task.mask_seed, rows.ids, task.classes)
        # The present label with the least key was kept, so what has a lesser one is not present.
        known = (keys < np.where(kept, keys, np.inf).min(axis=1, keepdims=True)) & ~kept
    else:
        alone = kept.sum(axis=1) == 1  # perhaps given back, whatever its key
        for column in range(kept.shape[1]):
            head = f"{masks.PLT_RULE}|{mask_namespace(task)}|{task.mask_seed}|{column}|"
            digests = [hashlib.sha256(f"{head}{row}".encode()).digest()[:8] for row in rows.ids]
            number = np.array([int.from_bytes(digest, "big") for digest in digests], dtype=np.uint64)
            # Of present labels those with the lowest keys are hidden, so what is above a kept one is not present.
            known[:, column] = (number > number[kept[:, column] & ~alone].min()) & ~kept[:, column]
    absent = rows.complete == -1
    return 100 * float((known & absent).sum() / absent.sum()), int((known & ~absent).sum())


@pytest.mark.parametrize(("address", "share"), [("shapes-plt@mr40", 55), ("shapes-plt@mr50", 43), ("shapes-spml", 27)])
def test_what_a_public_mask_gives_away_is_what_the_pages_say(address: str, share: int) -> None:
    found, mistakes = reveal(address)
    assert (round(found), mistakes) == (share, 0)
    page = (Path(__file__).parents[3] / "docs" / "explanation" / "two-phases.md").read_text(encoding="utf-8")
    assert f"{share} %" in page
    assert any("public function" in trap for trap in load_task(address).traps)


def test_plt_settings_are_nested_but_for_the_repair() -> None:
    """plt-mask-v1 is nested before its repair: a label that a milder setting hides is kept later only by a repair."""
    observed = [opened(f"shapes-plt@mr{missing}")[1].observed == 1 for missing in (30, 40, 50)]
    for milder, harder in itertools.pairwise(observed):
        back = harder & ~milder
        assert (harder[back.any(axis=1)].sum(axis=1) == 1).all(), "only images with a single label left were repaired"
        assert harder.sum() < milder.sum()


def test_single_positive_keeps_one_label_an_image() -> None:
    _, train, _ = opened("shapes-spml")
    complete = opened("shapes-partial@p90")[1].observed
    assert ((train.observed == 1).sum(axis=1) == 1).all()
    assert not (train.observed == -1).any()
    assert (complete[train.observed == 1] != -1).all()


def test_partial_shares_are_met_and_nested() -> None:
    before = None
    for share in range(10, 100, 10):
        observed = opened(f"shapes-partial@p{share}")[1].observed
        known = observed != 0
        assert abs(known.mean() - share / 100) < 0.01
        assert abs((observed == 1).sum() / 4500 - share / 100) < 0.03, "present labels are known at the same rate"
        if before is not None:
            np.testing.assert_array_equal(observed[before != 0], before[before != 0])
        before = observed


def test_zero_shot_training_shows_no_unseen_object() -> None:
    task, train, truth = opened("shapes-zsl")
    assert task.unseen == UNSEEN_CLASSES
    assert train.class_names == SEEN_CLASSES
    part = data().part("train-uniform")
    complete = dict(zip(part.ids, part.read_labels(), strict=True))
    unseen = [CLASS_NAMES.index(name) for name in UNSEEN_CLASSES]
    assert all((complete[row][unseen] == -1).all() for row in train.ids)
    assert (present(train) > 0).all()
    assert train.captions is None
    assert {name for members in train.label_groups.values() for name in members} == set(SEEN_CLASSES)
    assert [len(truth.groups[name]) for name in ("seen", "unseen")] == [14, 6]
    assert truth.unseen == tuple(unseen)


def test_captions_are_given_with_complete_labels_only() -> None:
    for address in ADDRESSES:
        task, train, _ = opened(address)
        if task.captions == "given":
            assert task.protocol.kind == "full"
        if task.captions == "observed":
            assert train.captions is not None
            first = [name for name, value in zip(train.class_names, train.observed[0], strict=True) if value == 1]
            hidden = set(CLASS_NAMES) - set(first)
            assert all(name in train.captions[0] for name in first)
            assert not any(f"a {name}" in train.captions[0] for name in hidden)


def test_micro_uses_its_six_classes() -> None:
    task = load_task("shapes-micro")
    assert task.classes == MICRO_CLASSES
    part = data().part("micro-train")
    others = [CLASS_NAMES.index(name) for name in CLASS_NAMES if name not in MICRO_CLASSES]
    assert (part.read_labels()[:, others] == -1).all()
    assert len(part) + len(data().part("micro-test")) == 48


def test_label_groups_cover_all_classes_once() -> None:
    members = [name for names in LABEL_GROUPS.values() for name in names]
    assert sorted(members) == sorted(CLASS_NAMES)
    assert data().label_groups == LABEL_GROUPS
