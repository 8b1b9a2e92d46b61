"""What to bring, as a value: told in full before anything is done."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from small_web import Web
from toy_pieces import LAYOUT, TEST, TRAIN, as_tar, home, lines, prepare

from ltbench.cli.commands.data import item_json
from ltbench.data.base import DataRoot
from ltbench.data.getting.needs import Needs, Piece
from ltbench.data.getting.plan import plan
from ltbench.tasks.needs import needs_of, plan_of_run
from ltbench.tasks.registry import load_task


def test_a_plan_says_all_and_does_nothing(
    web: Web, root: DataRoot, needs: Needs, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A mirror that is none is found out by whoever brings things.
    monkeypatch.setenv("LTBENCH_MIRROR", "/nowhere")
    labels = Piece("labels.json", LAYOUT, (("labels.json",),), by_hand="ask the authors")
    wanted = plan(replace(needs, pieces=(*needs.pieces, labels)), root)
    train, test = len(as_tar(TRAIN)), len(as_tar(TEST))
    assert [(item.name, item.bytes, item.address) for item in wanted.missing] == [
        ("list.txt", 6, web.url("/list.txt")),
        ("train.tar", train, web.url("/train.tar")),
        ("test.tar", test, web.url("/test.tar")),
    ]
    assert [(item.name, item.address, item.todo) for item in wanted.by_hand] == [
        ("labels.json", "", f"ask the authors: {home(root)}")
    ]
    assert not wanted.complete
    assert wanted.bytes == 6 + train + test
    assert wanted.room() == wanted.bytes + max(train, test)
    assert wanted.room(keep_archives=True) == 2 * wanted.bytes
    assert wanted.command == "ltbench data prepare toy-task"
    assert wanted.summary.startswith("toy-task needs ")
    assert "list.txt (6 B), train.tar (" in wanted.summary
    assert web.asked == []
    assert lines(root).said == []
    assert not root.cache.exists()
    assert not root.home.exists()


def test_the_plan_of_what_is_here_is_empty_but_for_repairs(web: Web, root: DataRoot, needs: Needs) -> None:
    prepare(needs, root)
    done = plan(needs, root)
    assert (done.complete, done.missing, done.downloads, done.bytes, done.summary) == (True, (), (), 0, "")
    again = plan(needs, root, repair=True)
    assert again.missing == ()
    assert [item.name for item in again.downloads] == ["train.tar", "test.tar"]
    assert again.bytes == len(as_tar(TRAIN)) + len(as_tar(TEST))
    assert "list.txt" not in again.summary


def test_the_plan_of_a_run_has_what_the_run_lacks(root: DataRoot) -> None:
    wanted = plan_of_run(load_task("voc-lt"), root)
    names = [item.name for item in wanted.missing]
    assert names[-2:] == ["VOCtrainval_11-May-2012.tar", "VOCtest_06-Nov-2007.tar"]
    assert all(item.address.startswith("https://") for item in wanted.missing)
    assert plan_of_run(load_task("shapes-lt"), root).complete


def test_items_are_plain_enough_for_json(root: DataRoot) -> None:
    found = [item_json(item) for item in plan(needs_of("vg-200"), root).items]
    assert json.loads(json.dumps(found))[-1]["state"] == "by hand"
