"""One run for a leaderboard: what it changes, where it goes, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from records import builders as b

from ltbench.plugin.errors import UserError
from ltbench.records.record import RunRecord
from ltbench.records.verify import VerifyReport, verify
from ltbench.report.collect import import_records, keep_all
from ltbench.report.submit import prepare
from ltbench.tasks.task import Task
from ltbench.tasks.views import Truth, open_truth


def opener(record: RunRecord) -> tuple[Task, Truth]:
    return b.task(), open_truth(b.task(), b.data_set())


def checked(path: Path) -> VerifyReport:
    return verify(path, opener, replicates=b.REPLICATES)


def run(root: Path, name: str, seed: int, skill: float) -> Path:
    folder = root / name / str(seed)
    folder.mkdir(parents=True)
    return b.run_on_disk(folder, seed=seed, skill=skill, method=b.method_facts(name=name)).path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A leaderboard with two seeds of a method, and runs of a better one that are not on it."""
    root = tmp_path_factory.mktemp("submit")
    for seed in (0, 1):
        run(root / "old", "coop", seed, 0.2)
        run(root / "new", "lmpt", seed, 3.0)
    import_records([root / "old"], root / "boards", checked, keep_all)
    return root / "boards", root / "new"


def test_the_difference_to_the_board_is_shown_and_nothing_written(made: tuple[Path, Path]) -> None:
    boards, new = made
    before = sorted(boards.rglob("*"))
    found = prepare(new / "lmpt" / "0" / "record.json", boards, checked, opener)
    assert sorted(boards.rglob("*")) == before
    (own,) = found.rows
    assert (own.method, own.own, own.rank, own.seeds) == ("lmpt", True, (None, 1), (0, 1))
    assert own.mean[0] is None
    assert own.mean[1] == found.record.scores["mAP"]["total"]
    assert found.never_ranked == ()
    record, logits = found.files
    assert record.startswith("toy-lt/v1/records/all-lmpt-s0-")
    assert logits == f"toy-lt/v1/logits/{found.record.logits.sha256[:16]}.safetensors"  # type: ignore[union-attr]
    assert found.document()["rows"][0]["method"] == "lmpt"


def test_rows_that_the_run_moves_are_named(made: tuple[Path, Path], tmp_path: Path) -> None:
    boards, new = made
    shutil.copytree(boards, tmp_path / "boards")
    import_records([new / "lmpt" / "0"], tmp_path / "boards", checked, keep_all)
    found = prepare(new / "lmpt" / "1" / "record.json", tmp_path / "boards", checked, opener)
    own, *others = found.rows
    assert (own.method, own.seeds) == ("lmpt", (1, 2))
    assert [(row.method, row.own, row.rank) for row in others] == [("coop", False, (1, 2))]


def test_what_is_there_is_refused(made: tuple[Path, Path]) -> None:
    boards, _ = made
    with pytest.raises(UserError, match="the same run is on the leaderboard"):
        prepare(boards.parent / "old" / "coop" / "0" / "record.json", boards, checked, opener)


def test_what_failed_or_is_not_right_is_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    boards, new = made
    failed = tmp_path / "failed.json"
    failed.write_text(b.failure(seed=3).to_json(), encoding="utf-8")
    with pytest.raises(UserError, match=r"seed 3 is refused: it failed \(RuntimeError: shapes differ\)"):
        prepare(failed, boards, checked, opener)
    shutil.copytree(new / "lmpt" / "0", tmp_path / "run")
    (tmp_path / "run" / "logits.safetensors").unlink()
    with pytest.raises(UserError, match="is refused: "):
        prepare(tmp_path / "run" / "record.json", boards, checked, opener)
    shutil.copytree(new / "lmpt" / "0", tmp_path / "forged")
    path = tmp_path / "forged" / "record.json"
    path.write_text(path.read_text().replace('"threads": 1', '"threads": 2'), encoding="utf-8")
    with pytest.raises(UserError, match="is refused: "):
        prepare(path, boards, checked, opener)
