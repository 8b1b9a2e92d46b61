from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from click.testing import CliRunner
from records import builders as b

from ltbench.cli.commands.leaderboard import leaderboard
from ltbench.plugin.errors import UserError
from ltbench.records.read import load_record
from ltbench.report.board import Board, build_board
from ltbench.report.markdown import render_markdown
from ltbench.report.rows import shown_metrics
from ltbench.report.site import pictures, place
from ltbench.report.site.cards import to_html
from ltbench.report.site.classes import UNKNOWN, classes_of
from ltbench.report.site.names import file_name
from ltbench.report.site.pages import index_page, task_page
from ltbench.report.site.pictures import pareto
from ltbench.report.site.place import MARK, replaced
from ltbench.report.site.table import SiteTable, site_table
from ltbench.report.site.write import ASSETS, write_site
from ltbench.report.write import load_board
from report.matrices import LT, PLT, matrix, recipe, run
from report.sites import HOSTILE, on_disk, toy_board, toy_content, toy_records
from tests.cli.test_cli_reproduce import lmpt

ROOT = Path(__file__).resolve().parents[2]
ASSET_FOLDER = ROOT / "ltbench" / "report" / "site" / "assets"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("web") / "site"
    write_site(target, toy_content(tmp_path_factory.mktemp("runs")), "0.1.0")
    return target


def compared(board: Board, table: SiteTable) -> int:
    """Hold every cell of the sections' tables to the site's; how many there were."""
    count = 0
    titles = {column.title for column in table.columns}
    for number, section in enumerate(board.sections):
        entries = {entry.label: entry for entry in table.entries if entry.part == number}
        assert [(entry.rank, entry.label) for entry in entries.values()] == [
            (ranked.rank, label) for ranked, label in zip(section.ranked, entries, strict=True)
        ]
        metrics = shown_metrics([ranked.row for ranked in section.ranked])
        for shown in section.tables:
            for line in shown.rows:
                for name, cell in zip(shown.columns, line, strict=True):
                    # Tables of other metrics have columns of the same names.
                    other = shown.title in metrics and shown.title != board.headline
                    title = name if not other else shown.title if name == "total" else f"{shown.title} {name}"
                    if title in titles and cell.text != "–":
                        where = entries[line[shown.columns.index("method")].text]
                        assert where.cells[table.column(title)].text == cell.text, (title, where.label)
                        count += 1
    return count


@pytest.mark.parametrize("task", ["shapes-zsl", "toy-plt"])
def test_figures_are_those_of_the_markdown_page(task: str) -> None:
    board = toy_board(toy_records()) if task == "toy-plt" else load_board(ROOT / "leaderboards", task, 1)
    table = site_table(board)
    assert compared(board, table) > 50
    # Whatever the page's tables look like, each of its scores is on the site.
    texts = {cell.text for entry in table.entries for cell in entry.cells}
    lines = [line for line in render_markdown(board).splitlines() if line.startswith("|")]
    scores = {score for line in lines for score in re.findall(r"\d+\.\d\d ± \d+\.\d\d", line)}
    averages = {cell.text for found in board.overview for line in found.rows for cell in line}
    assert scores - averages
    assert scores - averages <= texts


def test_rows_that_are_not_ranked_come_last_without_a_rank_and_say_why() -> None:
    table = site_table(toy_board(toy_records()))
    last = table.entries[-1]
    assert (last.label, last.rank) == ("linear-probe", None)
    assert not table.parts[last.part].ranked
    assert last.cells[table.column("why it is not ranked")].text == "limited to 10 rows"
    assert all(entry.rank is not None for entry in table.entries[:-1])


def test_groups_of_classes_are_those_that_records_were_scored_in() -> None:
    seen = set()
    for path in sorted((ROOT / "leaderboards").glob("shapes-*/v1/records/*-s0-*.json")):
        address = path.parts[-4], path.name.partition("-")[0]
        if address in seen:
            continue
        seen.add(address)
        record = load_record(path)
        classes = classes_of(record)
        assert {one.name for one in classes} == set(record.per_class_ap)
        for group in {one.group for one in classes}:
            values = [record.per_class_ap[one.name] for one in classes if one.group == group]
            assert mean(value for value in values if value is not None) == pytest.approx(
                record.scores["mAP"][group], abs=1e-5
            )
    assert len(seen) > 10


def test_classes_of_a_task_that_is_not_installed_have_no_groups() -> None:
    assert {one.group for one in classes_of(b.record(mAP=50.0))} == {UNKNOWN}


def test_the_front_has_what_no_other_row_beats_at_no_more_cost() -> None:
    assert pareto([(10, 50), (10, 60), (5, 55), (20, 60), (1, 10), (30, 61)]) == [4, 2, 1, 5]
    assert pareto([]) == []


