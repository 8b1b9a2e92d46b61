"""Behind every row are its logits or the mark that it is to be run again; what verifies comes in, nothing else does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from records import builders as b

from ltbench.plugin.errors import UserError
from ltbench.records.canonical import canonical_json
from ltbench.records.facts import LogitsFacts
from ltbench.records.marks import read_marks
from ltbench.records.record import RunRecord
from ltbench.records.verify import VerifyReport, verify
from ltbench.report.collect import import_records, keep_all, keep_first_seed, keep_none, record_name
from ltbench.report.evidence import Evidence, check_evidence, write_marks
from ltbench.report.write import board_records, write_board
from ltbench.tasks.task import Task
from ltbench.tasks.views import Truth, open_truth

BOARD = ("toy-lt", 1)


def opener(record: RunRecord) -> tuple[Task, Truth]:
    return b.task(), open_truth(b.task(), b.data_set())


def checked(path: Path) -> VerifyReport:
    return verify(path, opener, replicates=b.REPLICATES)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two methods with two seeds each."""
    out = tmp_path / "runs"
    for name, skill in (("lmpt", 1.5), ("coop", 0.5)):
        for seed in (0, 1):
            folder = out / "toy-lt" / name / str(seed) / "attempt-1"
            folder.mkdir(parents=True)
            b.run_on_disk(folder, seed=seed, skill=skill, method=b.method_facts(name=name))
    return out


@pytest.fixture
def boards(runs: Path, tmp_path: Path) -> Path:
    """A leaderboard with the logits of all seeds."""
    made = tmp_path / "leaderboards"
    assert import_records([runs], made, checked, keep_all).refused == []
    write_board(made, *BOARD, opener)
    return made


def evidence(boards: Path) -> Evidence:
    return check_evidence(boards, *BOARD)


def forged() -> RunRecord:
    """A record of 99.0 whose hashes fit, with a hash of logits that belongs to no file."""
    return b.record(
        mAP=99.0, method=b.method_facts(name="wonder"), logits=LogitsFacts(sha256="d" * 64, rows=60, classes=5)
    )


def test_a_board_with_all_its_logits_has_something_behind_it(boards: Path) -> None:
    found = evidence(boards)
    assert (found.problems, found.kept, found.marked) == ([], 4, 0)
    assert not (boards / "toy-lt" / "v1" / "rerun.json").exists()


def test_a_forged_record_with_a_hash_of_no_file_is_refused(boards: Path) -> None:
    record = forged()
    (boards / "toy-lt" / "v1" / "records" / record_name(record)).write_text(record.to_json())
    write_board(boards, *BOARD, opener)
    (problem,) = evidence(boards).problems
    assert f"the logits of toy-lt wonder seed 0 ({record.key[:8]}) belong to no file" in problem
    # A file under the right name does not help: its content counts.
    (boards / "toy-lt" / "v1" / "logits" / f"{'d' * 16}.safetensors").write_bytes(b"not these")
    assert evidence(boards).problems == [problem]


def test_a_forged_record_is_not_imported_and_nothing_wrong_is_copied_before_it_is_judged(
    runs: Path, tmp_path: Path
) -> None:
    folder = runs / "toy-lt" / "wonder" / "0" / "attempt-1"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(forged().to_json())
    order: list[str] = []
    made = tmp_path / "leaderboards"

    def watched(path: Path) -> VerifyReport:
        order.append(path.parent.parent.parent.name)
        assert not made.exists(), "judged before anything is copied"
        return checked(path)

    done = import_records([runs], made, watched, keep_first_seed)
    assert sorted(set(order)) == ["coop", "lmpt", "wonder"]
    (refused,) = done.refused
    assert f"logits with sha256 {'d' * 64} were not found" in refused.message
    assert refused.hint == f"ltbench verify {folder / 'record.json'}"
    assert len(board_records(made / "toy-lt" / "v1", *BOARD)) == 4


def test_a_record_with_an_altered_figure_is_not_imported(runs: Path, tmp_path: Path) -> None:
    path = sorted(runs.rglob("record.json"))[0]
    document = json.loads(path.read_text())
    document["scores"]["mAP"]["total"] = 99.0
    path.write_text(canonical_json(document))
    done = import_records([runs], tmp_path / "boards", checked, keep_all)
    (refused,) = done.refused
    assert "is refused: record_sha256" in refused.message
    assert len(board_records(tmp_path / "boards" / "toy-lt" / "v1", *BOARD)) == 3


