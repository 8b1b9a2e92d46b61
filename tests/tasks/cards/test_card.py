"""Cards: counts from files at hand, and the pages made of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ltbench.data.base import DataRoot
from ltbench.plugin.errors import UserError
from ltbench.tasks.cards.card import as_markdown, make_card
from ltbench.tasks.cards.counting import counts_at_hand
from ltbench.tasks.registry import open_data_set, resolve
from ltbench.tasks.task import PublishedFile
from ltbench.testing.trees import make_tree
from tests.docs import task_pages
from tests.tasks.official import official_facts as facts


def nothing(file: PublishedFile) -> Path:
    raise UserError(f"{file.name} is not here")


@pytest.mark.parametrize(
    ("name", "groups", "total"), [("voc-lt", "6/6/8", ("2346", "7632")), ("coco-lt", "22/33/25", ("8316", "14631"))]
)
def test_counts_are_those_of_the_published_lists(shared: Path, name: str, groups: str, total: tuple[str, str]) -> None:
    tasks = resolve(name)
    found, files = counts_at_hand(tasks[0], facts.in_mirror)
    assert found.train == tasks[0].counts.train
    assert found.test == tasks[0].counts.test
    assert len(files) == 2
    card = make_card(tasks, facts.in_mirror)
    assert f"{groups} classes" in card.facts["groups"]
    assert card.facts["counts"].startswith("counted in ")
    table = card.table("Classes")
    assert table is not None
    assert table.rows[-1] == ("total", "", *total)


def test_without_files_a_card_shows_what_was_counted_when_it_was_pinned() -> None:
    card = make_card(resolve("voc-lt"), nothing)
    assert card.facts["counts"] == "as counted when the task was pinned"
    assert card.facts["rows"] == "1,142 training, 1,000 validation, 4,952 test"
    table = card.table("Classes")
    assert table is not None
    assert ("pottedplant", "head", "100", "254") in table.rows


def test_a_list_of_another_draw_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "voc_lt_train.txt"
    other.write_text("VOCdevkit/VOC2012/JPEGImages/2008_000023.jpg 14 4 19\n")

    def only_that(file: PublishedFile) -> Path:
        return other if file.name == other.name else nothing(file)

    with pytest.raises(UserError, match=r"voc_lt_train.txt does not give the pinned counts"):
        make_card(resolve("voc-lt"), only_that)


def test_settings_state_realised_shares() -> None:
    card = make_card(resolve("plt-voc"))
    table = card.table("Settings")
    assert table is not None
    shares = {row[0]: (row[3], row[4], row[5]) for row in table.rows}
    assert shares["mr0"] == ("5,283", "100.0%", "9/7/4")
    assert shares["mr40"] == ("3,686", "69.8%", "8/6/6")
    assert shares["mr30"][2] == "8/7/5"


def test_a_card_says_what_is_not_pinned_and_why() -> None:
    card = make_card(resolve("spml-nus@splc"))
    assert "observed_labels" in card.facts["ranked"]
    assert "missing from every copy" in card.facts["ranked"]
    files = card.table("Published files")
    assert files is not None
    assert any("not pinned" in row[4] for row in files.rows)


def test_lines_and_files_of_some_settings_say_which() -> None:
    card = make_card(resolve("spml-voc"))
    files = card.table("Published files")
    assert files is not None
    assert [row[1] for row in files.rows] == ["defines the observed labels (splc)", "checks the test rows (splc)"]
    assert any(line.startswith("largeloss: a fifth of") for line in card.notes)
    assert any(line.startswith("splc: SPLC and HSPNet report the best epoch") for line in card.traps)
    assert sum("difficult" in line for line in card.traps) == 1


def test_zero_shot_cards_count_unseen_classes_at_test_only() -> None:
    table = make_card(resolve("shapes-zsl")).table("Classes")
    assert table is not None
    assert table.columns == ("class", "group", "training", "observed", "test")
    shown = {row[1]: row for row in table.rows}
    assert shown["seen"][2] == shown["seen"][3]
    assert shown["unseen"][3] == "–"
    assert int(shown["unseen"][4]) > 0


def test_what_is_not_pinned_is_counted_in_the_data_at_hand(tmp_path: Path) -> None:
    tree = make_tree("coco2014", tmp_path / "data", images={"train": 30, "val": 10}, image_size=(8, 6))
    root = DataRoot(root=tree.root, cache=tmp_path / "cache", offline=True)
    tasks = resolve("partial-coco")
    assert make_card(tasks).facts["counts"] == "not counted: its data were not at hand when the task was pinned"
    elsewhere = make_card(tasks, open_data=lambda task: open_data_set(task, replace(root, root=None)))
    assert elsewhere.facts["counts"] == "not counted: the data are not here (ltbench data prepare partial-coco)"
    card = make_card(tasks, open_data=lambda task: open_data_set(task, root))
    assert card.facts["counts"] == "counted in the data at hand"
    assert card.facts["rows"] == "30 training, 10 test"
    settings, classes = card.table("Settings"), card.table("Classes (p10)")
    assert settings is not None
    assert classes is not None
    assert all(row[2] == "30" for row in settings.rows)
    present = sum(len(tree.labels[row]) for row in tree.ids["train"])
    assert classes.rows[-1][2] == str(present)
    assert 0 < int(settings.rows[0][3]) < int(settings.rows[-1][3].replace(",", "")) < present


def test_data_at_hand_that_are_others_do_not_replace_what_is_pinned(tmp_path: Path) -> None:
    tree = make_tree("voc2007", tmp_path / "data", images={"trainval": 6, "test": 5}, image_size=(8, 6))
    root = DataRoot(root=tree.root, cache=tmp_path / "cache", offline=True)
    card = make_card(resolve("partial-voc2007@p50"), open_data=lambda task: open_data_set(task, root))
    assert card.facts["rows"] == "6 training, 4,952 test"
    assert "the data at hand have other counts than pinned (test_rows)" in card.facts["counts"]


def test_published_files_state_the_licence_of_their_repository() -> None:
    stated = {}
    for family in facts.FAMILIES:
        for task in facts.official_tasks(family):
            for file in task.published:
                stated[file.origin.partition("@")[0].removeprefix("github:")] = file.licence.partition(";")[0]
    assert stated == {
        "richard-peng-xia/LMPT": "none stated",
        "wutong16/DistributionBalancedLoss": "no licence file",
        "jameslahm/HSPNet": "none stated",
        "wannature/COMIC": "none stated",
        "xinyu1205/robust-loss-mlml": "MIT (OPPO LLC)",
        "HCPLab-SYSU/SSGRL": "none stated",
    }


def test_every_fingerprint_of_an_official_task_is_pinned_or_has_a_reason() -> None:
    for family in facts.FAMILIES:
        for task in facts.official_tasks(family):
            pinned = {name for name, value in task.fingerprints.model_dump().items() if value is not None}
            expected = {
                "class_names",
                "train_ids",
                "observed_labels",
                "train_labels",
                "test_ids",
                "test_labels",
                "groups",
            }
            expected |= {"val_ids"} if task.validation.in_final_runs else set()
            expected |= {"captions"} if task.captions == "given" else set()
            assert expected <= pinned | set(task.unpinned), task.address
            assert not (pinned & set(task.unpinned)), task.address
            assert all(task.unpinned.values())


def test_markdown_holds_files_fingerprints_and_traps() -> None:
    text = as_markdown(make_card(resolve("voc-lt")), "## Printed figures\n\nnone")
    assert text.startswith("# voc-lt\n")
    for part in (
        "2111a5e58ae8",
        "| train_ids | 21d64ee973b7",
        "## Traps",
        "## Printed figures",
        "| cow | tail | 4 | 127 |",
    ):
        assert part in text


def test_pages_are_up_to_date() -> None:
    made = task_pages.pages()
    stored = {path.name: path.read_text(encoding="utf-8") for path in task_pages.FOLDER.glob("*.md")}
    stale = sorted(name for name in made.keys() | stored.keys() if made.get(name) != stored.get(name))
    assert not stale, "python tests/docs/task_pages.py"


def test_group_sizes_on_cards_are_those_that_judging_uses(shared: Path) -> None:
    from ltbench.tasks.views import open_truth

    for address in ("voc-lt", "plt-voc@mr40", "spml-voc@splc"):
        (task,) = resolve(address)
        groups = open_truth(task, facts.task_data(task)).groups
        sizes = "/".join(str(len(groups[name])) for name in ("head", "medium", "tail"))
        assert f"{sizes} classes" in make_card([task]).facts["groups"]
