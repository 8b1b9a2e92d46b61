from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from records import builders as b

from ltbench.plugin.errors import UserError
from ltbench.records.facts import Selection
from ltbench.report.board import Board, build_board
from ltbench.report.cells import Cell, Table
from ltbench.report.figures import save_plots
from ltbench.report.html import render_html
from ltbench.report.latex import escape, render_latex
from ltbench.report.markdown import render_markdown, split, table_text
from ltbench.report.plots import draw_groups, figure_bytes
from ltbench.report.write import FORMATS, render

PEEKED = Selection(rule="last", oracle={"mAP": {"total": 99.0}}, oracle_epoch=3)


def board() -> Board:
    records = [
        *(b.record(seed=s, mAP=70.0 + s, selection=PEEKED, method=b.method_facts(name="lmpt_x")) for s in range(3)),
        *(b.record(seed=s, mAP=60.0 + s, method=b.method_facts(origin="published(Table 1, 50%|full)")) for s in (0, 1)),
        b.record(task=b.task_facts(b.task(setting="mr40")), mAP=55.0),
        b.record(mAP=10.0, limit=5),
        b.failure(reason="<b>bad</b> & worse | worst"),
    ]
    return build_board(records, "toy-lt", 1)


def test_markdown_page() -> None:
    page = render_markdown(board())
    assert page.startswith("# toy-lt, version 1\n")
    assert "## toy-lt@mr40: tiny-clip (weights tiny-v1, aaaaaaaa; float32)\n" in page
    assert re.search(r"^\|\s+1 \| lmpt_x\s+\| 71\.00 ± 2\.48 \| 76\.00 ± 2\.48 ", page, re.MULTILINE)
    assert "published(Table 1, 50%\\|full)" in page
    assert "<summary>Shown, not ranked: " in page
    assert "<summary>Failures: " in page
    assert page.endswith("|\n\n</details>\n")
    assert max(len(line) for line in page.splitlines() if "<summary>" not in line) <= 120
    assert render_markdown(board()) == page
    assert render_markdown(build_board([], "toy-lt", 1)).endswith("No records yet.\n")


def test_curves_come_before_the_ranks_of_settings_and_other_figures_after() -> None:
    pictures = [("curve: of all settings", "figures/curves.svg"), ("corrected: labels", "figures/corrections-a.svg")]
    settings = [b.record(task=b.task_facts(b.task(name="shapes-plt", setting=name))) for name in ("mr0", "mr30")]
    page = render_markdown(build_board(settings, "shapes-plt", 1), pictures)
    order = ("over all settings", "curves.svg", "## shapes-plt@mr0", "corrections-a.svg")
    places = [page.index(text) for text in order]
    assert places == sorted(places)
    assert "figure</summary>" in page
    assert "figure</summary>" not in render_markdown(board())


def test_wide_tables_are_split_and_keep_their_row_names() -> None:
    columns = ("#", "method", *(f"column {n:02d}" for n in range(14)))
    row = (Cell("1"), Cell("lmpt"), *(Cell(f"{n}.25 ± 0.50") for n in range(14)))
    table = Table("mAP", columns, (True, False, *(True for _ in range(14))), (row,))
    parts = split(table)
    assert [part.columns[:2] for part in parts] == [("#", "method")] * len(parts)
    assert [name for part in parts for name in part.columns[2:]] == list(columns[2:])
    assert len(parts) == 2
    assert max(len(line) for line in table_text(table).splitlines()) <= 120
    assert len(split(table, width=10)) == 14


def test_latex_is_escaped_and_balanced() -> None:
    text = render_latex(board())
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == text.count(r"\bottomrule") > 4
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule")
    assert r"lmpt\_x" in text
    assert r"71.00 $\pm$ 2.48" in text
    assert r"50\%" in text
    assert not re.search(r"(?<!\\)[_#]", text)
    assert text.isascii()
    assert escape("a\\b{c}~^") == r"a\textbackslash{}b\{c\}\textasciitilde{}\textasciicircum{}"


class Outline(HTMLParser):
    """Collects tags and what a page asks for from elsewhere."""

    void = ("meta", "link", "img", "br", "path", "use", "rect")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []
        self.tables = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tables += tag == "table"
        self.outside += [v for k, v in attrs if k in ("src", "href") and v and not v.startswith("#")]
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.outside += [v for k, v in attrs if k in ("src", "href") and v and not v.startswith("#")]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.void:
            assert self.open.pop() == tag


def test_html_is_whole_escaped_and_needs_nothing_else() -> None:
    page = render_html(board())
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert outline.outside == []
    assert outline.tables == 2 + 2 + 2
    assert page.count("<svg") == 2
    assert "<?xml" not in page
    assert "&lt;b&gt;bad&lt;/b&gt; &amp; worse" in page
    assert "<b>bad" not in page
    assert 'data-value="71.0">71.00 ± 2.48' in page
    assert render_html(board()) == page
    assert "<svg" not in render_html(board(), plots=False)


def test_json_and_csv_hold_the_same_figures() -> None:
    listed = json.loads(render(board(), "json"))
    rows = list(csv.DictReader(io.StringIO(render(board(), "csv"))))
    assert len(listed) == len(rows) == 4 * 4
    assert [float(row["mean"]) for row in rows] == [entry["mean"] for entry in listed]
    assert {row["rank"] for row in rows} == {"1", "2", ""}
    assert render(build_board([], "toy-lt", 1), "json") == "[]\n"


def test_every_format_renders_and_others_are_named() -> None:
    for form in FORMATS:
        assert render(board(), form)
    with pytest.raises(UserError, match="unknown format 'pdf'; there are md, latex, html, json, csv"):
        render(board(), "pdf")


def test_plots_are_drawn_the_same_every_time(tmp_path: Path) -> None:
    paths = save_plots(board(), tmp_path, ("svg", "png"))
    names = {path.name for path in paths}
    assert "curves.svg" in names
    assert "groups-mr40-tiny-clip-aaaaaaaa.png" in names
    assert len(paths) == len(names) == 2 * (2 + 2 + 1)
    first = {path: path.read_bytes() for path in paths}
    assert save_plots(board(), tmp_path, ("svg", "png")) == paths
    for path, content in first.items():
        assert path.read_bytes() == content
        assert content.startswith(b"\x89PNG" if path.suffix == ".png" else b"<?xml")
        assert b"dc:date" not in content


def test_figures_hold_the_figures() -> None:
    made = board()
    axes = draw_groups(made.sections[0], "mAP").axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["lmpt_x", "coop"]
    total = axes.containers[0][0]
    assert list(total.get_xdata()) == [71.0, 60.5]
    undefined = draw_groups(made.sections[0], "luck")
    assert figure_bytes(undefined, "svg")
