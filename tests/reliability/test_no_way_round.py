"""Ways round the one reader, the one path check and the hash that is compared: each once was one."""

from __future__ import annotations

import ast
import json
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records.builders import record

from ltbench.backbones.shards import ShardFolder
from ltbench.cli.boundary import run_guarded
from ltbench.data.formats import cub
from ltbench.data.formats.coco_json import read_images
from ltbench.data.formats.layouts import check_ids
from ltbench.data.formats.vg200 import LAYOUT
from ltbench.data.getting import bundle
from ltbench.data.own.annotated import read_labels
from ltbench.data.progress import SILENT
from ltbench.engine import calibrate, first_trials
from ltbench.engine.executors.book import SweepBook
from ltbench.engine.how import SweepOptions
from ltbench.engine.kept import read_kept, write_kept
from ltbench.engine.sweep import expand
from ltbench.engine.sweep_plan import SweepPlan
from ltbench.engine.trials import Trial
from ltbench.engine.tune import Search, _write_preset
from ltbench.plugin.errors import Damaged, UserError
from ltbench.plugin.files import explain_os_error
from ltbench.plugin.sealed import read_sealed_json, write_sealed_json
from ltbench.records.hub import fetch
from ltbench.records.index import Entry, RecordIndex, Stamp
from ltbench.records.read import summary_of
from ltbench.report.run_curves import Drawing
from ltbench.report.site.place import MARK, check_place
from ltbench.tasks.views import TrainView, published

DEEP = "[" * 100_000


def flipped(path: Path, old: bytes, new: bytes) -> None:
    """Other bytes of the same length in a file that keeps its time stamp."""
    content, status = path.read_bytes(), path.stat()
    assert content.count(old) == 1
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_changed_trial_is_no_trial(tmp_path: Path) -> None:
    search = Search("a" * 64, 1, {}, {}, None, tmp_path)  # type: ignore[arg-type]
    trial = {"number": 0, "overrides": {}, "status": "completed", "score": 50.0, "seconds": 1.0, "reason": ""}
    write_sealed_json(tmp_path / "trials.json", {"identity": "a" * 64, "trials": [trial]})
    assert [each.score for each in search.known()] == [50.0]
    flipped(tmp_path / "trials.json", b"50.0", b"90.0")
    with pytest.raises(Damaged, match="another sha256"):
        search.known()


def test_a_document_is_sealed_as_it_will_be_read(tmp_path: Path) -> None:
    write_sealed_json(tmp_path / "a.json", {"pairs": (1, 2), "by": {10: "a", 9: "b"}, "x": 0.1})
    assert read_sealed_json(tmp_path / "a.json") == {"pairs": [1, 2], "by": {"10": "a", "9": "b"}, "x": 0.1}


def test_a_search_that_went_on_writes_the_same_preset(tmp_path: Path) -> None:
    from ltbench.engine.request import RunRequest, resolve_method
    from ltbench.tasks.registry import load_task

    request = RunRequest(load_task("shapes-micro"), "linear-probe", "tiny-clip", weights="random")
    texts = []
    # As drawn, and as a record of trials has them.
    for overrides in ({"lr": 0.03, "epochs": 2}, {"epochs": 2, "lr": 0.03}):
        best = Trial(1, overrides, "completed", 50.0, 1.0)
        texts.append(_write_preset(request, resolve_method(request), best, 2, tmp_path).read_bytes())
    assert texts[0] == texts[1]


