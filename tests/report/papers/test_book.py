"""Each printed figure is in the book, each row is a run that a preset covers or says why not; nothing is invented."""

from __future__ import annotations

from ltbench.method.config import load_presets
from ltbench.plugin.manager import registry
from ltbench.report.papers.book import book, left_out
from ltbench.report.papers.measured import compare
from ltbench.report.papers.points import with_points
from ltbench.report.papers.runs import PlannedRun, parts_of, planned, runs_of
from ltbench.report.papers.shelf import Shelf
from ltbench.report.published import PARAMETERS, published
from ltbench.tasks.registry import load_task
from ltbench.tasks.views import validation_labels


def test_every_printed_figure_is_in_the_book_once() -> None:
    tables = [table for table in book().values() if not table.axis]
    figures = [figure for table in tables for line in table.lines for figure in line.printed]
    assert sorted(map(repr, figures)) == sorted(map(repr, published()))
    assert {table.address for table in tables} == {f"{entry.paper}:table{entry.table}" for entry in published()}


def test_names_of_rows_tell_them_apart() -> None:
    for table in book().values():
        names = [line.name for line in table.lines]
        assert len(set(names)) == len(names), table.address
        assert all("/" not in name and " " not in name for name in names)


def test_rows_stand_where_they_are_printed() -> None:
    """The file names rows in the paper's order; a slip would show as a neighbour's figures."""
    first = {
        address: {line.name: line.printed[0].value for line in book()[address].lines}
        for address in ("lmpt:table1", "dr:table3", "dualcoop:table6", "hspnet:table5", "comic:table2")
    }
    assert first["lmpt:table1"]["lmpt-rn50"] == "85.44"
    assert first["lmpt:table1"]["zero-shot-clip-vit-b16"] == "85.77"
    assert first["dr:table3"]["c-lsep-gamma-1"] == "73.98"
    labels = {line.name: line.label for address in first for line in book()[address].lines}
    assert labels["regions-224"].endswith("train_res=224;test_res=224")
    assert "[s_i, w_i]" in labels["concatenated"]
    assert labels["no-htb"] == "COMIC: -HTB"


def test_every_preset_that_is_named_exists() -> None:
    """A row may lack a preset of its own; none may name one that is not there, or that is for something else."""
    for table in book().values():
        for line in table.lines:
            reasons = {run for run in runs_of(line).values() if isinstance(run, str)}
            assert not [reason for reason in reasons if reason.startswith(("unknown", "preset ", "no plugin"))], line


def test_presets_that_claim_a_table_are_rows_of_one() -> None:
    variants = ("paper", "code")
    runs = planned([table.in_variant(variant) for variant in variants for table in book().values()])
    used = {(run.method, run.preset, run.variant, run.address) for run in [*runs, *planned(book().values())]}
    claims = 0
    for item in registry().methods:
        for preset in load_presets(item.spec):
            if not (preset.origin.startswith("published(") and "Table" in preset.origin):
                continue
            claims += 1
            assert [
                address
                for method, name, variant, address in used
                if (method, name) == (item.spec.name, preset.name)
                and preset.variant in (None, variant)
                and {address, address.partition("@")[0]} & set(preset.tasks)
            ], f"{item.spec.name}: {preset.name} is no row of any table"
    assert claims > 90


def test_what_figures_are_measured_by_are_metrics_of_their_tasks() -> None:
    for table in book().values():
        for line in table.lines:
            runs = runs_of(line)
            for figure in line.printed:
                parts = parts_of(figure, line.recipe)
                assert bool(parts) == (figure.metric != PARAMETERS)
                for address, metric, _ in parts:
                    if isinstance(runs[address], PlannedRun):
                        assert metric in load_task(address).metrics, (table.address, line.name, metric)


def test_epochs_are_chosen_where_a_run_has_labels_to_choose_by() -> None:
    """A single positive label names none that is absent, so that no epoch would be better than another."""
    runs = planned(book().values())
    chosen = [run for run in runs if run.selection == "validation"]
    assert chosen == [run for run in runs if run.address.endswith("@largeloss")]
    assert {run.method for run in chosen} >= {"lsan", "ll-r", "splc", "spl", "spl-gcn", "hcp", "dualcoop", "hspnet"}
    for run in chosen:
        task = load_task(run.address)
        assert task.validation.in_final_runs, run
        assert validation_labels(task, run.validation) == "clean", run


