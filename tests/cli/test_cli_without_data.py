"""Records whose photographs are not here: named, counted, and a reason to fail unless somebody says otherwise."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Cli

BOARDS = Path(__file__).resolve().parents[2] / "leaderboards"
RECORDS = BOARDS / "photos-zsl" / "v1" / "records"


def test_a_record_without_its_labels_is_told_apart_from_a_wrong_one(cli: Cli) -> None:
    record = str(next(RECORDS.glob("all-zero-shot-*.json")))
    strict = cli("verify", record)
    assert (strict.code, strict.out.split()[:2]) == (1, ["no", "data"])
    assert "ltbench data prepare photos-zsl" in " ".join(strict.out.split())
    lenient = cli("verify", "--skip-missing-data", record)
    assert (lenient.code, lenient.out) == (0, strict.out)


def test_runs_without_their_data_are_left_out_of_those_to_be_run_again(cli: Cli) -> None:
    said = cli("verify", "--rerun", "--skip-missing-data", "--budget", "1", str(RECORDS))
    assert said.code == 2
    assert "runs are left out: their data sets are not here" in said.err


def test_a_board_without_its_data_is_checked_by_the_stored_comparisons(cli: Cli) -> None:
    said = cli("leaderboard", "--check", "--boards", str(BOARDS), "--task", "photos-zsl")
    assert said.code == 0
    assert "note: photos-zsl: stored comparisons are believed, and not computed again" in said.err