def loaded(site: Path, name: str) -> dict[str, Any]:
    """A document that the task's page loads."""
    file = f"toy-plt-v1.{name}.js"
    text = (site / "tasks" / file).read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text.removeprefix(f'ltbenchLoaded("{file}",').removesuffix(");\n"))
    return document


def test_nothing_from_outside_becomes_markup(site: Path) -> None:
    pages = [path for path in site.rglob("*") if path.suffix in (".html", ".js") and path.parent.name != "assets"]
    texts = {path: path.read_text(encoding="utf-8") for path in pages}
    assert any("onerror=" in text for text in texts.values())
    for path, text in texts.items():
        assert "<img" not in text, path
        if path.suffix == ".html":
            assert text.count("</script>") == len(re.findall(r"<script[ >]", text)), path
    task = next(text for path, text in texts.items() if path.name == "toy-plt-v1.html")
    assert "{{ 7*7 }}" in task
    assert any(row[2].startswith(HOSTILE) for row in loaded(site, "rows")["rows"])
    # Pictures are markup, which the page takes as it is.
    pictures = loaded(site, "part-0")["pictures"]
    assert "onerror=" in pictures
    assert "<img" not in pictures


def test_names_from_outside_stay_inside_the_site() -> None:
    for name in ("../../etc/passwd", "a/b", "con", "..", "a\x00b", "x" * 300):
        made = file_name(name)
        assert re.fullmatch(r"[A-Za-z0-9.-]{1,80}", made)
        assert made not in (".", "..")
        assert made != file_name(f"{name} ")
    assert file_name("shapes-lt-v1") == "shapes-lt-v1"


def test_cards_are_text_and_fetch_nothing() -> None:
    html = to_html("<b>x</b> ![p](https://a.example/p.png) [bad](javascript:alert(1)) [good](https://a.example)\n")
    assert "<b>" not in html
    assert "<img" not in html
    assert "javascript" not in re.findall(r'href="([^"]*)"', html)
    assert re.findall(r'href="([^"]*)"', html)[-1] == "https://a.example"


def test_pages_ask_nothing_of_other_hosts_and_every_link_leads_somewhere(site: Path) -> None:
    count = 0
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "default-src 'none'" in text
        for name, address in re.findall(r'\s(src|href|data-rows|data-part|data-tables)="([^"]*)"', text):
            if address == "data:," or address.startswith("#"):
                continue
            if address.startswith("https://"):
                assert name == "href"
                continue
            assert (path.parent / address.partition("#")[0]).resolve().is_file(), (path, address)
            count += 1
    assert count > 30
    parts = [part["file"] for part in loaded(site, "rows")["parts"]]
    assert all((site / "tasks" / name).is_file() for name in parts)
    rows = [row for number in range(len(parts)) for row in loaded(site, f"part-{number}")["rows"]]
    assert len(rows) == len(loaded(site, "rows")["rows"])
    files = {run[3] for row in rows for run in row["runs"]}
    assert files
    assert all((site / "tasks" / name).resolve().is_file() for name in files)


def test_records_are_those_that_were_written(site: Path) -> None:
    found = [load_record(path) for path in (site / "records").iterdir()]
    assert {record.record_sha256 for record in found} == {record.record_sha256 for record in toy_records()}
    assert all(path.read_text(encoding="utf-8") == load_record(path).to_json() for path in (site / "records").iterdir())


def test_the_library_is_the_published_one_small_and_with_its_licence() -> None:
    readme = (ASSET_FOLDER / "README.md").read_text(encoding="utf-8")
    stated = dict(re.findall(r"\| `(tabulator\S+)` \| ([0-9a-f]{64}) \|", readme))
    assert {name for name in ASSETS if name.startswith("tabulator")} == set(stated)
    assert all(sha256((ASSET_FOLDER / name).read_bytes()).hexdigest() == value for name, value in stated.items())
    assert sum(path.stat().st_size for path in ASSET_FOLDER.iterdir()) < 600_000
    version = re.search(r"Tabulator ([\d.]+),", readme)
    assert version is not None
    assert f"Tabulator v{version[1]}" in (ASSET_FOLDER / "tabulator.min.js").read_text(encoding="utf-8")[:60]


def fill(folder: Path, text: str) -> None:
    (folder / "index.html").write_text(text, encoding="utf-8")


def interrupted(target: Path) -> None:
    with replaced(target, "1") as folder:
        fill(folder, "half")
        raise KeyboardInterrupt


@pytest.mark.parametrize("at_once", [True, False])
def test_a_site_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool) -> None:
    if not at_once:
        monkeypatch.setattr(place, "exchange", lambda first, second: False)
    target = tmp_path / "deep" / "site"
    with replaced(target, "1") as folder:
        fill(folder, "old")
        assert not target.exists()
    with pytest.raises(KeyboardInterrupt):
        interrupted(target)
    assert (target / "index.html").read_text(encoding="utf-8") == "old"
    with replaced(target, "1") as folder:
        fill(folder, "new")
        assert (target / "index.html").read_text(encoding="utf-8") == "old"
    assert (target / "index.html").read_text(encoding="utf-8") == "new"
    assert [path.name for path in target.parent.iterdir()] == ["site"]


