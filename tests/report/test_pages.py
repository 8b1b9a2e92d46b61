"""A page for a reader: a verdict and one table a screen, the rest folded; twins named; boards apart kept apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from records import builders as b

from ltbench.records.read import LoadedRecord
from ltbench.records.record import RunRecord
from ltbench.report import markdown
from ltbench.report.at_hand import together
from ltbench.report.board import Board, build_board
from ltbench.report.markdown import render_markdown
from ltbench.report.papers.beside import beside
from ltbench.report.write import folders_of_boards
from report import boards as r
from tests.cli.test_cli_reproduce import lmpt

ROOT = Path(__file__).resolve().parents[2]
#: Lines of a page before anything is opened, those between blocks not counted.
SCREEN = 55


def board(*rows: tuple[str, float], sd: float = 0.1) -> Board:
    records = [one for name, mean in rows for one in r.runs(name, mean - 0.1, mean, mean + 0.1)]
    triangle = [(sd,) * place for place in range(1, len(rows))]
    return build_board(records, "toy-lt", 1, r.spread(records, *triangle))


def test_the_verdict_names_the_best_and_what_may_be_as_good() -> None:
    said = board(("lmpt", 70.0), ("coop", 69.9), ("db", 60.0)).sections[0].verdict
    assert said.startswith("Best by mean: lmpt, 70.00 ± 0.25; 1 of 2 others may be as good, ")
    clear = board(("lmpt", 70.0), ("db", 60.0)).sections[0].verdict
    assert clear == "Best by mean: lmpt, 70.00 ± 0.25, separated from all others."
    assert build_board(r.runs("lmpt", 70.0), "toy-lt", 1).sections[0].verdict.endswith(", the only row.")


def test_the_cheapest_that_may_be_as_good_comes_with_its_interval() -> None:
    records = [
        *r.runs("lmpt", 70.0, 70.1, 70.2, cost=b.cost(train_seconds=90.0)),
        *r.runs("coop", 69.9, 70.0, 70.1, cost=b.cost(train_seconds=3.0)),
    ]
    said = build_board(records, "toy-lt", 1, r.spread(records, (0.2,))).sections[0].verdict
    assert "the cheapest to train being coop (-0.10, 95 % interval -0." in said


def test_twins_are_named_once_and_rows_that_differ_in_one_class_are_none() -> None:
    classes = {"cup": 80.0, "star": 80.0, "kite": 70.0, "drum": 51.5, "leaf": None}
    records = [
        *r.runs("erm", 60.0, 61.0),
        *r.runs("mls", 60.0, 61.0),
        *r.runs("lws", 60.0, 61.0, per_class_ap=classes),
    ]
    notes = [note for note in build_board(records, "toy-lt", 1).sections[0].notes if "several names" in note]
    assert notes == ["Rows with the same figures, seed by seed, so one result by several names: erm = mls."]
    page = render_markdown(build_board(records, "toy-lt", 1))
    assert page.index("erm = mls") < page.index("<details>"), "beside the table, not folded away"


def test_what_is_shown_fits_and_the_rest_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "SHOWN", 2)
    records = [one for number in range(9) for one in r.runs(f"method-{number}", 70.0 - number)]
    page = render_markdown(build_board(records, "toy-lt", 1))
    assert page.count("<details>") == page.count("</details>") == 2
    assert "<details><summary>7 more rows</summary>\n\n|" in page, "Markdown in a fold needs an empty line"
    shown = page[: page.index("<details>")]
    assert "method-1 " in shown
    assert "method-2 " not in shown
    rest = page[page.index("Other metrics, how the rows were made") :]
    assert "### How the rows were made" in rest
    assert "Seconds were measured on" in rest


def test_settings_fold_below_the_table_of_all() -> None:
    records = [b.record(task=b.task_facts(b.task(name="shapes-plt", setting=name))) for name in ("mr0", "mr30")]
    page = render_markdown(build_board(records, "shapes-plt", 1))
    fold = page.index("<summary>shapes-plt@mr30, tiny-clip, 1 row: Best by mean: coop, ")
    assert page.index("## shapes-plt@mr30", fold) < page.index("**Best by mean: ", fold)
    assert "@mr30" not in "\n".join(line for line in unfolded(page) if "<summary>" not in line)


def unfolded(page: str) -> list[str]:
    """Lines with text that a reader sees before anything is opened, those that open something among them."""
    depth, shown = 0, []
    for line in page.splitlines():
        depth += line.startswith("<details>")
        if line and depth - line.startswith("<details>") == 0:
            shown.append(line)
        depth -= line.startswith("</details>")
    assert depth == 0
    return shown


def test_every_committed_page_fits_a_screen() -> None:
    pages = sorted((ROOT / "leaderboards").rglob("v*/README.md"))
    assert len(pages) >= 15
    seen = {str(path.relative_to(ROOT)): unfolded(path.read_text(encoding="utf-8")) for path in pages}
    assert {name: len(lines) for name, lines in seen.items() if len(lines) > SCREEN} == {}
    for name, lines in seen.items():
        assert any(line.startswith(("**Best by mean: ", "<details><summary>")) for line in lines), name
        assert any(line.startswith("|") for line in lines), f"{name} shows no table"


def test_a_board_of_many_rows_and_settings_fits_a_screen() -> None:
    records = [
        b.record(
            task=b.task_facts(b.task(name="shapes-partial", setting=f"p{number}0")),
            method=b.method_facts(name=f"a-rather-long-name-{recipe}"),
            mAP=30.0 + recipe,
        )
        for number in range(1, 10)
        for recipe in range(30)
    ]
    page = render_markdown(build_board(records, "shapes-partial", 1))
    assert len(unfolded(page)) <= SCREEN
    assert "<summary>10 more rows; p" in page
    assert page.count("| a-rather-long-name-0 ") >= 9, "the last row is on the page all the same"


def test_printed_figures_stand_beside_measured_ones() -> None:
    assert beside("shapes-lt", [b.record()]) == []
    assert beside("voc-lt", []) == []
    page = "\n".join(beside("voc-lt", [lmpt(0, 85.0), lmpt(1, 85.2), lmpt(2, 85.4)]))
    assert "### voc-lt: lmpt, table 1" in page
    (total,) = [line for line in page.splitlines() if line.startswith("| lmpt-rn50 ")]
    assert [cell.strip() for cell in total.split("|")[3:6]] == ["85.44", "85.20 ± 0.50", "-0.24"]
    assert any("published" in line and "measured" in line and "difference" in line for line in page.splitlines())
    assert "| coop" not in page, "rows that nothing measures are left to the table of the paper"
    page = render_markdown(board(("lmpt", 70.0)), printed=["| row | published | measured | difference |"])
    assert "<summary>Printed and measured</summary>\n\n| row | published" in page


def boards_on_disk(root: Path) -> dict[str, list[LoadedRecord]]:
    """One record in the boards, the ablations and the audits of a folder."""
    found = {}
    for number, place in enumerate(("boards", "boards/ablations", "boards/audits")):
        path = root / place / "toy-lt" / "v1" / "records" / "one.json"
        path.parent.mkdir(parents=True)
        record: RunRecord = b.record(seed=number)
        path.write_text(record.to_json(), encoding="utf-8")
        found[place.rpartition("/")[2]] = [LoadedRecord(path, record)]
    return found


def test_boards_ablations_and_audits_never_mix(tmp_path: Path) -> None:
    found = boards_on_disk(tmp_path)
    runs = [LoadedRecord(tmp_path / "runs" / "attempt-1" / "record.json", b.record(seed=9))]
    ablations, audits = (tmp_path / "boards" / name for name in ("ablations", "audits"))

    def seeds(*names: str) -> tuple[list[int], tuple[Path, ...]]:
        made = together([*runs, *(entry for name in names for entry in found[name])])
        return [entry.record.seed for entry in made.records], made.apart

    assert seeds("boards", "ablations", "audits") == ([9, 0], (ablations, audits))
    assert seeds("ablations", "audits") == ([9, 1], (audits,)), "siblings are apart, though what is around is not read"
    assert seeds("audits") == ([9, 2], ())
    assert folders_of_boards(tmp_path) == [tmp_path / "boards", ablations, audits]
    assert folders_of_boards(audits) == [audits]
