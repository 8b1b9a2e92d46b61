"""Committed figures: curves over settings and corrections epoch by epoch, and the check that they are current."""

from __future__ import annotations

from pathlib import Path

import pytest
from records import builders as b

from ltbench.records.facts import Corrections
from ltbench.records.record import RunRecord
from ltbench.report.board import Board, build_board
from ltbench.report.collect import record_name
from ltbench.report.curves import curves_of
from ltbench.report.figures import drawings, stale_figures, write_figures
from ltbench.report.markdown import render_markdown
from ltbench.report.rows import make_rows
from ltbench.report.write import check_board, write_board

SETTINGS = ("p10", "p50", "p90")
DECISIONS = "d" * 64


def curve_records(method: str, start: float, seeds: int = 2) -> list[RunRecord]:
    """A recipe that gains ten points a setting; seed s is s points better."""
    return [
        b.record(
            task=b.task_facts(b.task(setting=setting)),
            method=b.method_facts(name=method),
            seed=seed,
            mAP=start + 10 * number + seed,
        )
        for number, setting in enumerate(SETTINGS)
        for seed in range(seeds)
    ]


def corrected(seed: int, right: tuple[int, ...] = (10, 40), hidden: int = 80, **changes: object) -> RunRecord:
    """A run of a recipe that corrects labels."""
    judged = Corrections(right=right, wrong=(5, 10), hidden=hidden, found=sum(right))
    scores = {
        metric: {"total": value + seed} for metric, value in (("mAP", 60.0), ("OR", 50.0), ("CR", 40.0), ("CF1", 30.0))
    }
    return b.record(
        method=b.method_facts(name="comic"),
        seed=seed,
        scores=scores,
        intervals={metric: {"total": (0.0, 100.0)} for metric in scores},
        decisions=DECISIONS,
        corrections=judged,
        **changes,
    )


def board(records: list[RunRecord]) -> Board:
    return build_board(records, "toy-lt", 1)


def test_a_curve_has_its_average_with_the_interval_over_seeds() -> None:
    (curve,) = curves_of(SETTINGS, make_rows(curve_records("asl", 50.0)))
    assert [score.mean for score in curve.scores if score] == [50.5, 60.5, 70.5]
    assert curve.average.mean == 60.5
    # Averages of 60 and 61: half width 12.706 * 0.7071 / sqrt(2).
    assert curve.average.half == pytest.approx(6.3531, abs=1e-4)
    rows = make_rows([*curve_records("asl", 50.0), curve_records("asl", 50.0, 3)[-1]])
    assert curves_of(SETTINGS, rows)[0].average.half is None, "seeds differ between settings"
    incomplete = make_rows(curve_records("asl", 50.0)[:4])
    assert curves_of(SETTINGS, incomplete)[0].average.mean is None


def test_curves_are_drawn_with_bands_in_panels_of_eight() -> None:
    records = [record for number in range(9) for record in curve_records(f"m{number}", 20.0 + number)]
    (drawing,) = drawings(board(records))
    first, second = drawing.draw().axes
    assert len(first.get_lines()) == len(first.collections) == 8
    (line,) = second.get_lines()
    assert list(line.get_ydata()) == [20.5, 30.5, 40.5]
    assert line.get_label() == "m0, tiny-clip (30.5)"
    assert [text.get_text() for text in second.get_xticklabels()] == list(SETTINGS)
    (band,) = second.collections
    assert band.get_paths()[0].vertices[:, 1].min() == pytest.approx(20.5 - 6.3531, abs=1e-3)
    single = drawings(board(curve_records("m", 20.0, 1)))[0].draw().axes[0]
    assert not single.collections


def test_corrections_stand_beside_recall_on_the_test_part() -> None:
    made = board([corrected(0), corrected(1, (20, 20)), b.record(mAP=50.0)])
    (section,) = made.sections
    (table,) = [table for table in section.tables if "corrected" in table.title]
    assert table.columns[2:5] == ("test OR at 0.5", "test CR at 0.5", "recovered (removed training labels)")
    (row,) = table.rows
    assert row[1].text == "comic"
    assert [cell.value for cell in row[2:]] == [50.5, 40.5, 37.5, 56.25, pytest.approx((80 + 200 / 3) / 2)]
    assert row[4].text == "37.50 ± 158.83"
    assert "do not rank" in render_markdown(made).replace("\n", " ")
    plain = board([b.record(mAP=50.0)])
    assert not any("corrected" in table.title for table in plain.sections[0].tables)


def test_records_without_corrections_among_the_seeds_leave_the_row_out() -> None:
    record = corrected(0)
    older = b.record(
        method=record.method, seed=1, scores=record.scores, intervals=record.intervals, decisions=DECISIONS
    )
    assert drawings(board([record, older])) == []
    assert [drawing.name for drawing in drawings(board([record]))] == ["corrections-all-comic-tiny-clip"]


def test_figures_are_written_once_checked_and_removed(tmp_path: Path) -> None:
    boards = tmp_path / "boards"
    folder = boards / "toy-lt" / "v1"
    (folder / "records").mkdir(parents=True)
    for record in (corrected(0), corrected(1, (20, 20))):
        (folder / "records" / record_name(record)).write_text(record.to_json())
    figure = folder / "figures" / "corrections-all-comic-tiny-clip.svg"
    assert check_board(boards, "toy-lt", 1) == [folder / "README.md", figure]
    assert write_board(boards, "toy-lt", 1) == [figure, folder / "README.md"]
    assert check_board(boards, "toy-lt", 1) == []
    page = (folder / "README.md").read_text()
    assert "](figures/corrections-all-comic-tiny-clip.svg)" in page
    assert "the range between them shaded" in page.replace("\n", " ")
    drawn = figure.read_bytes()
    # Another matplotlib may draw other bytes; what counts is what the file shows.
    figure.write_bytes(drawn + b"<!-- drawn by another version -->")
    assert check_board(boards, "toy-lt", 1) == []
    assert write_board(boards, "toy-lt", 1) == [folder / "README.md"]
    figure.write_bytes(drawn.replace(b"shows sha256 ", b"shows sha256 0"))
    old = figure.with_name("corrections-all-gone-tiny-clip.svg")
    old.write_bytes(drawn)
    assert check_board(boards, "toy-lt", 1) == [figure, old]
    write_board(boards, "toy-lt", 1)
    assert figure.read_bytes() == drawn
    assert not old.exists()


def test_a_board_without_such_records_has_no_folder_of_figures(tmp_path: Path) -> None:
    assert write_figures(board([b.record()]), tmp_path) == []
    assert stale_figures(board([b.record()]), tmp_path) == []
    assert not (tmp_path / "figures").exists()
