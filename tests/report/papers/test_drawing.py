"""What a picture of a curve shows is what its table says."""

from __future__ import annotations

from pathlib import Path

from ltbench.records.facts import Selection
from ltbench.records.record import RunRecord
from ltbench.report.papers.book import book
from ltbench.report.papers.drawing import panels_of, save_plot
from ltbench.report.papers.measured import compare
from ltbench.report.papers.shelf import Shelf
from tests.cli.test_cli_reproduce import record

RESNET = "timm:resnet50.tv_in1k"


def test_an_option_is_the_axis_of_a_curve(tmp_path: Path) -> None:
    made = [
        record(
            "voc-lt",
            "dr",
            "c-lsep-g5",
            RESNET,
            seed,
            {"mAP": {"total": 70.0 + gamma + seed}},
            options={"gamma1": gamma},
        )
        for gamma in (2, 3)
        for seed in (0, 1)
    ]
    compared = compare(book()["dr:fig4ab"].only(tasks=["voc-lt"]), Shelf(made))
    (panel,) = panels_of(compared)
    assert (panel.axis, panel.score, panel.ticks) == ("gamma1", "mAP", tuple(str(n) for n in range(1, 11)))
    (trace,) = panel.traces
    assert trace.published == ((0, 73.98), (2, 74.59), (4, 74.93))
    # Student's t for one degree of freedom is 12.706; the standard error of two seeds one apart is one half.
    assert [(at, mean) for at, mean, _ in trace.measured] == [(1, 72.5), (2, 73.5)]
    assert all(abs(half - 6.353) < 1e-3 for _, _, half in trace.measured)
    path = save_plot(compared, tmp_path)
    assert path == tmp_path / "dr-fig4ab.svg"
    text = path.read_text(encoding="utf-8")
    assert "gamma1 of C-LSEP, without NGC: voc-lt" in text
    assert ">measured<" in text


def test_shares_of_labels_are_an_axis_too(tmp_path: Path) -> None:
    compared = compare(book()["dualcoop:table1"].only(["dualcoop", "sarb-star"], ["partial-coco"]), Shelf())
    (panel,) = panels_of(compared)
    assert (panel.axis, panel.ticks[0], panel.ticks[-1]) == ("setting", "p10", "p90")
    assert [trace.label for trace in panel.traces] == ["sarb-star", "dualcoop"]
    assert panel.traces[1].published[0] == (0, 78.7)
    assert len(panel.traces[1].published) == 9


def test_a_curve_may_have_several_lines_and_shares_of_rows_as_its_axis(tmp_path: Path) -> None:
    def ran(method: str, backbone: str, share: float | None, mean: float) -> RunRecord:
        preset = "largeloss" if method == "ll-r" else "coco-largeloss"
        scores = {"mAP": {"total": mean}}
        chosen = {"selection": Selection(rule="validation", epoch=2, score=50.0), "extras": ("clean validation",)}
        return record("spml-coco@largeloss", method, preset, backbone, 0, scores, share=share, **chosen)

    made = [ran("hspnet", "clip-rn50", 0.1, 60.0), ran("ll-r", RESNET, 0.1, 50.0), ran("ll-r", RESNET, 0.4, 55.0)]
    compared = compare(book()["hspnet:fig3"], Shelf(made))
    (panel,) = panels_of(compared)
    assert (panel.axis, panel.ticks) == ("share of training rows", ("0.1", "0.2", "0.4", "0.6", "0.8", "1"))
    measured = {trace.label: [point[:2] for point in trace.measured] for trace in panel.traces}
    assert measured == {"large-loss": [(0, 50.0), (2, 55.0)], "spl-gcn": [], "hspnet": [(0, 60.0)]}
    assert {trace.label: trace.published for trace in panel.traces}["hspnet"] == ((5, 74.8),)
    path = save_plot(compared, tmp_path)
    assert path is not None
    assert ">hspnet" in path.read_text(encoding="utf-8")
    # What was trained on a tenth is no row of the table of whole runs.
    assert compare(book()["hspnet:table1"].only(["hspnet"], ["spml-coco"]), Shelf(made)).measured == 0


def test_what_has_no_axis_is_not_drawn(tmp_path: Path) -> None:
    assert save_plot(compare(book()["dr:table5"], Shelf()), tmp_path) is None
    assert list(tmp_path.iterdir()) == []
