"""Average ranks of recipes over tasks."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from records import builders as b
from scipy import stats

from ltbench.report.critical import AverageRanks, average_ranks
from ltbench.report.matrix import SHAPES
from ltbench.report.matrix_page import render_matrix, stale_matrix, write_matrix
from ltbench.report.plots import draw_critical, figure_bytes
from ltbench.report.rows import make_rows
from report.matrices import LT, PLT, matrix, recipe, run

NAMES = ("a", "b", "c", "d")


def ranks_of(scores: np.ndarray) -> AverageRanks:
    """Scores [recipe][task]."""
    ranks = stats.rankdata(-scores, axis=0)
    order = np.argsort(ranks.mean(axis=1), kind="stable")
    lines = tuple(tuple(float(value) for value in ranks[place]) for place in order)
    return AverageRanks(tuple(f"t{n}" for n in range(scores.shape[1])), tuple(NAMES[p] for p in order), lines)


def test_the_critical_difference_is_the_one_of_the_papers_example() -> None:
    # Four classifiers on fourteen data sets: 2.569 sqrt(4 * 5 / (6 * 14)) = 1.25.
    found = ranks_of(np.random.RandomState(0).rand(4, 14))
    assert found.difference == pytest.approx(1.25, abs=0.005)


@pytest.mark.parametrize("digits", [4, 1])
def test_friedmans_test_is_scipys_in_the_form_of_iman_and_davenport(digits: int) -> None:
    scores = np.round(np.random.RandomState(1).rand(4, 9) + np.arange(4)[:, None] / 4, digits)
    found = ranks_of(scores)
    chi = stats.friedmanchisquare(*scores).statistic
    statistic = 8 * chi / (9 * 3 - chi)
    assert found.p == pytest.approx(stats.f.sf(statistic, 3, 24))


def test_tasks_that_agree_in_every_rank_leave_no_doubt_and_equal_ranks_all() -> None:
    always = AverageRanks(("x", "y"), ("a", "b", "c"), ((1.0, 1.0), (2.0, 2.0), (3.0, 3.0)))
    assert (always.p, always.average) == (0.0, (1.0, 2.0, 3.0))
    assert AverageRanks(("x", "y"), ("a", "b"), ((1.5, 1.5), (1.5, 1.5))).p == 1.0


def test_bars_join_the_longest_runs_within_the_difference() -> None:
    found = AverageRanks(tuple("t" * 40), NAMES, tuple((mean,) * 40 for mean in (1.2, 1.5, 2.1, 3.0)))
    assert found.difference == pytest.approx(0.742, abs=0.001)
    assert found.together() == [(0, 1), (1, 2)]


def test_recipes_rank_that_have_one_row_among_equals_on_every_task() -> None:
    rows = {
        LT.address: make_rows(
            [run(name, value) for name, value in (("a", 80.0), ("b", 70.0), ("c", 70.0), ("twice", 9.0), ("once", 1.0))]
            + [run("twice", 8.0, facts={"preset": "x", "config": {"k": 1}}), run("used", 99.0, extras=("captions",))]
            + [run("limited", 99.0, limit=8), run("other", 99.0, backbone=b.backbone_facts(name="clip-rn50"))]
        ),
        PLT.address: make_rows(
            [run(name, 50.0 + n, task=PLT) for n, name in enumerate(("c", "b", "a", "twice", "used"))]
        ),
    }
    found = average_ranks(rows, SHAPES.backbone)
    assert found is not None
    assert (found.names, found.ranks) == (("a", "b", "c"), ((1.0, 1.0), (2.5, 2.0), (2.5, 3.0)))
    assert average_ranks({LT.address: rows[LT.address]}, SHAPES.backbone) is None
    assert average_ranks({LT.address: rows[LT.address], PLT.address: []}, SHAPES.backbone) is None


def test_the_page_shows_the_diagram_and_both_are_checked(tmp_path: Path) -> None:
    records = [run(name, 50.0 + n, task=task) for n, name in enumerate(NAMES) for task in (LT, PLT)]
    made = matrix(*records, methods=[recipe(name) for name in NAMES])
    page = render_matrix(made)
    assert "![Average ranks of recipes over tasks, with critical differences](figures/critical-difference.svg)" in page
    assert "* 4 recipes on 2 tasks: Friedman's p below 0.0001, critical difference 3.32 ranks." in page
    figure = tmp_path / "figures" / "critical-difference.svg"
    assert stale_matrix(tmp_path, made) == [tmp_path / "matrix.md", figure]
    assert write_matrix(tmp_path, made) == [tmp_path / "matrix.md", figure]
    assert stale_matrix(tmp_path, made) == []
    assert write_matrix(tmp_path, made) == [tmp_path / "matrix.md"]
    drawn = figure.read_bytes()
    assert all(f">{name}  {mean:.2f}<".encode() in drawn for name, mean in zip("dcba", (1, 2, 3, 4), strict=True))
    moved = matrix(*records[:-1], run("d", 10.0, task=PLT), methods=[recipe(name) for name in NAMES])
    assert stale_matrix(tmp_path, moved) == [tmp_path / "matrix.md", figure]
    assert figure_bytes(draw_critical(made.averages), "svg") == figure_bytes(draw_critical(made.averages), "svg")


@pytest.mark.parametrize("count", [4, 15, 16, 26, 31])
def test_numbers_of_places_do_not_touch(count: int) -> None:
    names = tuple(f"r{place}" for place in range(count))
    figure = draw_critical([AverageRanks(("x", "y"), names, tuple((place + 1.0,) * 2 for place in range(count)))])
    figure.canvas.draw()
    numbers = [text for text in figure.axes[0].texts if text.get_text().isdigit()]
    assert {numbers[0].get_text(), numbers[-1].get_text()} == {"1", str(count)}
    boxes = [text.get_window_extent() for text in numbers]
    assert all(left.x1 + 2 < right.x0 for left, right in itertools.pairwise(boxes))
