"""Ranks: which pairs are separated, by what, and what the page says of it."""

from __future__ import annotations

from dataclasses import replace

from records import builders as b

from ltbench.report.board import build_board
from ltbench.report.pairs import Comparisons
from report.boards import notes, order, runs, spread


def test_every_pair_is_compared_and_ties_do_not_chain() -> None:
    records = [
        *runs("a", 80.0, 80.1, 80.2),
        *runs("b", 79.0, 79.1, 79.2),
        *runs("c", 78.0, 78.1, 78.2),
        *runs("d", 77.0, 77.1, 77.2),
    ]
    board = build_board(records, "toy-lt", 1, spread(records, (0.9,), (0.9, 0.9), (0.9, 0.9, 0.9)))
    # Neighbours are not separated, one apart neither, the first and the last are.
    assert order(board) == [("a", 1, True), ("b", 1, True), ("c", 1, True), ("d", 2, False)]
    assert notes(board).startswith("6 pairs of rows, 1 separated at 5 % for all of them together")
    assert "With 3 seeds a row and 60 test images 5 pairs remain undecided" in notes(board)
    assert "The largest undecided difference is 2.00 (" in notes(board)
    assert "), the smallest separated one 3.00." in notes(board)


def test_a_rank_counts_the_rows_that_are_separably_better() -> None:
    records = [
        *runs("best", 90.0, 90.1, 90.2),
        *runs("good", 80.0, 80.1, 80.2),
        *runs("loose", 60.0, 79.0, 98.0),
        *runs("last", 50.0, 50.1, 50.2),
    ]
    found = build_board(records, "toy-lt", 1, spread(records, (0.3,), (0.3, 0.3), (0.3, 0.3, 0.3)))
    # Three seeds cannot say where the loose one is; it is nobody's reason for a lower rank, and has none for its own.
    assert [name for name, _, _ in order(found)] == ["best", "good", "loose", "last"]
    assert order(found)[2][1] == 1
    for place, ranked in enumerate(found.sections[0].ranked):
        pairs = found.sections[0].compared.pairs.items()
        assert ranked.rank == 1 + sum(pair.separated for (_, lower), pair in pairs if lower == place)


def test_one_seed_separates_from_nothing_and_two_deterministic_rows_do() -> None:
    records = [
        *runs("one", 90.0),
        *runs("fixed", 80.0, 80.0, facts={"deterministic": True}),
        *runs("lower", 60.0, 60.0, facts={"deterministic": True}),
        *runs("many", 50.0, 50.1, 50.2),
    ]
    board = build_board(records, "toy-lt", 1, spread(records, (0.3,), (0.3, 0.3), (0.3, 0.3, 0.3)))
    assert order(board) == [("one", 1, True), ("fixed", 1, True), ("lower", 2, False), ("many", 3, False)]
    assert "One seed says nothing about others, so these separate from nothing: one." in notes(board)


def test_without_logits_the_records_intervals_decide_and_the_page_says_so() -> None:
    records = [*runs("far", 90.0, 90.2, 90.4), *runs("near", 80.0, 81.0, 82.0), *runs("nearer", 79.0, 80.0, 81.0)]
    board = build_board(records, "toy-lt", 1)
    assert order(board) == [("far", 1, False), ("near", 2, True), ("nearer", 2, True)]
    assert "No logits at hand of any row" in notes(board)
    paired = build_board(records, "toy-lt", 1, spread(records, (0.1,), (0.1, 0.1)))
    assert "No logits at hand" not in notes(paired)


def test_logits_of_some_seeds_serve_and_are_named() -> None:
    records = [*runs("a", 80.0, 80.1), *runs("b", 70.0, 70.1), *runs("c", 60.0, 60.1)]
    whole = spread(records, (0.3,), (0.3, 0.3))
    (section,) = whole.sections
    partly = replace(section, logits=(*section.logits[:2], section.logits[2][:1]))
    board = build_board(records, "toy-lt", 1, Comparisons((partly,)))
    assert [rank for _, rank, _ in order(board)] == [1, 2, 3]
    assert "logits of some seeds only, those at hand, for c;" in notes(board)


def test_a_comparison_of_other_records_or_another_metric_does_not_count() -> None:
    records = [*runs("a", 80.0, 80.2), *runs("b", 78.0, 78.2)]
    found = spread(records, (0.1,))
    assert order(build_board(records, "toy-lt", 1, found))[1] == ("b", 2, False)
    (section,) = found.sections
    forged = replace(section, records=(section.records[0], ("0" * 64, *section.records[1][1:])))
    for wrong in (replace(section, metric="CF1"), forged):
        board = build_board(records, "toy-lt", 1, Comparisons((wrong,)))
        assert order(board)[1] == ("b", 1, True)
        assert "No logits at hand" in notes(board)


def test_a_row_without_a_figure_comes_after_all_that_have_one() -> None:
    none = {"mAP": {"total": None}}
    records = [*runs("a", 80.0, 80.2), *runs("b", 70.0, 70.2), b.record(scores=none, intervals=none)]
    board = build_board(records, "toy-lt", 1, spread(records[:4], (0.1,)))
    assert order(board) == [("a", 1, False), ("b", 2, False), ("coop", 3, False)]
