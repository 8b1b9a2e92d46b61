from __future__ import annotations

import csv
from pathlib import Path

import pytest
from records import builders as b

from ltbench.metrics.contract import metric
from ltbench.report.board import build_board
from ltbench.report.markdown import render_markdown
from ltbench.report.published import MARKS, PAPERS, PARAMETERS, papers_on, published, published_frame
from ltbench.report.published_pages import FOLDER, check_published, pages, published_tables, write_published
from ltbench.report.task_figures import figures_in_words, figures_section


def test_every_entry_is_well_formed() -> None:
    entries = published()
    assert len(entries) > 1700
    assert {entry.paper for entry in entries} == set(PAPERS)
    keys = [(e.paper, e.table, e.task, *e.figure, e.method, e.variant, e.backbone) for e in entries]
    assert len(set(keys)) == len(keys)
    for entry in entries:
        assert entry.note in {"", *MARKS}
        if entry.metric == PARAMETERS:
            assert entry.subset == ""
            assert entry.number >= 0
        else:
            assert 0 <= entry.number <= 100
            assert entry.subset in ("total", "head", "medium", "tail")
            assert entry.metric in ("recall", "average_mAP") or metric(entry.metric).name == entry.metric
        assert entry.std == "" or (entry.spread or 0) > 0


def test_figures_are_those_of_the_papers(shared: Path) -> None:
    """Every printed figure is taken over with its value, and nothing else is."""
    with (shared / "published" / "published.csv").open(encoding="utf-8", newline="") as file:
        source = list(csv.DictReader(file))
    derived = ("avg_delta_mAP", "mAP_gain", "mAP_improvement_min", "mAP_improvement_max", "mAP_decay")
    printed = [row for row in source if row["metric"] not in derived]
    assert len(printed) == len(published())
    for row, entry in zip(printed, published(), strict=True):
        where = (row["paper"], row["table"], row["task"], row["metric"], row["value"], row["std"])
        assert where == (entry.paper, f"Table {entry.table}", entry.task, entry.metric, entry.value, entry.std)


@pytest.mark.parametrize(
    ("paper", "table", "task", "method", "backbone", "values"),
    [
        ("lmpt", "1", "voc-lt", "LMPT", "rn50", ["85.44", "66.62", "88.11", "97.86"]),
        ("lmpt", "1", "coco-lt", "LMPT", "vit-b16", ["66.19", "44.89", "69.80", "79.08"]),
        ("comic", "1", "plt-voc", "COMIC", "rn50", ["81.53", "73.10", "89.18", "84.53"]),
    ],
)
def test_rows_that_readers_will_look_up(
    paper: str, table: str, task: str, method: str, backbone: str, values: list[str]
) -> None:
    found = {
        entry.subset: entry.value
        for entry in published()
        if (entry.paper, entry.table, entry.task, entry.method, entry.backbone, entry.metric)
        == (paper, table, task, method, backbone, "mAP")
    }
    assert found == dict(zip(("total", "head", "medium", "tail"), values, strict=True))


def test_tables_lose_no_figure() -> None:
    tables = published_tables(published())
    filled = [cell for table in tables for row in table.rows for cell in row[2:] if cell.value is not None]
    assert len(filled) == len(published())
    assert sorted(cell.value or 0 for cell in filled) == sorted(entry.number for entry in published())
    titles = [table.title for table in tables]
    assert len(set(titles)) == len(titles)
    assert "plt-coco@mr40: comic, table 1" in titles
    (partial,) = [table for table in tables if table.title == "partial-voc2007: dualcoop, table 1"]
    shares = tuple(f"p{share}" for share in range(10, 100, 10))
    assert partial.columns == ("method", "backbone", *shares, "avg", "params (M)")


def test_pages_are_written_and_checked(tmp_path: Path) -> None:
    assert len(check_published(tmp_path)) == len(pages()) == len(PAPERS) + 2
    written = write_published(tmp_path)
    assert {path.name for path in written} == {*(f"{paper}.md" for paper in PAPERS), "README.md", "published.csv"}
    assert check_published(tmp_path) == []
    page = tmp_path / FOLDER / "lmpt.md"
    text = page.read_text(encoding="utf-8")
    assert max(len(line) for line in text.splitlines()) <= 120
    page.write_text(text.replace("85.44", "85.45"), encoding="utf-8")
    assert check_published(tmp_path) == [page]


def test_lmpts_figures_are_named_by_the_metric_that_they_are_comparable_with() -> None:
    """Its output is a softmax over classes; a reader would otherwise hold 85.44 against the mAP of logits."""
    assert "compare with `mAP_softmax`" in pages()["lmpt.md"]
    assert all("mAP_softmax" not in pages()[f"{paper}.md"] for paper in PAPERS if paper != "lmpt")
    for task in ("voc-lt", "coco-lt"):
        said = {line.partition(" ")[0]: line for line in figures_in_words(task, "mAP").splitlines()}
        assert "highest mAP_softmax " in said["lmpt"]
        assert "highest mAP " in said["dr"]
        assert "compare with `mAP_softmax`" in figures_section(task)
    assert "mAP_softmax" not in figures_section("plt-coco")


def test_printed_spreads_and_averages_are_kept_and_shown() -> None:
    spreads = [entry for entry in published() if entry.std]
    assert len(spreads) == 132
    assert {entry.paper for entry in spreads} == {"comic"}
    averages = {entry.variant: entry.shown for entry in published() if entry.metric == "average_mAP"}
    assert averages == {"-RLC": "54.42 ± 0.15", "-MFM": "54.33 ± 0.13", "-HTB": "53.36 ± 0.31", "full": "54.88 ± 0.19"}
    page = pages()["comic.md"]
    assert "54.88 ± 0.19 |" in page
    assert "42.57 ± 0.11" in page
    assert "\n± as printed" in page
    assert "\n± as printed" not in pages()["dr.md"]


def test_frame() -> None:
    frame = published_frame("voc-lt")
    assert set(frame["task"]) == {"voc-lt"}
    assert frame["value"].dtype == float
    assert published_frame("plt-coco")["std"].notna().sum() == 132 - 52
    assert len(published_frame()) == len(published())
    assert published_frame("shapes-lt").empty


def test_a_leaderboard_names_the_papers_on_its_task() -> None:
    assert papers_on("voc-lt") == ("lmpt", "dr")
    record = b.record(task=b.task_facts(b.task(name="voc-lt")))
    assert "(../../published/dr.md)." in render_markdown(build_board([record], "voc-lt", 1))
    assert "published" not in render_markdown(build_board([b.record()], "toy-lt", 1))
