"""Rows of a frozen tower are told apart from those of a trained one wherever rows are shown."""

from __future__ import annotations

from typing import Any

import pytest

from ltbench.report.board import labels_of
from ltbench.report.row_notes import row_notes
from ltbench.report.rows import Row, make_rows
from tests.records.builders import method_facts, record


def row_of(method: str, distribution: str = "ltbench", variant: str = "paper", **config: Any) -> Row:
    facts = method_facts(name=method, distribution=distribution, variant=variant, config=config)
    (row,) = make_rows([record(method=facts)])
    return row


def test_a_reader_sees_frozen() -> None:
    rows = [row_of("erm"), row_of("erm", tower="frozen"), row_of("dr", variant="code", tower="frozen")]
    labels = labels_of(rows)
    assert labels == ["erm", "erm (frozen)", "dr (code, frozen)"]
    (first, second) = row_notes(rows, labels)
    assert first.startswith("erm (frozen): the image tower was left as it is")
    assert second.startswith("dr (code, frozen): the image tower was left as it is")


@pytest.mark.parametrize(("method", "distribution"), [("dualcoop", "ltbench"), ("erm", "acme"), ("comic", "ltbench")])
def test_only_where_the_installed_method_says_so(method: str, distribution: str) -> None:
    """DualCoOp and COMIC's release leave the tower as it is; of packages that are not here nothing is known."""
    assert labels_of([row_of(method, distribution, tower="frozen")]) == [method]


def test_graphs_over_regions_say_so_as_well() -> None:
    """Their published training learns the tower's last stage (card)."""
    assert labels_of([row_of("ssgrl", tower="frozen")]) == ["ssgrl (frozen)"]