def test_a_changed_score_in_the_index_is_none(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(record().to_json())
    os.utime(path, (time.time() - 60,) * 2)
    index = RecordIndex(tmp_path / "records.sqlite")
    index.add({str(path): Entry(Stamp.of(path), "a" * 64, summary_of(record()))})
    (entry,) = index.entries([str(path)]).values()
    with sqlite3.connect(index.path) as base:
        summary = {**entry.summary, "score": 99.0}
        base.execute("UPDATE files SET summary = ?", (json.dumps(summary),))
    assert index.entries([str(path)]) == {}


def test_an_index_with_odd_entries_is_added_to(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(record().to_json())
    os.utime(path, (time.time() - 60,) * 2)
    index = RecordIndex(tmp_path / "records.sqlite")
    entries = {str(path): Entry(Stamp.of(path), "a" * 64, summary_of(record()))}
    for odd in (None, 1.5):
        index.add(entries)
        with sqlite3.connect(index.path) as base:
            base.execute("INSERT INTO files VALUES (?, 1, 1, 'a', 'b', 'c')", (odd,))
        index.add(entries)
        assert index.entries(entries) in (entries, {})


def test_changed_thresholds_and_labels_that_were_kept_are_refused(tmp_path: Path) -> None:
    ones = np.ones((3, 2), np.float32)
    path = tmp_path / calibrate.NAME
    calibrate._write(path, record(), calibrate.Judged(("x", "y"), ones, np.ones((3, 2), np.int8), own=True))
    assert np.array_equal(calibrate._read(path, record()).logits, ones)
    content = bytearray(path.read_bytes())
    content[-2] ^= 64
    path.write_bytes(content)
    with pytest.raises(UserError, match="another sha256"):
        calibrate._read(path, record())
    observed = np.array([[1, -1], [0, 1]], np.int8)
    kept = tmp_path / "training.safetensors"
    write_kept(kept, TrainView(("a", "b"), None, observed, ("cup", "star")), ("cup",), None)  # type: ignore[arg-type]
    assert np.array_equal(read_kept(kept).view.observed, observed)
    flipped(kept, b'star\\"]', b'cups\\"]')
    with pytest.raises(UserError, match="another sha256"):
        read_kept(kept)


def test_a_row_of_the_feature_cache_keeps_its_key(tmp_path: Path) -> None:
    shards = ShardFolder(tmp_path / "shards", {"weights_sha256": "a"}, SILENT)
    shards.folder.mkdir()
    shards.prepare()
    shards.append(["k0", "k1"], np.arange(6, dtype=np.float32).reshape(2, 3))
    (path,) = shards.folder.glob("shard-*.json")
    flipped(path, b'"k0", "k1"', b'"k1", "k0"')
    assert shards.read(3, ["k0", "k1"]).where == {}


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/../../b", "C:/a"])
def test_lists_of_photographs_name_none_elsewhere(name: str) -> None:
    with pytest.raises(UserError, match="no path below the photographs"):
        check_ids(["a.jpg", name], "train_list_500.txt", LAYOUT)


@pytest.mark.parametrize("name", ["..", "a/b.jpg", "a\0.jpg"])
def test_a_picture_of_coco_is_one_part_of_a_path(tmp_path: Path, name: str) -> None:
    (tmp_path / "instances.json").write_text(json.dumps({"images": [{"id": 1, "file_name": name}]}))
    with pytest.raises(UserError, match="file name"):
        read_images(tmp_path / "instances.json")


def test_a_repository_of_the_hub_lies_below_the_cache() -> None:
    pytest.importorskip("huggingface_hub")
    for name in ("../..", "a/.."):
        with pytest.raises(UserError, match="no single part of a path"):
            fetch(name)


LAUGHS = '<!DOCTYPE a [<!ENTITY l "ha"><!ENTITY m "&l;&l;&l;">]><annotation>&m;</annotation>'


@pytest.mark.parametrize("text", ["<a>" * 200 + "</a>" * 200, '<?xml version="1.0" encoding="klingon"?><a/>', LAUGHS])
def test_labels_as_xml_are_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "a.xml").write_text(text)
    table = read_labels(tmp_path, "voc")
    assert len(table.problems) == 1
    assert "a.xml is damaged" in table.problems[0][1]


def test_labels_as_json_and_lists_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text(DEEP)
    with pytest.raises(UserError, match="is no JSON"):
        read_labels(tmp_path / "labels.json")
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "test.txt").write_bytes(b"\xff")
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "a.xml").write_text("<annotation/>")
    with pytest.raises(UserError, match=r"test\.txt is not UTF-8"):
        read_labels(tmp_path, "voc")


