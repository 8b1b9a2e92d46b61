"""Rows in a sentence."""

from __future__ import annotations

import pytest

from ltbench.report.named import named

ROWS = [f"method-{number}" for number in range(10)]


@pytest.mark.parametrize(
    ("left", "says"),
    [
        ((), "all rows"),
        ((3,), "all rows but method-3"),
        ((3, 8), "all rows but method-3, method-8"),
        ((0, 1, 2), ", ".join(ROWS[3:])),
        (tuple(range(1, 10)), "method-0"),
    ],
)
def test_the_shorter_list_is_given(left: tuple[int, ...], says: str) -> None:
    assert named([row for number, row in enumerate(ROWS) if number not in left], ROWS) == says


def test_one_row_of_one_is_called_by_its_name() -> None:
    assert named(["erm"], ["erm"]) == "erm"
    assert named(["erm"], ["erm", "db"]) == "erm"