def test_a_row_says_where_no_validation_rows_choose_its_epoch() -> None:
    (lsan, largeloss, hill) = compare(book()["hspnet:table1"].only(["lsan", "largeloss", "hill"]), Shelf()).lines
    none = "no validation rows are held out to choose the epoch on; the paper does not say which epoch counts"
    for line in (lsan, hill):
        assert line.differs["selection"].startswith(
            f"on spml-coco@splc, spml-voc@splc, spml-nus@splc, spml-cub@splc {none}"
        )
    assert "selection" not in largeloss.differs
    for run in largeloss.runs.values():
        assert isinstance(run, PlannedRun)
        assert (run.selection, run.validation, run.lacks) == ("validation", "clean", "")
    # What the images choose is LargeLoss's and Cole's own word for their rows, and ours for HSPNet's.
    words = {line.line.name: "validation" in line.differs for line in compare(book()["hspnet:table1"], Shelf()).lines}
    assert [name for name, said in words.items() if not said] == ["lsan", "largeloss", "hill"]


def test_a_curve_varies_one_option() -> None:
    curve = book()["lmpt:fig7"]
    options = [run.options for line in curve.lines for run in runs_of(line).values() if isinstance(run, PlannedRun)]
    assert curve.axis == "lambda_cls"
    assert sorted({option["lambda_cls"] for option in options}) == [0.1, 0.3, 0.5, 0.7, 0.9]
    assert {len(option) for option in options} == {1}
    curves = {table.address for table in book().values() if table.axis}
    assert {"lmpt:fig6", "lmpt:fig7", "dr:fig4ab", "dr:fig4cd", "dualcoop:fig4", "dualcoop:fig5"} <= curves
    assert {"dualcoop:fig3", "comic:fig3a", "comic:fig3b", "hspnet:fig3"} <= curves
    assert not {*left_out()} & {*book()}


def test_points_of_curves_that_tables_print_have_the_tables_figures() -> None:
    """Worked out by hand: which row of the paper's tables is the run of which point."""

    def points(address: str, task: str, setting: str = "") -> dict[str, str]:
        drawn = with_points(book()[address])
        found = {
            line.name: figure.value
            for line in drawn.lines
            for figure in line.printed
            if (figure.task, figure.setting) == (task, setting)
        }
        return {name: value for name, value in found.items() if value}

    # Table 3 has C-LSEP with gamma 1, 3 and 5; DR's own rows have gamma2 7 on VOC-LT and 10 on COCO-LT.
    assert points("dr:fig4ab", "voc-lt") == {"gamma1-1": "73.98", "gamma1-3": "74.59", "gamma1-5": "74.93"}
    assert points("dr:fig4cd", "voc-lt") == {"gamma2-7": "78.01"}
    assert list(points("dr:fig4cd", "coco-lt")) == ["gamma2-10"]
    assert points("lmpt:fig7", "coco-lt") == {"lambda-0.5": "66.19"}
    assert points("dualcoop:fig4", "partial-coco", "p10") == {"N-16": "78.7"}
    assert points("comic:fig3a", "plt-coco", "mr40") == {"alpha-2": "55.08"}
    # Table 1 in the setup of LargeLoss; a run on a share is another run.
    drawn = {"large-loss-share-1": "71.6", "spl-gcn-share-1": "74.14", "hspnet-share-1": "74.8"}
    assert points("hspnet:fig3", "spml-coco", "largeloss") == drawn
    # So is one whose last epoch counts where that of the table is chosen.
    last = [
        line.model_copy(update={"recipe": line.recipe.model_copy(update={"selection": "last"})})
        for line in book()["hspnet:fig3"].lines
    ]
    others = with_points(book()["hspnet:fig3"].model_copy(update={"lines": tuple(last)}))
    assert not any(figure.value for line in others.lines for figure in line.printed)
    said = next(line.differs for line in with_points(book()["dr:fig4ab"]).lines if line.name == "gamma1-3")
    assert said["published"].endswith("is printed in table 3, for a run of the same settings")
    table = book()["dr:table3"]
    assert with_points(table) is table
