"""Head, medium and tail at their edges; groups listed by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ltbench.tasks.errors import ProtocolError
from ltbench.tasks.groups import FixedGroup, GroupRule, groups_from_counts, positive_counts


def test_edges() -> None:
    found = groups_from_counts([1240, 100, 99, 20, 19, 0], GroupRule())
    assert found == {"head": (0, 1), "medium": (2, 3), "tail": (4, 5)}


def test_groups_may_be_empty() -> None:
    assert groups_from_counts(np.array([500, 3]), GroupRule()) == {"head": (0,), "medium": (), "tail": (1,)}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 200), max_size=20), st.integers(0, 150), st.integers(1, 150))
def test_every_class_is_in_one_group(counts: list[int], medium: int, head: int) -> None:
    rule = GroupRule(medium_from=min(medium, head), head_from=head)
    found = groups_from_counts(counts, rule)
    assert sorted(c for members in found.values() for c in members) == list(range(len(counts)))
    assert all(counts[c] >= head for c in found["head"])
    assert all(counts[c] < rule.medium_from for c in found["tail"])


def test_fixed_groups_are_in_column_order_and_may_join_the_counted_ones() -> None:
    names = ["cat", "dog", "cow"]
    assert groups_from_counts([5, 5, 5], GroupRule.zero_shot(["cow", "cat"], ["dog"]), names) == {
        "seen": (0, 2),
        "unseen": (1,),
    }
    both = GroupRule(fixed=(FixedGroup(name="pets", classes=("dog", "cat")),))
    assert groups_from_counts([100, 5, 5], both, names, suffix="_fixed") == {
        "head_fixed": (0,),
        "medium_fixed": (),
        "tail_fixed": (1, 2),
        "pets": (0, 1),
    }


def test_positive_counts_take_only_present_labels() -> None:
    assert positive_counts(np.array([[1, -1, 0], [1, 0, 0]], dtype=np.int8)) == (2, 0, 0)


def test_rules_are_frozen_and_round_trip() -> None:
    rule = GroupRule.zero_shot(["a"], ["b"])
    assert GroupRule.model_validate_json(rule.model_dump_json()) == rule
    assert hash(rule) == hash(GroupRule.zero_shot(["a"], ["b"]))
    with pytest.raises(ValidationError):
        rule.by_count = True  # type: ignore[misc]
    with pytest.raises(ValidationError):
        GroupRule.model_validate({"tail_below": 20})


@pytest.mark.parametrize(
    "wrong",
    [
        {"medium_from": 101},
        {"fixed": [{"name": "tail", "classes": ["a"]}]},
        {"fixed": [{"name": "total", "classes": ["a"]}], "by_count": False},
    ],
)
def test_inconsistent_rules_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GroupRule.model_validate(wrong)


def test_bad_input() -> None:
    fixed = GroupRule.zero_shot(["cat"], ["yak"])
    with pytest.raises(ProtocolError, match="class names are needed"):
        groups_from_counts([1, 2], fixed)
    with pytest.raises(ProtocolError, match=r"'unseen' lists \['yak'\]"):
        groups_from_counts([1, 2], fixed, ["cat", "dog"])
    with pytest.raises(ProtocolError, match="2 counts for 1"):
        groups_from_counts([1, 2], fixed, ["cat"])
    with pytest.raises(ProtocolError, match="negative"):
        groups_from_counts([-1], GroupRule())
