"""Rows of a board: what makes one, which are ranked, in what order and with which columns they are shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from records import builders as b

from ltbench.records.facts import Selection
from ltbench.records.record import RunRecord
from ltbench.report.board import build_board, equals_title, human
from ltbench.report.cells import score_cell
from ltbench.report.frames import entries, frame
from ltbench.report.rows import Score, make_rows, natural, shown_subsets, telling_subsets, why_not_ranked
from report.boards import notes, order, runs


def test_mean_and_t_interval_over_seeds() -> None:
    (row,) = make_rows(runs("coop", 70.0, 72.0, 74.0))
    score = row.score("mAP", "total")
    assert score.mean == pytest.approx(72.0)
    assert score.half == pytest.approx(4.302652729911275 * 2.0 / math.sqrt(3), rel=1e-9)
    assert score.image is None
    assert row.seeds == (0, 1, 2)
    assert score_cell(score).text == "72.00 ± 4.97"
    assert score_cell(Score(None)).text == "–"


def test_no_interval_for_one_seed_or_a_deterministic_method() -> None:
    (single,) = make_rows(runs("coop", 70.0))
    assert single.score("mAP", "total") == Score(70.0, None, (68.0, 72.0))
    (fixed,) = make_rows(runs("zero-shot", 60.0, 60.0, facts={"deterministic": True}))
    assert fixed.score("mAP", "total") == Score(60.0, None, None)


def test_a_figure_undefined_for_one_seed_is_undefined() -> None:
    first, second = runs("coop", 70.0, 72.0)
    gone = {"mAP": {**second.scores["mAP"], "tail": None}}
    spans = {"mAP": {**second.intervals["mAP"], "tail": None}}
    patched = second.model_copy(update={"scores": gone, "intervals": spans})
    (row,) = make_rows([first, patched])
    assert row.score("mAP", "tail").mean is None
    assert row.score("mAP", "total").mean == 71.0
    assert row.score("luck", "total").mean is None


def test_the_newest_completed_attempt_of_a_key_counts() -> None:
    old = b.record(mAP=50.0, created="2026-03-01T00:00:00Z")
    new = b.record(mAP=60.0, created="2026-03-02T00:00:00Z", attempt=2)
    failed = b.failure(created="2026-03-03T00:00:00Z", attempt=3)
    board = build_board([new, old, failed], "toy-lt", 1)
    ((ranked,),) = [section.ranked for section in board.sections]
    assert ranked.row.headline == 60.0
    assert ranked.row.records == (new,)
    assert board.failed == (failed,)


ROW_CHANGES: dict[str, dict[str, Any]] = {
    "recipe": {"method": b.method_facts(name="lmpt")},
    "variant": {"method": b.method_facts(variant="code")},
    "origin": {"method": b.method_facts(origin="tuned(20, on shapes-lt)")},
    "config": {"method": b.method_facts(config={"epochs": 1})},
    "version": {"method": b.method_facts(version="0.2.0")},
}


@pytest.mark.parametrize("what", list(ROW_CHANGES))
def test_what_makes_another_row(what: str) -> None:
    board = build_board([b.record(), b.record(**ROW_CHANGES[what])], "toy-lt", 1)
    assert [len(section.ranked) for section in board.sections] == [2]
    labels = [cells[1].text for cells in board.sections[0].tables[0].rows]
    assert len(set(labels)) == 2, labels


EQUALS_CHANGES: dict[str, dict[str, Any]] = {
    "backbone": {"backbone": b.backbone_facts(name="clip-rn50")},
    "weights": {"backbone": b.backbone_facts(weights_sha256="e" * 64)},
    "dtype": {"backbone": b.backbone_facts(dtype="bfloat16")},
    "pretraining": {"backbone": b.backbone_facts(pretraining="400 M web images")},
    "extras": {"extras": ("captions",)},
    "setting": {"task": b.task_facts(b.task(setting="mr40"))},
    "data": {"task": b.task_facts().model_copy(update={"fingerprints": {"test_ids": "f" * 64}})},
}


@pytest.mark.parametrize("what", list(EQUALS_CHANGES))
def test_rows_rank_only_among_equals(what: str) -> None:
    board = build_board([b.record(mAP=50.0), b.record(mAP=90.0, **EQUALS_CHANGES[what])], "toy-lt", 1)
    assert [[r.rank for r in section.ranked] for section in board.sections] == [[1], [1]]


NEVER: dict[str, tuple[dict[str, Any], str]] = {
    "random": ({"backbone": b.backbone_facts(weights="random", ranked=False)}, "random weights"),
    "backbone": ({"backbone": b.backbone_facts(ranked=False)}, "this backbone is not ranked"),
    "limit": ({"limit": 8}, "limited to 8 rows"),
    "unpinned": ({"task": b.task_facts(b.task(pinned=False))}, "unpinned: images"),
    "task": ({"task": b.task_facts(b.task(ranked=False))}, "this task is not ranked"),
}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"method": b.method_facts(origin="tuned(8, on photos-lt)")}, "values made on photos-lt"),
        ({"method": b.method_facts(origin="transferred(photos-plt@mr0)")}, "values made on photos-plt@mr0"),
        ({"backbone": b.backbone_facts(pretraining="ImageNet, then photos-spml")}, "an encoder made on photos-spml"),
    ],
)
def test_what_saw_the_test_images_of_a_task_never_ranks_there(changes: dict[str, Any], says: str) -> None:
    on_voc = {"task": b.task_facts().model_copy(update={"name": "voc-lt"})}
    record = b.record(mAP=99.0, **on_voc, **changes)
    assert why_not_ranked(record) == (f"{says}, whose images are tested on here",)
    board = build_board([b.record(mAP=50.0, **on_voc), record], "voc-lt", 1)
    assert order(board) == [("coop", 1, False)]
    assert why_not_ranked(b.record(mAP=99.0, **changes)) == ()


@pytest.mark.parametrize("seen", ["unknown (local file mine.pth)", "unknown (feature file mine.npz)"])
def test_a_file_of_unknown_past_never_ranks_where_photographs_may_have_been_trained_on(seen: str) -> None:
    changes = {"backbone": b.backbone_facts(pretraining=seen)}
    on_voc = {"task": b.task_facts().model_copy(update={"name": "voc-lt"})}
    (reason,) = why_not_ranked(b.record(mAP=99.0, **on_voc, **changes))
    assert reason.startswith("an encoder of which nobody says what it saw")
    assert why_not_ranked(b.record(mAP=99.0, **changes)) == ()


@pytest.mark.parametrize("why", list(NEVER))
def test_what_is_shown_but_never_ranked(why: str) -> None:
    changes, says = NEVER[why]
    record = b.record(mAP=99.0, **changes)
    assert why_not_ranked(record) == (says,)
    board = build_board([b.record(mAP=50.0), record], "toy-lt", 1)
    assert order(board) == [("coop", 1, False)]
    (table,) = board.extra
    assert (table.title, table.rows[0][3].text, table.rows[0][-1].text) == ("Shown, not ranked", "99.00", says)


def test_failures_are_listed_with_step_and_reason() -> None:
    board = build_board([b.failure("diverged", seed=2), b.failure(seed=1)], "toy-lt", 1)
    assert board.sections == ()
    (table,) = board.extra
    assert [[cell.text for cell in row[3:]] for row in table.rows] == [
        ["1", "1", "failed", "–", "RuntimeError: shapes differ"],
        ["2", "1", "diverged", "17", "loss is not finite"],
    ]


def test_other_tasks_and_versions_are_passed_over() -> None:
    other = [b.record(task=b.task_facts(b.task(name="toy-other"))), b.record(task=b.task_facts(b.task(version=2)))]
    assert build_board(other, "toy-lt", 1) == build_board([], "toy-lt", 1)
    assert len(build_board(other, "toy-lt", 2).sections) == 1


def test_oracle_is_shown_beside_and_ranks_nothing() -> None:
    peeked = Selection(rule="last", oracle={"mAP": {"total": 99.0}}, oracle_epoch=3)
    board = build_board([*runs("a", 70.0, selection=peeked), *runs("b", 80.0)], "toy-lt", 1)
    assert [name for name, _, _ in order(board)] == ["b", "a"]
    table = board.sections[0].tables[0]
    assert table.columns[-1] == "oracle"
    assert [row[-1].text for row in table.rows] == ["–", "99.00"]


def test_settings_come_in_natural_order() -> None:
    records = [b.record(task=b.task_facts(b.task(setting=s))) for s in ("p90", "p10", "p9", "p100")]
    assert build_board(records, "toy-lt", 1).settings == ["p9", "p10", "p90", "p100"]
    assert natural("mr0") < natural("mr30") < natural("mr100")


def test_metrics_and_subsets_come_in_the_contracts_order() -> None:
    made = {"mAP": {"tail": 1.0, "gzsl": 2.0, "zsl": 3.0, "total": 2.0, "head": 5.0, "odd": 6.0}, "CF1": {"total": 1.0}}
    made["P@7"] = made["mAP_softmax"] = made["CF1"]
    spans = {metric: dict.fromkeys(subsets, (0.0, 9.0)) for metric, subsets in made.items()}
    record = b.record(scores=made, intervals=spans)
    (section,) = build_board([record], "toy-lt", 1).sections
    assert [table.title for table in section.tables] == [
        "mAP",
        "Other metrics, over all classes",
        "How the rows were made",
    ]
    assert section.tables[1].columns == ("#", "method", "mAP_softmax", "CF1", "P@7")
    assert shown_subsets([section.ranked[0].row], "mAP") == ["total", "head", "tail", "zsl", "odd"]


def test_groups_that_repeat_the_total_or_are_empty_have_no_column() -> None:
    made = {"mAP": {"total": 3.0, "head": None, "medium": 3.0, "tail": 3.0}}
    spans = {"mAP": {"total": (0.0, 9.0), "head": None, "medium": (0.0, 9.0), "tail": (0.0, 9.0)}}
    rows = make_rows([b.record(scores=made, intervals=spans)])
    assert telling_subsets(rows, "mAP") == ["total"]
    other = {"mAP": made["mAP"] | {"tail": 2.0}}
    rows += make_rows([b.record(scores=other, intervals=spans, method=b.method_facts(name="other"))])
    assert telling_subsets(rows, "mAP") == ["total", "tail"]
    assert shown_subsets(rows, "mAP") == ["total", "head", "medium", "tail"]


def test_metrics_of_zero_shot_tasks_keep_their_subsets() -> None:
    made = {metric: {"total": 1.0, "gzsl": 1.0, "zsl": 3.0} for metric in ("mAP", "F1@3")}
    spans = {metric: dict.fromkeys(subsets, (0.0, 9.0)) for metric, subsets in made.items()}
    (section,) = build_board([b.record(scores=made, intervals=spans)], "toy-lt", 1).sections
    assert [table.title for table in section.tables[:-1]] == ["mAP", "F1@3"]
    assert "zsl" in section.tables[1].columns


def test_rows_of_one_recipe_are_told_apart_by_their_presets() -> None:
    plain, named = (b.method_facts(name="a", preset=preset, config={"k": k}) for preset, k in ((None, 1), ("best", 2)))
    (section,) = build_board([b.record(method=plain), b.record(method=named)], "toy-lt", 1).sections
    assert sorted(row[1].text for row in section.tables[0].rows) == ["a", "a [best]"]


def test_a_board_does_not_depend_on_the_order_of_records() -> None:
    records = [*runs("a", 80.0, 82.0), *runs("b", 80.0, 82.0), b.failure(seed=4), *runs("c", 10.0, limit=3)]
    assert build_board(records, "toy-lt", 1) == build_board(records[::-1], "toy-lt", 1)


def test_entries_are_flat_and_complete() -> None:
    board = build_board([*runs("a", 80.0, 82.0), *runs("c", 10.0, limit=3)], "toy-lt", 1)
    listed = entries(board)
    assert len(listed) == 2 * 4
    assert listed[0]["rank"] == 1
    assert listed[0]["mean"] == 81.0
    assert listed[0]["seeds"] == "0|1"
    assert listed[-1]["rank"] is None
    assert listed[-1]["why_not_ranked"] == "limited to 3 rows"
    assert listed[-1]["image_low"] == 3.0
    table = frame(board)
    assert table.shape == (8, len(listed[0]))
    assert table.loc[table["subset"].eq("total") & table["method"].eq("a"), "mean"].tolist() == [81.0]
    assert frame(build_board([], "toy-lt", 1)).empty


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (999, "999"), (1000, "1.0 k"), (2_048_000, "2.0 M"), (3.2e9, "3.2 G")]
)
def test_parameters_are_readable(number: float, text: str) -> None:
    assert human(number) == text


def test_a_complete_set_of_settings_has_an_average_and_an_incomplete_one_has_none() -> None:
    def at(setting: str, name: str, value: float) -> RunRecord:
        task = b.task_facts(b.task(name="shapes-plt", setting=setting))
        return b.record(
            task=task,
            method=b.method_facts(name=name),
            scores={"mAP": {"total": value}},
            intervals={"mAP": {"total": (0.0, 100.0)}},
        )

    values = {"mr0": 80.0, "mr30": 70.0, "mr40": 60.0, "mr50": 50.0}
    records = [at(setting, "whole", value) for setting, value in values.items()] + [at("mr0", "half", 99.0)]
    (table,) = build_board(records, "shapes-plt", 1).overview
    assert table.columns == ("method", "backbone", "average", "to the fullest", "mr0", "mr30", "mr40", "mr50")
    # On the one setting that both have, the incomplete one is ahead.
    assert [row[0].text for row in table.rows] == ["half", "whole"]
    assert [row[2].text for row in table.rows] == ["–", "65.00"]
    assert [row[3].text for row in table.rows] == ["+19.00 on 1", "+0.00"]
    assert table.rows[0][5].text == "–"
    twice = [
        *records,
        b.record(
            task=records[0].task,
            method=b.method_facts(name="whole", config={"k": 2}),
            scores=records[0].scores,
            intervals=records[0].intervals,
        ),
    ]
    (ambiguous,) = build_board(twice, "shapes-plt", 1).overview
    assert [row[0].text for row in ambiguous.rows] == ["half"]
    assert build_board([], "shapes-plt", 1).overview == ()


def test_tables_of_other_data_under_one_name_are_told_apart() -> None:
    """Two people may each have a task my-photos."""
    others = b.task_facts().model_copy(update={"fingerprints": {"test_ids": "f" * 64}})
    alone = build_board(runs("coop", 70.0), "toy-lt", 1).sections
    both = build_board([*runs("coop", 70.0), *runs("coop", 71.0, task=others)], "toy-lt", 1).sections
    titles = [equals_title(section.equals, both) for section in both]
    plain = equals_title(alone[0].equals, alone)
    assert titles == [f"{plain}, data {section.equals.data[:8]}" for section in both]
    assert len(set(titles)) == 2


def test_devices_name_the_rows_of_the_fewer_and_leave_the_others_unnamed() -> None:
    def measured(number: int, *devices: str) -> list[RunRecord]:
        facts = b.method_facts(name=f"method-{number}")
        made = [b.record(method=facts, seed=seed, mAP=50.0 + number) for seed in range(len(devices))]
        return [
            record.model_copy(update={"cost": record.cost.model_copy(update={"device": device})})
            for record, device in zip(made, devices, strict=True)
        ]

    def said(*of: Sequence[RunRecord]) -> str:
        return notes(build_board([record for records in of for record in records], "toy-lt", 1))

    rest = [record for number in range(4) for record in measured(number, "Old CPU")]
    assert "Seconds were measured on Old CPU: all rows." in said(rest)
    assert "Seconds were measured on New CPU: method-9; Old CPU: all other rows." in said(rest, measured(9, "New CPU"))
    both = said(rest, measured(9, "New CPU", "Old CPU"))
    assert "Seconds were measured on New CPU: method-9; Old CPU: all rows." in both
    few = said(measured(0, "Old CPU"), measured(9, "New CPU"))
    assert "method-9" in few
    assert "method-0" in few