def test_numbers_without_end_are_no_numbers(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{'9' * 5000}.jpg {'9' * 5000}\n")
    lines = published.read_lines(tmp_path / "list.txt")
    with pytest.raises(UserError, match="other things than class numbers"):
        published.class_numbers(lines, 20, "list.txt")
    with pytest.raises(UserError, match="lacks 1 of the 1 images"):
        published.row_numbers(lines, ["a"], "list.txt", "the data set")
    (tmp_path / "labels.txt").write_text("".join(f"{10**30} {n + 1} 1 3 1\n" for n in range(len(cub.CUB_CLASSES))))
    with pytest.raises(UserError, match="line 1"):
        cub._parse(tmp_path / "labels.txt")
    (tmp_path / "images.txt").write_text(f"{'9' * 5000} a.jpg\n")
    with pytest.raises(UserError, match="not of the form"):
        cub._numbered(tmp_path / "images.txt", "the list")


def test_notes_that_are_anything_at_all(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / MARK).write_text(DEEP)
    with pytest.raises(UserError, match="no site that ltbench wrote"):
        check_place(tmp_path / "site")
    log = tmp_path / "runs" / "t" / "m" / "k" / "attempt-1" / "log.jsonl"
    log.parent.mkdir(parents=True)
    bad = [DEEP, '{"stage": "a", "epoch": 1e999}', '{"stage": [], "epoch": 0, "x": 1}', f'{{"epoch": {"9" * 5000}}}']
    log.write_text(
        "\n".join([*bad, '{"stage": "a", "epoch": 0, "x": 2.5, "y": 1e999}', '{"stage": "a", "epoch": 1}\n'])
    )
    assert Drawing(tmp_path / "runs", tmp_path / "curves", lambda _: Points()).draw() == 0
    (tmp_path / first_trials.STATE).write_text('{"encode_seconds": ' + "9" * 400 + "}")
    assert first_trials.encode(tmp_path, [], SILENT) < 60
    (tmp_path / bundle.SUMS).write_bytes(b"\xff  a\n")
    with pytest.raises(Damaged, match="SHA256SUMS"):
        bundle._read(tmp_path / bundle.SUMS, "  ", last=False)


class Points:
    """Takes any."""

    def add(self, name: str, value: float, epoch: int) -> None:
        """A point."""

    def close(self) -> None:
        """The end."""


def test_the_book_of_a_sweep_is_what_was_written(tmp_path: Path) -> None:
    plan = SweepPlan.of(("shapes-micro",), ("zero-shot",), seeds=(0,), weights="random", backbone="tiny-clip")
    book = SweepBook.begin(plan, SweepOptions(out=tmp_path), expand(plan), ())
    path = book.folder / "plan.json"
    document: dict[str, Any] = json.loads(path.read_text())
    flipped(path, b'"zero-shot"', b'"zero-shut"')
    with pytest.raises(Damaged, match="another sha256"):
        SweepBook(book.folder)
    del document["seal"]
    path.write_text(json.dumps({**document, "environment": []}))
    with pytest.raises(Damaged, match=r"plan\.json"):
        SweepBook(book.folder)


def test_recommend_says_that_it_goes_on(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import click

    @click.command()
    @click.argument("words", nargs=-1)
    def stopped(words: tuple[str, ...]) -> None:
        raise KeyboardInterrupt

    assert run_guarded(stopped, ["recommend"]) == 130
    assert "type the same command again to go on" in capfd.readouterr().err


def test_a_cache_that_cannot_be_written_is_told_apart_from_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path / "cache"))
    inside = PermissionError(13, "Permission denied", str(tmp_path / "cache" / "features" / "a"))
    assert explain_os_error(inside, "a").hint == "LTBENCH_CACHE=DIR, a folder that you may write"
    outside = PermissionError(13, "Permission denied", str(tmp_path / "runs"))
    assert "--out DIR" in explain_os_error(outside, "runs").hint


def test_predictions_hold_no_formula(tmp_path: Path) -> None:
    import pandas as pd

    from ltbench.plugin.clean import csv_text

    frame = pd.DataFrame({"file": ["=HYPERLINK(1)", "a.jpg"], "+cup": [0.5, -0.25], "n": [1, None]})
    assert csv_text(frame) == "file,'+cup,n\n'=HYPERLINK(1),0.5,1.0\na.jpg,-0.25,\n"


#: What reads bytes as something, and the places that may: those that all others call, and what reads its own package or
#: a text of its own.
READERS = {
    "json.load": set[str](),
    "json.loads": {
        "ltbench/plugin/reading.py", "ltbench/plugin/sealed.py", "ltbench/plugin/tensors.py",
        "ltbench/records/index.py",  # entries whose hash was compared
        "ltbench/tasks/official/pins.py", "ltbench/tasks/official/pin.py", "ltbench/method/facts.py",
        "ltbench/engine/shipped.py", "ltbench/testing/bench.py",
        "ltbench/engine/tune.py", "ltbench/engine/expected.py",
    },
    "yaml.load": {"ltbench/plugin/yaml_text.py"},
    "yaml.safe_load": {"ltbench/plugin/reading.py"},
    "np.load": set[str](),
    "torch.load": {"ltbench/backbones/weights.py", "ltbench/engine/checkpoint.py"},
    "torch.jit.load": {"ltbench/backbones/weights.py"},
    "Image.open": {"ltbench/engine/drawn.py", "plugins/ltbench_photos/choose.py"},
    "image_module.open": {"ltbench/data/decode.py"},
    "ElementTree.parse": set[str](),
    "ElementTree.fromstring": set[str](),
    "expat.ParserCreate": {"ltbench/plugin/reading.py"},
    "pickle.load": set[str](),
    "pickle.loads": set[str](),
    "frame.to_csv": set[str](),
}  # fmt: skip


def test_nothing_else_reads_what_others_wrote() -> None:
    root = Path(__file__).parents[2]
    found: dict[str, set[str]] = {name: set() for name in READERS}
    for path in sorted([*root.glob("ltbench/**/*.py"), *root.glob("plugins/**/*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in found:
                found[name].add(path.relative_to(root).as_posix())
    assert {name: places - READERS[name] for name, places in found.items() if places - READERS[name]} == {}
    # A place that reads nothing any more is none.
    assert {name: READERS[name] - places for name, places in found.items() if READERS[name] - places} == {}
