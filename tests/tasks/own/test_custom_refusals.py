"""Tasks of a user's own that are refused, and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ltbench.plugin import UserError
from ltbench.tasks.own.new import Order, create_task
from tests.tasks.own.custom_toys import ROWS, table


def test_split_and_test_share_exclude_each_other(order: Order) -> None:
    with pytest.raises(UserError, match="--test-share has no meaning"):
        create_task(replace(order, test_share=0.4))


def test_bad_rows_and_bad_images_are_told_together(order: Order, tmp_path: Path) -> None:
    table(tmp_path, [*ROWS, "f.png,test,dog", "b.png,train,dog", "a.png,tset,"])
    (tmp_path / "photos" / "d.png").write_text("no image")
    with pytest.raises(UserError) as caught:
        create_task(order)
    assert caught.value.details == (
        "labels.csv line 5: image 'd.png' cannot be decoded (no image format that is read)",
        "labels.csv line 7: image 'f.png' is missing",
        "labels.csv line 8: duplicate file 'b.png' (first on line 3)",
        "labels.csv line 9: duplicate file 'a.png' (first on line 2)",
        "labels.csv line 9: unknown split 'tset'; it is one of train, val, test",
    )
    assert not (tmp_path / "ltbench-tasks").exists()


def test_the_wrong_folder_is_one_line_not_hundreds(order: Order, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"none of the 5 files of labels\.csv is in .*first: a\.png") as caught:
        create_task(replace(order, images=tmp_path / "empty"))
    assert caught.value.details == ()


@pytest.mark.parametrize(
    ("rows", "header", "words"),
    [
        (["a.png,train,cat"], "file,split,labels", "leaves no image for test"),
        (["a.png,val,cat"], "file,split,labels", "leaves no image for train and test"),
        (["a.png,train,", "b.png,test,"], "file,split,labels", "names no class"),
    ],
)
def test_a_table_without_substance_is_refused(
    order: Order, tmp_path: Path, rows: list[str], header: str, words: str
) -> None:
    table(tmp_path, rows, header)
    with pytest.raises(UserError, match=words):
        create_task(order)


@pytest.mark.parametrize(("name", "words"), [("My Photos", "use lower-case"), ("shapes-lt", "exists already")])
def test_a_bad_name_is_refused(order: Order, name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        create_task(replace(order, name=name))
