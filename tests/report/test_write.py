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
from ltbench.report.markdown import RANK
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


def test_comparisons_are_computed_again_and_never_believed(run_dir: Path, tmp_path: Path) -> None:
    import_records([run_dir], tmp_path, checked, keep_all)
    folder = tmp_path / "toy-lt" / "v1"
    assert write_board(tmp_path, "toy-lt", 1, opener) == [folder / "comparisons.json", folder / "README.md"]
    document = json.loads((folder / "comparisons.json").read_text())
    (section,) = document["sections"]
    assert document["schema"] == 2
    assert section["sd"][0] == []
    assert section["sd"][1][0] > 0
    assert [r.rank for r in load_board(tmp_path, "toy-lt", 1).sections[0].ranked] == [1, 2]
    before = [path.read_bytes() for path in sorted(folder.glob("*.*"))]
    assert check_board(tmp_path, "toy-lt", 1, opener) == []
    write_board(tmp_path, "toy-lt", 1)
    write_board(tmp_path, "toy-lt", 1, opener)
    assert [path.read_bytes() for path in sorted(folder.glob("*.*"))] == before
    # The last digit is another processor's, anything more is somebody's hand: a page that agrees with it does not help.
    honest = section["sd"][1][0]
    for sd, wrong in ((round(honest + 1e-6, 6), []), (50.0, [folder / "comparisons.json", folder / "README.md"])):
        section["sd"][1][0] = sd
        (folder / "comparisons.json").write_text(json.dumps(document))
        write_board(tmp_path, "toy-lt", 1)
        assert check_board(tmp_path, "toy-lt", 1) == []
        assert check_board(tmp_path, "toy-lt", 1, opener) == wrong
    assert [r.rank for r in load_board(tmp_path, "toy-lt", 1).sections[0].ranked] == [1, 1]
    document["sections"] = []
    (folder / "comparisons.json").write_text(json.dumps(document))
    assert check_board(tmp_path, "toy-lt", 1, opener) == [folder / "comparisons.json", folder / "README.md"]
    for damaged, says in (("[{}]", "is not of schema 2"), ('{"schema": 2, "sections": [{}]}', "is damaged")):
        (folder / "comparisons.json").write_text(damaged)
        with pytest.raises(UserError, match=rf"comparisons\.json {says}"):
            load_board(tmp_path, "toy-lt", 1)
    write_board(tmp_path, "toy-lt", 1, opener)
    assert [path.read_bytes() for path in sorted(folder.glob("*.*"))] == before


def test_rows_are_compared_on_the_logits_in_the_folder_and_on_no_others(run_dir: Path, tmp_path: Path) -> None:
    import_records([run_dir], tmp_path, checked, keep_first_seed)
    folder = tmp_path / "toy-lt" / "v1"
    write_board(tmp_path, "toy-lt", 1, opener)
    (section,) = json.loads((folder / "comparisons.json").read_text())["sections"]
    assert [len(hashes) for hashes in section["logits"]] == [1, 1]
    page = (folder / "README.md").read_text().replace("\n", " ")
    assert "Test images were resampled on the logits of some seeds only, those at hand, for all rows" in page
    sorted((folder / "logits").iterdir())[0].unlink()
    assert folder / "comparisons.json" in check_board(tmp_path, "toy-lt", 1, opener)
    write_board(tmp_path, "toy-lt", 1, opener)
    assert json.loads((folder / "comparisons.json").read_text())["sections"] == []
    assert "No logits at hand of any row" in (folder / "README.md").read_text().replace("\n", " ")


def test_logits_that_are_not_the_tasks_are_refused(run_dir: Path, tmp_path: Path) -> None:
    import_records([run_dir], tmp_path, checked, keep_all)

    def other(record: RunRecord) -> tuple[Task, Truth]:
        return b.task(), open_truth(b.task(), b.data_set(seed=1))

    with pytest.raises(UserError, match="toy-lt"):
        write_board(tmp_path, "toy-lt", 1, other)


@pytest.fixture
def toy_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find the toy task."""
    monkeypatch.setattr("ltbench.records.verify.open_registered", lambda root: opener)


def ranks(*arguments: str) -> list[tuple[str, int]]:
    said = CliRunner().invoke(leaderboard, [*arguments, "--json"])
    assert said.exit_code == 0, said.output
    entries = json.loads(said.stdout)
    return list(dict.fromkeys((entry["method"], entry["rank"]) for entry in entries))


@pytest.mark.usefixtures("toy_truth")
@pytest.mark.parametrize("form", ["table", "html", "md", "latex"])
def test_logits_beside_the_records_are_used_by_every_form(run_dir: Path, tmp_path: Path, form: str) -> None:
    assert ranks("--records", str(run_dir)) == [("lmpt", 1), ("coop", 2)]
    said = " ".join(CliRunner().invoke(leaderboard, ["--records", str(run_dir), "--format", form]).output.split())
    assert "not at hand" not in said
    assert "No logits" not in said
    if form != "latex":  # tables only
        assert "1 pair of rows, separated at 5 %, over test images and seeds" in said
        assert RANK.replace("'", "&#39;") in said or RANK in said


@pytest.mark.usefixtures("toy_truth")
def test_a_frame_in_python_has_the_same_ranks(run_dir: Path) -> None:
    import ltbench

    board = ltbench.leaderboard(run_dir, "toy-lt")
    assert dict(zip(board["method"], board["rank"], strict=True)) == {"lmpt": 1, "coop": 2}


def test_what_cannot_be_compared_is_said(run_dir: Path) -> None:
    said = CliRunner().invoke(leaderboard, ["--records", str(run_dir)])
    assert "note: pairs were not compared on their logits (unknown task 'toy-lt'" in said.output
    assert "No logits at hand of any row" in " ".join(said.output.split())


@pytest.mark.usefixtures("toy_truth")
def test_ablations_and_audits_stand_apart_from_the_board_they_lie_in(run_dir: Path, tmp_path: Path) -> None:
    boards = tmp_path / "leaderboards"
    import_records([run_dir], boards, checked, keep_all)
    dropped = tmp_path / "run"
    dropped.mkdir()
    for seed in (0, 1):
        folder = dropped / str(seed)
        folder.mkdir()
        b.run_on_disk(folder, seed=seed, skill=3.0, method=b.method_facts(name="ablated"))
    import_records([dropped], boards / "ablations", checked, keep_all)
    assert ranks("--records", str(boards)) == [("lmpt", 1), ("coop", 2)]
    said = CliRunner().invoke(leaderboard, ["--records", str(boards)])
    assert f"note: the boards in {boards / 'ablations'} stand apart: ltbench leaderboard --records" in said.output
    assert ranks("--records", str(boards / "ablations")) == [("ablated", 1)]
    # A user's own runs rank with whatever they are put beside.
    assert ("ablated", 1) in ranks("--records", str(boards), "--records", str(dropped))
    assert len(ranks("--records", str(boards / "ablations"), "--records", str(run_dir))) == 3
    import ltbench

    assert set(ltbench.leaderboard(boards, "toy-lt")["method"]) == {"lmpt", "coop"}


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