def test_runs_whose_logits_stay_behind_are_marked_when_they_verified(runs: Path, tmp_path: Path) -> None:
    made = tmp_path / "leaderboards"
    folder = made / "toy-lt" / "v1"
    done = import_records([runs], made, checked, keep_first_seed)
    assert folder / "rerun.json" in done.written
    entries = json.loads((folder / "rerun.json").read_text())
    assert [entry["run"] for entry in entries] == ["toy-lt coop seed 1", "toy-lt lmpt seed 1"]
    found = evidence(made)
    assert (found.problems, found.kept, found.marked) == ([], 2, 2)
    for path in sorted((folder / "records").iterdir()):
        report = checked(path)
        assert report.verdict == ("re-run" if "-s1-" in path.name else "right")
        assert report.ok == (report.verdict == "right")
    # Once the logits are kept there is nothing to be run again.
    import_records([runs], made, checked, keep_all)
    assert read_marks(folder) == {}
    assert evidence(made).marked == 0


def test_a_mark_for_one_record_does_not_cover_another(runs: Path, tmp_path: Path) -> None:
    made = tmp_path / "leaderboards"
    import_records([runs], made, checked, keep_first_seed)
    record = forged()
    folder = made / "toy-lt" / "v1"
    (folder / "records" / record_name(record)).write_text(record.to_json())
    # Another import does not mark what it has not verified.
    import_records([runs], made, checked, keep_none)
    assert any("wonder" in problem for problem in evidence(made).problems)
    # Nor does one that meets the same record there, put down by hand.
    own = tmp_path / "own" / "record.json"
    own.parent.mkdir()
    own.write_text(record.to_json())
    assert len(import_records([own.parent], made, checked, keep_none).refused) == 1
    assert any("wonder" in problem for problem in evidence(made).problems)
    # Marking by hand is an act of its own, that shows in the file.
    (written,) = write_marks(folder, board_records(folder, *BOARD))
    assert written == folder / "rerun.json"
    assert "toy-lt wonder seed 0" in written.read_text()
    assert evidence(made).problems == []
    assert checked(folder / "records" / record_name(record)).verdict == "re-run"
    (folder / "records" / record_name(record)).unlink()
    assert evidence(made).problems == [f"{folder / 'rerun.json'}: 1 entries are of no run without logits"]


def test_damaged_marks_are_named(boards: Path) -> None:
    path = boards / "toy-lt" / "v1" / "rerun.json"
    path.write_text("[{}]")
    with pytest.raises(UserError, match=r"rerun\.json is damaged"):
        evidence(boards)


def test_logits_come_along_from_the_layout_of_leaderboards_as_from_runs(boards: Path, tmp_path: Path) -> None:
    # As records come from the hub: records/ and logits/ side by side.
    theirs, ours = boards.rename(tmp_path / "from-hub"), tmp_path / "ours"
    done = import_records([theirs], ours, checked, keep_all)
    assert (done.problems, done.refused) == ([], [])
    kept = [sorted(path.name for path in root.rglob("*.safetensors")) for root in (theirs, ours)]
    assert kept[0] == kept[1]
    assert len(kept[1]) == 4
    ablations = theirs / "ablations" / "toy-lt" / "v1" / "records"
    ablations.mkdir(parents=True)
    for path in (theirs / "toy-lt" / "v1" / "records").glob("all-lmpt-*"):
        path.rename(ablations / path.name)
    mixed = import_records([theirs], tmp_path / "second", checked, keep_all)
    assert len(list((tmp_path / "second").rglob("records/*.json"))) == 2, "rows of the ablations stay apart"
    assert [problem.message for problem in mixed.problems] == [
        f"the boards in {theirs / 'ablations'} stand apart and were not imported"
    ]
    shutil.rmtree(theirs / "toy-lt" / "v1" / "logits")
    gone = import_records([theirs], tmp_path / "third", checked, keep_all)
    assert len(gone.refused) == 2, "without them nothing is right"
