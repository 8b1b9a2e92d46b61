"""Tasks from labels as people have them, and what is said before one is made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ltbench.data.own.folder import open_folder
from ltbench.data.own.twins import twins
from ltbench.plugin import UserError
from ltbench.tasks.own.new import Order, create_task
from ltbench.tasks.views import open_train, open_truth
from tests.tasks.own.custom_toys import ROWS, table

RNG = np.random.default_rng(0)
SCENES = [RNG.integers(0, 255, (4, 4, 3), dtype=np.uint8) for _ in range(6)]


def scene(path: Path, number: int, **how: Any) -> None:
    """A picture that is told apart from afar."""
    Image.fromarray(SCENES[number]).resize((64, 64), Image.Resampling.BICUBIC).save(path, **how)


def test_labels_that_are_not_named_are_unknown_in_training_only(order: Order, tmp_path: Path) -> None:
    created = create_task(replace(order, absent="unknown"))
    data = open_folder(created.folder)
    assert open_train(created.task, data).observed.tolist() == [[1, 0], [1, 1], [0, 0]]
    assert open_truth(created.task, data).labels.tolist() == [[-1, 1], [1, -1]]
    assert created.task.unknown_policy == "assume-negative"
    assert "classes that an image does not name are unknown in training, and absent at test" in created.notes


def test_a_star_makes_all_else_unknown(order: Order, tmp_path: Path) -> None:
    table(tmp_path, ["a.png,train,cat,*", "b.png,train,dog,", "d.png,test,cat|dog,"], "file,split,labels,unknown")
    created = create_task(order)
    assert open_train(created.task, open_folder(created.folder)).observed.tolist() == [[1, 0], [-1, 1]]
    assert created.task.unknown_policy == "ignore"


def test_bad_lines_are_left_out_and_listed(order: Order, tmp_path: Path) -> None:
    table(tmp_path, [*ROWS, "f.png,test,dog", "a.png,train,dog"])
    (tmp_path / "photos" / "c.png").write_text("no image")
    with pytest.raises(UserError, match="3 problems"):
        create_task(order)
    created = create_task(replace(order, skip_bad=True))
    assert created.rows == {"train": 2, "test": 2}
    listed = (created.folder / "v1" / "left-out.txt").read_text().splitlines()
    assert tuple(listed) == created.left_out
    assert [line.partition(":")[0] for line in listed] == [f"labels.csv line {n}" for n in (4, 7, 8)]
    assert "3 lines are left out, listed in left-out.txt" in created.notes
    table(tmp_path, ROWS, "file,splt,labels")
    with pytest.raises(UserError):
        create_task(replace(order, skip_bad=True))


@pytest.mark.parametrize(("how", "words"), [("copy", "1 images equal"), ("small", "1 images nearly"), ("other", "")])
def test_test_images_that_are_training_images_are_not_ranked_until_accepted(
    order: Order, tmp_path: Path, how: str, words: str
) -> None:
    photos = tmp_path / "photos"
    for number, name in enumerate("abcde"):
        scene(photos / f"{name}.png", number)
    if how == "copy":
        scene(photos / "d.png", 0)
    elif how == "small":
        scene(photos / "d.png", 0, format="JPEG", quality=90, subsampling=0)
    created = create_task(order)
    assert created.task.ranked is (how == "other")
    assert created.task.official is (how == "other")
    assert any(note.startswith(words) for note in created.notes) or not words
    assert any("first: d.png and a.png" in note for note in created.notes) is (how != "other")
    if how != "other":
        assert create_task(replace(order, accept=frozenset({"duplicates"}))).task.ranked


def test_the_drawn_split_keeps_equal_images_and_groups_together(order: Order, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    rows = []
    for number in range(6):
        for copy in "xyz":
            shown = number if copy != "z" else (number + 1) % 6
            scene(photos / f"{number}{copy}.png", shown, format="PNG" if copy == "x" else "BMP")
            rows.append(f"{number}{copy}.png,{'cat' if number % 2 else 'dog'},{number // 2 if copy != 'z' else ''}")
    table(tmp_path, rows, "file,labels,scene")
    created = create_task(replace(order, validation=0.3))
    assert created.task.ranked
    assert created.task.validation.kind in ("none", "part")
    # Every picture is, by its neighbours, of one ring: of six scenes, each with pictures of its own and of the next.
    parts = {row: part for part in created.rows for row in open_folder(created.folder).part(part).ids}
    for number in range(6):
        same = {parts[f"{number}x.png"], parts[f"{number}y.png"], parts[f"{(number - 1) % 6}z.png"]}
        assert len(same) == 1
    grouped = create_task(replace(order, name="grouped", columns={"group": "scene"}))
    parts = {row: part for part in grouped.rows for row in open_folder(grouped.folder).part(part).ids}
    for group in range(3):
        assert len({parts[f"{2 * group + one}{copy}.png"] for one in (0, 1) for copy in "xy"}) == 1
    assert "3 groups of 'scene' stay in one part each" in grouped.notes


def test_a_given_split_that_tears_groups_apart_is_refused(order: Order, tmp_path: Path) -> None:
    table(tmp_path, [f"{row},{'s1' if row[0] in 'ad' else row[0]}" for row in ROWS], "file,split,labels,patient")
    with pytest.raises(UserError, match="1 of 4 groups are in several parts") as caught:
        create_task(replace(order, columns={"group": "patient"}))
    assert "column split out" in caught.value.hint


def test_twins_are_transitive_and_flat_pictures_are_none() -> None:
    flat = [np.full((16, 16, 3), level, np.uint8) for level in (10, 11)]
    ramp = np.linspace(0, 200, 768).reshape(16, 16, 3)
    looks = [*flat, *((ramp + 5 * step).astype(np.uint8) for step in range(3)), (200 - ramp).astype(np.uint8)]
    group, equal, near = twins([str(n) for n in range(6)], looks)
    assert group == [0, 1, 2, 2, 2, 5]
    assert (equal, near) == (0, 2)
    assert twins(["a", "b", "a"], [flat[0]] * 3) == ([0, 1, 0], 1, 0)


@pytest.fixture
def many(order: Order, tmp_path: Path) -> Order:
    """Sixty rows of features with three classes, one of them rare."""
    rng = np.random.default_rng(1)
    names = [f"{number:02d}" for number in range(60)]
    shown = rng.random((60, 3)) < (0.6, 0.4, 0.15)
    lines = [
        f"{name},{'test' if number % 3 == 2 else 'train'},{'|'.join(np.array(['cat', 'dog', 'owl'])[row])}"
        for number, (name, row) in enumerate(zip(names, shown, strict=True))
    ]
    table(tmp_path, lines)
    np.savez(tmp_path / "f.npz", files=names, features=rng.normal(size=(60, 4)))
    return replace(order, images=None, features=tmp_path / "f.npz")


@pytest.mark.parametrize(
    ("protocol", "kind", "values"),
    [
        ("partial:0.5", "partial", {-1, 0, 1}),
        ("single-positive", "single-positive", {0, 1}),
        ("plt:0.4", "plt", {0, 1}),
        ("unseen:owl", "seen-only", {-1, 1}),
        ("long-tail:3", "full", {-1, 1}),
    ],
)
def test_each_family_of_tasks_can_be_made_from_complete_labels(
    many: Order, protocol: str, kind: str, values: set[int]
) -> None:
    whole = create_task(many)
    created = create_task(replace(many, name="hidden", protocol=protocol))
    task, data = created.task, open_folder(created.folder)
    assert (task.protocol.kind, task.official) == (kind, True)
    train, truth = open_train(task, data), open_truth(task, data)
    assert set(np.unique(train.observed).tolist()) == values
    assert truth.fingerprints == task.fingerprints
    assert (truth.labels == open_truth(whole.task, open_folder(whole.folder)).labels).all()
    assert create_task(replace(many, name="hidden", protocol=protocol)).changed is False
    if kind == "single-positive":
        assert ((train.observed == 1).sum(axis=1) <= 1).all()
    if kind == "seen-only":
        assert train.class_names == ("cat", "dog")
        assert truth.groups["unseen"] == (2,)
        complete = dict(zip(*_train_labels(data), strict=True))
        assert all(complete[row][2] == -1 for row in train.ids)
    if protocol.startswith("long-tail"):
        before, after = (_train_labels(open_folder(one.folder))[1] == 1 for one in (whole, created))
        assert 0 < len(after) < len(before)
        counts = sorted(after.sum(axis=0))
        assert counts[0] < counts[-1]


def _train_labels(data: Any) -> tuple[tuple[str, ...], np.ndarray]:
    part = data.part("train")
    return part.ids, part.read_labels()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"protocol": "partial:2"}, "needs a number between 0 and 1"),
        ({"protocol": "half"}, "is not known; it is partial:0.5"),
        ({"protocol": "unseen:dgo"}, "unseen class 'dgo' is not among"),
        ({"protocol": "unseen:cat,dog,owl"}, "every class is unseen"),
        ({"protocol": "plt:0.4", "absent": "unknown"}, "hides labels of complete ones"),
        ({"head_from": 5}, "medium starts at 20, above head at 5"),
    ],
)
def test_what_contradicts_itself_is_refused(many: Order, change: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        create_task(replace(many, **change))


def test_limits_of_head_and_tail_are_the_users(many: Order) -> None:
    created = create_task(replace(many, head_from=15, medium_from=8))
    truth = open_truth(created.task, open_folder(created.folder))
    assert (created.task.groups.head_from, created.task.groups.medium_from) == (15, 8)
    counts = (_train_labels(open_folder(created.folder))[1] == 1).sum(axis=0)
    assert truth.groups["head"] == tuple(np.flatnonzero(counts >= 15).tolist())
    assert truth.groups["tail"] == tuple(np.flatnonzero(counts < 8).tolist())
