"""What an import takes of records that older versions of ltbench wrote: nothing new, and what is there stays."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from records import builders as b

from ltbench.records.facts import Corrections
from ltbench.records.read import load_record
from ltbench.records.record import RunRecord
from ltbench.records.verify import VerifyReport, verify
from ltbench.report.collect import import_records, keep_all, record_name
from ltbench.report.write import check_board, write_board
from ltbench.tasks.task import Task
from ltbench.tasks.views import Truth, open_truth


def opener(record: RunRecord) -> tuple[Task, Truth]:
    return b.task(), open_truth(b.task(), b.data_set())


def checked(path: Path) -> VerifyReport:
    return verify(path, opener, replicates=b.REPLICATES)


def put(out: Path, version: int, preset: str | None) -> Path:
    """A run of a schema version that verifies; the path of its record."""
    none = Corrections(right=(0,), wrong=(0,), hidden=0, found=0)
    rest: dict[str, Any] = {"decisions": "d" * 64, "corrections": none} if version == 2 else {}
    folder = out / str(version)
    folder.mkdir(parents=True)
    facts = b.method_facts(name="erm", preset=preset)
    b.run_on_disk(folder, seed=version, method=facts, schema_version=version, **rest)
    return folder / "record.json"


@pytest.mark.parametrize(
    ("preset", "options"),
    [("toy", "--preset toy"), ("toy+overrides", "--preset toy -o …"), (None, "--preset none")],
)
@pytest.mark.parametrize("version", [1, 2])
def test_a_new_run_of_an_older_version_is_refused_and_said_how_to_make_it_again(
    tmp_path: Path, version: int, preset: str | None, options: str
) -> None:
    path = put(tmp_path / "runs", version, preset)
    assert checked(path).problems == []
    done = import_records([path.parent], tmp_path / "boards", checked, keep_all)
    assert [str(problem) for problem in done.refused] == [
        f"{path} is refused: it is of schema version {version}, and boards take new runs of version 3 only"
        f" → ltbench run --task toy-lt --method erm --variant paper {options} --backbone tiny-clip --seed {version}"
    ]
    assert (done.written, done.problems) == ([], [])
    assert not (tmp_path / "boards").exists()


def test_older_records_that_are_on_a_board_already_stay_and_are_checked(tmp_path: Path) -> None:
    boards = tmp_path / "boards"
    folder = boards / "toy-lt" / "v1"
    paths = [put(tmp_path / "runs", version, "toy") for version in (1, 2, 3)]
    done = import_records([tmp_path / "runs"], boards, checked, keep_all)
    assert (len(done.refused), [path.parent.name for path in done.written]) == (2, ["records", "logits"])
    for path in paths[:2]:
        record = load_record(path)
        shutil.copy(path, folder / "records" / record_name(record))
        assert record.logits is not None
        shutil.copy(
            path.with_name("logits.safetensors"), folder / "logits" / f"{record.logits.sha256[:16]}.safetensors"
        )
    again = import_records([tmp_path / "runs"], boards, checked, keep_all)
    assert (again.refused, again.written, len(again.present)) == ([], [], 3)
    write_board(boards, "toy-lt", 1, opener)
    assert check_board(boards, "toy-lt", 1, opener) == []
    assert all(checked(path).ok for path in (folder / "records").iterdir())
