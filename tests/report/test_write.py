from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from records import builders as b

from ltbench.cli.commands.leaderboard import leaderboard
from ltbench.plugin.errors import UserError
from ltbench.records.record import RunRecord
from ltbench.records.verify import VerifyReport, verify
from ltbench.report.collect import import_records, keep_all, keep_first_seed, keep_none, record_name
from ltbench.report.published_pages import write_published
from ltbench.report.write import check_all, check_board, list_boards, load_board, write_board
from ltbench.tasks.task import Task
from ltbench.tasks.views import Truth, open_truth


def opener(record: RunRecord) -> tuple[Task, Truth]:
    return b.task(), open_truth(b.task(), b.data_set())


def checked(path: Path) -> VerifyReport:
    return verify(path, opener, replicates=b.REPLICATES)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods with two seeds each, and a failure."""
    out = tmp_path_factory.mktemp("runs")
    for name, skill in (("lmpt", 1.5), ("coop", 0.5)):
        for seed in (0, 1):
            folder = out / "toy-lt" / name / str(seed) / "attempt-1"
            folder.mkdir(parents=True)
            b.run_on_disk(folder, seed=seed, skill=skill, method=b.method_facts(name=name))
    failed = out / "toy-lt" / "coop" / "7" / "attempt-1" / "record.json"
    failed.parent.mkdir(parents=True)
    failed.write_text(b.failure(seed=7).to_json())
    return out


def test_records_and_logits_are_collected_under_telling_names(run_dir: Path, tmp_path: Path) -> None:
    boards = tmp_path / "leaderboards"
    done = import_records([run_dir], boards, checked, keep_first_seed)
    assert done.problems == []
    assert done.boards == {("toy-lt", 1)}
    folder = boards / "toy-lt" / "v1"
    names = sorted(path.name for path in (folder / "records").iterdir())
    assert len(names) == 5
    assert all(name.startswith("all-") and name.endswith("-a1.json") for name in names)
    assert record_name(b.failure(seed=7)) in names
    assert len(list((folder / "logits").iterdir())) == 2
    again = import_records([run_dir], boards, checked, keep_first_seed)
    assert again.written == []
    assert len(again.present) == 5
    more = import_records([run_dir], boards, checked, keep_all)
    assert [path.parent.name for path in more.written[:2]] == ["logits", "logits"]
    assert more.written[2:] == [folder / "rerun.json"]
    assert list_boards(boards) == [("toy-lt", 1)]
    for path in (folder / "records").glob("*-s0-*.json"):
        assert verify(path, opener, replicates=b.REPLICATES).ok
    assert import_records([run_dir], tmp_path / "other", checked, task="shapes-lt").written == []


def test_a_different_record_of_the_same_attempt_is_never_overwritten(run_dir: Path, tmp_path: Path) -> None:
    import_records([run_dir], tmp_path, checked, keep_none)
    target = tmp_path / "toy-lt" / "v1" / "records" / record_name(b.failure(seed=7))
    before = target.read_bytes()
    other = tmp_path / "elsewhere" / "record.json"
    other.parent.mkdir()
    other.write_text(b.failure(seed=7, reason="another machine, another reason").to_json())
    done = import_records([other.parent], tmp_path, checked)
    assert target.read_bytes() == before
    assert "different records of one attempt" in str(done.problems[0])
    assert done.written == []


def test_swapped_logits_are_not_collected(tmp_path: Path) -> None:
    run = b.run_on_disk(tmp_path)
    (tmp_path / "logits.safetensors").write_bytes(b"other")
    done = import_records([tmp_path], tmp_path / "boards", checked, keep_all)
    assert done.written == []
    assert "record.json is refused: logits: logits.safetensors has sha256" in str(done.refused[0])
    assert run.record.logits is not None
    assert not (tmp_path / "boards").exists()


def test_the_page_is_the_same_to_the_byte_and_checked(run_dir: Path, tmp_path: Path) -> None:
    import_records([run_dir], tmp_path, checked, keep_none)
    page = tmp_path / "toy-lt" / "v1" / "README.md"
    assert check_board(tmp_path, "toy-lt", 1) == [page]
    assert write_board(tmp_path, "toy-lt", 1) == [page]
    content = page.read_bytes()
    assert check_board(tmp_path, "toy-lt", 1) == []
    write_board(tmp_path, "toy-lt", 1)
    assert page.read_bytes() == content
    page.write_bytes(content.replace(b"lmpt", b"LMPT", 1))
    assert check_board(tmp_path, "toy-lt", 1) == [page]


def test_everything_is_checked_at_once(run_dir: Path, tmp_path: Path) -> None:
    import_records([run_dir], tmp_path, checked)
    write_board(tmp_path, "toy-lt", 1)
    printed = write_published(tmp_path)
    assert check_all(tmp_path) == []
    printed[0].unlink()
    (tmp_path / "toy-lt" / "v1" / "README.md").unlink()
    assert check_all(tmp_path) == [tmp_path / "toy-lt" / "v1" / "README.md", printed[0]]


def test_comparisons_are_made_once_and_then_taken_from_their_file(run_dir: Path, tmp_path: Path) -> None:
    import_records([run_dir], tmp_path, checked, keep_all)
    folder = tmp_path / "toy-lt" / "v1"
    assert write_board(tmp_path, "toy-lt", 1, opener) == [folder / "comparisons.json", folder / "README.md"]
    (entry,) = json.loads((folder / "comparisons.json").read_text())
    assert entry["low"] > 0
    assert "coop: a paired bootstrap over test images" in (folder / "README.md").read_text().replace("\n", " ")
    before = [path.read_bytes() for path in sorted(folder.glob("*.*"))]
    assert check_board(tmp_path, "toy-lt", 1) == []
    write_board(tmp_path, "toy-lt", 1)
    write_board(tmp_path, "toy-lt", 1, opener)
    assert [path.read_bytes() for path in sorted(folder.glob("*.*"))] == before
    # Turned into "not told apart", the file decides: two rows share rank 1.
    entry["low"] = -1.0
    (folder / "comparisons.json").write_text(json.dumps([entry]))
    assert check_board(tmp_path, "toy-lt", 1) == [folder / "README.md"]
    assert [r.rank for r in load_board(tmp_path, "toy-lt", 1).sections[0].ranked] == [1, 1]
    said = CliRunner().invoke(leaderboard, ["--records", str(folder), "--json"])
    assert {(entry["rank"], entry["shared"]) for entry in json.loads(said.stdout)} == {(1, True)}
    (folder / "comparisons.json").write_text("[{}]")
    with pytest.raises(UserError, match=r"comparisons\.json is damaged"):
        load_board(tmp_path, "toy-lt", 1)


def test_rows_whose_logits_are_not_at_hand_are_not_compared(run_dir: Path, tmp_path: Path) -> None:
    import_records([run_dir], tmp_path, checked, keep_all)
    folder = tmp_path / "toy-lt" / "v1"
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    moved = sorted((folder / "logits").iterdir())[0]
    moved.rename(bundle / moved.name)
    write_board(tmp_path, "toy-lt", 1, opener)
    assert json.loads((folder / "comparisons.json").read_text()) == []
    write_board(tmp_path, "toy-lt", 1, opener, [bundle])
    found = (folder / "comparisons.json").read_text()
    assert len(json.loads(found)) == 1
    # What is known about these logits stays known when the files are gone.
    write_board(tmp_path, "toy-lt", 1, opener)
    assert (folder / "comparisons.json").read_text() == found
    # Logits that only lie with their runs serve as well.
    (folder / "comparisons.json").unlink()
    write_board(tmp_path, "toy-lt", 1, opener, sorted(run_dir.rglob("attempt-1")))
    assert (folder / "comparisons.json").read_text() == found


def test_records_that_do_not_belong_are_all_named(run_dir: Path, tmp_path: Path) -> None:
    import_records([run_dir], tmp_path, checked)
    records = tmp_path / "toy-lt" / "v1" / "records"
    (records / "stray.json").write_text(b.record(task=b.task_facts(b.task(name="toy-other"))).to_json())
    (records / "broken.json").write_text("{")
    with pytest.raises(UserError) as caught:
        write_board(tmp_path, "toy-lt", 1)
    assert "broken.json is damaged" in str(caught.value)
    assert "stray.json belongs to toy-other v1" in str(caught.value)


def test_a_task_without_records_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the leaderboard of toy-lt v1 has no records → ltbench run --task toy-lt"):
        write_board(tmp_path, "toy-lt", 1)
