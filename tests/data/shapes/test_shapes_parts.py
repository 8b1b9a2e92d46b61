"""The composition of the parts: counts, groups, the zero-shot guarantee, pinned labels."""

import numpy as np
import pytest

from ltbench.data import shapes
from ltbench.data.shapes.names import CLASS_NAMES, LABEL_GROUPS, MICRO_CLASSES, SEEN_CLASSES, UNSEEN_CLASSES
from ltbench.data.shapes.parts import PARTS, compose, labels_of
from ltbench.data.shapes.store import content_sha256

COLUMN = {name: index for index, name in enumerate(CLASS_NAMES)}


def test_words_of_the_data_set() -> None:
    assert len(CLASS_NAMES) == 20
    assert list(CLASS_NAMES) == sorted(set(CLASS_NAMES))
    assert all(name.isalpha() and name.islower() for name in CLASS_NAMES)
    assert sorted(name for group in LABEL_GROUPS.values() for name in group) == list(CLASS_NAMES)
    assert len(SEEN_CLASSES) == 14
    assert len(UNSEEN_CLASSES) == 6
    assert sorted((*SEEN_CLASSES, *UNSEEN_CLASSES)) == list(CLASS_NAMES)
    assert len(MICRO_CLASSES) == 6
    assert set(MICRO_CLASSES) <= set(CLASS_NAMES)


@pytest.mark.parametrize("part", list(PARTS))
def test_counts_are_the_tables(part: str) -> None:
    labels = labels_of(part)
    assert labels.dtype == np.int8
    assert labels.shape == (PARTS[part].size, 20)
    assert set(np.unique(labels)) == {-1, 1}
    counts = dict(PARTS[part].counts)
    assert {name: int((labels[:, COLUMN[name]] == 1).sum()) for name in counts} == counts
    assert (labels == 1).sum() == sum(counts.values())
    sizes = np.bincount((labels == 1).sum(axis=1), minlength=5)
    assert tuple(sizes[1:5]) == PARTS[part].scenes
    assert sizes[0] == 0


@pytest.mark.parametrize("part", list(PARTS))
def test_labels_are_pinned(part: str) -> None:
    images = np.zeros((0, 64, 64, 3), dtype=np.uint8)
    assert content_sha256(images, labels_of(part), ())["labels"] == shapes.PART_SHA256[part]["labels"]


def test_labels_per_image_and_sizes() -> None:
    for part in ("train-lt", "train-uniform", "val", "test"):
        assert (labels_of(part) == 1).sum(axis=1).mean() >= 2.2
    assert {name: part.size for name, part in PARTS.items()} == {
        "train-lt": 1100,
        "train-uniform": 1500,
        "val": 400,
        "test": 1600,
        "micro-train": 32,
        "micro-test": 16,
    }


def test_long_tail_has_six_head_six_medium_and_eight_tail_classes() -> None:
    counts = (labels_of("train-lt") == 1).sum(axis=0)
    assert ((counts >= 100).sum(), ((counts >= 20) & (counts < 100)).sum(), (counts < 20).sum()) == (6, 6, 8)
    for group in LABEL_GROUPS.values():
        assert min(counts[COLUMN[name]] for name in group) < 20 <= max(counts[COLUMN[name]] for name in group)


def test_enough_training_images_show_no_unseen_class() -> None:
    labels = labels_of("train-uniform")
    pure = labels[(labels[:, [COLUMN[name] for name in UNSEEN_CLASSES]] == -1).all(axis=1)]
    assert len(pure) >= 350
    assert min((pure[:, COLUMN[name]] == 1).sum() for name in SEEN_CLASSES) >= 50


def test_micro_parts_show_all_six_classes_and_no_other() -> None:
    for part in ("micro-train", "micro-test"):
        shown = {CLASS_NAMES[label] for row in compose(part) for label in row}
        assert shown == set(MICRO_CLASSES)


def test_classes_of_a_group_share_images_more_often_than_chance() -> None:
    group_of = {COLUMN[name]: number for number, names in enumerate(LABEL_GROUPS.values()) for name in names}
    pairs = [(a, b) for row in compose("train-uniform") for a in row for b in row if a < b]
    share = sum(group_of[a] == group_of[b] for a, b in pairs) / len(pairs)
    assert 3 / 19 < share < 0.5


def test_what_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError):
        shapes.render("train", 0)
    for index in (-1, 1600):
        with pytest.raises(IndexError, match="0 to 1599"):
            shapes.render("test", index)
