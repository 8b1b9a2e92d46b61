"""What to use: which row leads, which may be as good, what is said where nothing ran, and that the page is current."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from records import builders as b

from ltbench.plugin.errors import UserError
from ltbench.records.compare import DRAWS
from ltbench.records.record import RunRecord
from ltbench.report.guide import (
    MEANS,
    Advice,
    Means,
    Problem,
    Standing,
    advise,
    build_guide,
    standing_of,
)
from ltbench.report.guide_page import render_guide, stale_guide, write_guide
from ltbench.report.pairs import Comparisons, ImageSpread, record_hashes
from ltbench.report.rows import Row, make_rows

LEADERBOARDS = Path(__file__).parents[2] / "leaderboards"
PROBLEM = Problem("long tail", "toy-photos", "toy-lt")
CLIP = MEANS[0]


def row(
    name: str, mean: float, seconds: float, seeds: int = 3, task: str = "toy-lt", **changes: Any
) -> list[RunRecord]:
    """One row: its seeds lie 0.1 points apart."""
    return [
        b.record(
            task=b.task_facts(b.task(name=task)),
            method=b.method_facts(name=name),
            seed=seed,
            mAP=mean + 0.1 * (seed - (seeds - 1) / 2),
            cost=b.cost(train_seconds=seconds),
            **changes,
        )
        for seed in range(seeds)
    ]


def standing(*rows: list[RunRecord], task: str = "toy-lt", sd: float = 0.2) -> Standing:
    """A leaderboard on which every two rows move ``sd`` points apart over test images."""
    records = [record for one in rows for record in one]
    found = [r for r in make_rows(records) if not r.equals.extras]
    hashes, logits = tuple(record_hashes(r) for r in found), tuple(r.logits for r in found)
    triangle = tuple((sd,) * place for place in range(len(found)))
    spread = ImageSpread("mAP", DRAWS, 0, hashes, logits, triangle)
    return standing_of(b.task(name=task), f"{task}/v1", records, Comparisons((spread,)))


def asked(*standings: Standing, means: Means = CLIP, **rest: Any) -> Advice:
    return advise(PROBLEM, means, {one.task.address: one for one in standings}, **rest)


def test_the_best_mean_leads_and_the_cheapest_that_may_be_as_good_is_named() -> None:
    made = asked(
        standing(
            row("lmpt", 70.0, 90.0),
            row("coop", 69.9, 20.0),
            row("focal", 69.8, 40.0),
            row("linear-probe", 60.0, 1.0),
        )
    )
    assert made.best is not None
    assert made.cheapest is not None
    assert (made.best[0], made.cheapest[0], made.alike, made.rows) == ("lmpt", "coop", 3, 4)
    assert made.behind is not None
    assert made.behind.low is not None
    assert made.behind.high is not None
    assert made.behind.low < 0 < made.behind.value < made.behind.high
    assert made.plain is not None
    assert made.plain[0] == "linear-probe"
    assert made.plain[1] is not None
    assert made.plain[1].separated


def test_a_cheap_row_that_is_worse_is_not_as_good() -> None:
    made = asked(standing(row("lmpt", 70.0, 90.0), row("linear-probe", 66.0, 1.0)))
    assert (made.alike, made.cheapest and made.cheapest[0], made.behind) == (1, "lmpt", None)


def test_a_row_of_one_seed_supports_nothing() -> None:
    made = asked(standing(row("lmpt", 70.0, 90.0), row("coop", 70.0, 20.0), row("quick", 69.9, 1.0, seeds=1)))
    assert made.cheapest is not None
    assert (made.cheapest[0], made.alike, made.rows) == ("coop", 2, 3)


def test_photographs_are_asked_first_and_shapes_where_nothing_ran_there() -> None:
    photos = standing(row("coop", 50.0, 1.0, task="toy-photos"), task="toy-photos")
    shapes = standing(row("lmpt", 70.0, 1.0))
    assert asked(photos, shapes).address == "toy-photos"
    assert asked(shapes).address == "toy-lt"
    other = asked(shapes, means=Means("ImageNet weights", ("lite0",)))
    assert (other.best, other.address) == (None, "")


def test_features_only_leaves_out_rows_that_need_more() -> None:
    def alone(found: Row) -> bool:
        return found.first.method.name == "linear-probe"

    board = standing(row("lmpt", 70.0, 90.0), row("linear-probe", 66.0, 1.0))
    made = asked(board, means=Means("features only", ("tiny-clip",), features=True), features_alone=alone)
    assert made.best is not None
    assert (made.best[0], made.rows) == ("linear-probe", 1)


def test_a_better_row_with_more_to_go_by_is_said_and_not_compared() -> None:
    more = row("tai-dpt", 75.0, 5.0, extras=("captions",))
    made = asked(standing(row("lmpt", 70.0, 90.0), row("coop", 69.9, 20.0), more))
    assert made.best is not None
    assert made.best[0] == "lmpt"
    assert made.elsewhere == ("tai-dpt", "captions", pytest.approx(75.0))


def test_the_page_fits_a_screen_and_says_what_it_rests_on() -> None:
    page = render_guide(build_guide((), lambda found: True))
    assert page.count("no row yet") == 15
    assert "**No line rests on photographs yet.**" in page
    assert len(page.splitlines()) < 50


def test_a_file_of_ones_own_is_left_alone(tmp_path: Path) -> None:
    guide = build_guide((), lambda found: True)
    own = tmp_path / "README.md"
    own.write_text("# Our group's boards\n")
    assert stale_guide(tmp_path, guide) == []
    with pytest.raises(UserError, match="left as it is"):
        write_guide(tmp_path, guide)
    assert own.read_text() == "# Our group's boards\n"
    own.unlink()
    assert stale_guide(tmp_path, guide) == [own]
    assert write_guide(tmp_path, guide) == [own]
    assert stale_guide(tmp_path, guide) == []


def test_the_committed_page_is_what_the_records_give() -> None:
    from ltbench.cli.matrix import committed_overviews

    guide, _ = committed_overviews(LEADERBOARDS)
    assert stale_guide(LEADERBOARDS, guide) == [], "out of date: ltbench leaderboard --matrix"
    assert all(line.best is not None for line in guide.lines if line.means is CLIP)