def test_a_folder_that_is_not_ours_is_refused_and_left(tmp_path: Path) -> None:
    target = tmp_path / "site"
    target.write_text("a file", encoding="utf-8")
    with pytest.raises(UserError, match="is a file"), replaced(target, "1"):
        pass
    target.unlink()
    target.mkdir()
    with replaced(target, "1") as folder:
        fill(folder, "old")
    (target / "CNAME").write_text("boards.example", encoding="utf-8")
    with pytest.raises(UserError, match="holds CNAME, which would be lost"), replaced(target, "1"):
        pass
    (target / MARK).unlink()
    with pytest.raises(UserError, match="not empty, and no site"), replaced(target, "1"):
        pass
    assert sorted(path.name for path in target.iterdir()) == ["CNAME", "index.html"]
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_the_command_names_bad_records_and_writes_the_rest(tmp_path: Path) -> None:
    records = toy_records()
    on_disk(records, tmp_path / "runs")
    bad = tmp_path / "runs" / "bad" / "record.json"
    bad.parent.mkdir()
    bad.write_text("{", encoding="utf-8")
    target = tmp_path / "site"
    words = ["--records", str(tmp_path / "runs"), "--site", str(target)]
    done = CliRunner().invoke(leaderboard, [*words, "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    assert str(bad) in done.stderr
    document = json.loads(done.stdout)
    (page,) = document["tasks"]
    assert (page["task"], page["unranked"], page["failed"]) == ("toy-plt", 1, 1)
    assert page["records"] == len(records)
    assert len(document["left_out"]) == 1
    index = (target / "index.html").read_text(encoding="utf-8")
    assert "1 file could not be read as a record and is left out" in index
    assert str(tmp_path) not in index
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert document["files"] == len(before)
    again = CliRunner().invoke(leaderboard, words, catch_exceptions=False)
    assert f"open {target / 'index.html'}" in again.stdout
    assert {path: path.read_bytes() for path in target.rglob("*") if path.is_file()} == before
    (target / "mine.txt").write_text("mine", encoding="utf-8")
    refused = CliRunner().invoke(leaderboard, words)
    assert isinstance(refused.exception, UserError)
    assert "mine.txt" in str(refused.exception)


def test_the_index_has_average_ranks_with_the_critical_difference() -> None:
    records = [run(name, 50.0 + n, task=task) for n, name in enumerate("abcd") for task in (LT, PLT)]
    made = matrix(*records, methods=[recipe(name) for name in "abcd"])
    text = index_page([], [made, made], {}, [], 0, "0.1.0").html
    assert text.count("critical difference 3.32, longer than the line") == 2
    assert "4 recipes on 2 tasks: Friedman&#39;s p below 0.0001, critical difference 3.32 ranks." in text
    names = re.findall(r'<title>(\w): average rank (\d\.\d\d)</title><polyline class="leader" points="([\d.]+),', text)
    assert names[:4] == [("d", "1.00", "220.0"), ("c", "2.00", "333.3"), ("b", "3.00", "446.7"), ("a", "4.00", "560.0")]
    assert text.count('class="alike"') == 2, "all four lie within it"
    assert 'id="matrix-1"' in text
    assert 'id="matrix-2"' in text


def test_a_task_page_has_printed_figures_beside_measured_ones() -> None:
    records = [lmpt(seed, value) for seed, value in enumerate((85.0, 85.2, 85.4))]
    board = build_board(records, "voc-lt", 1)
    text = task_page(board, site_table(board), {}).html
    assert '<h2 id="printed">Printed and measured</h2>' in text
    (line,) = [line for line in text.splitlines() if line.startswith("<tr><td>lmpt-rn50</td>")]
    assert re.findall(r">([^<>]+)</td>", line)[2:5] == ["85.44", "85.20 ± 0.50", "-0.24"]
    assert f'<p class="verdict">{board.sections[0].verdict}</p>' in text
    assert (
        "Printed and measured" not in task_page(toy_board(toy_records()), site_table(toy_board(toy_records())), {}).html
    )


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((0.0, 5e6), ["0", "100", "1 k", "10 k", "100 k", "1 M"]),
        ((1.4, 11.8), ["2", "5", "10"]),
        ((8.4, 9.3), ["8.4", "9.3"]),
        ((25_600.0, 25_600.0), ["25.6 k"]),
    ],
)
def test_a_scale_of_costs_has_marks_to_read_it_by(values: tuple[float, ...], texts: list[str]) -> None:
    place, ticks = pictures._logarithmic(values, 100.0 if max(values) > 100 else 1.0, 0.0, 100.0)
    assert [tick.text for tick in ticks] == texts
    assert all(0 <= tick.at <= 100 for tick in ticks)
    assert place(values[0]) <= place(values[-1])
