"""Every reader of bytes from outside, each with a sound file, and what has to hold of whatever it gives."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import tarfile
import time
import zipfile
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image
from records.builders import CLASSES, record

from ltbench.backbones.openclip_names import CONFIG, folder_config
from ltbench.backbones.options import BackboneOptions
from ltbench.backbones.precomputed import open_precomputed
from ltbench.backbones.shards import ShardFolder
from ltbench.backbones.weights import read_checkpoint
from ltbench.cli.boundary import run_guarded
from ltbench.cli.given import config_option
from ltbench.data import known_hashes
from ltbench.data.base import DataRoot
from ltbench.data.decode import Undecodable, decode
from ltbench.data.formats import cub, nus_wide
from ltbench.data.formats.coco_json import read_captions, read_images, read_presence
from ltbench.data.formats.layouts import check_ids, read_lines
from ltbench.data.formats.names import COCO_CATEGORY_IDS, COCO_CLASSES
from ltbench.data.formats.parsed import parsed
from ltbench.data.formats.vg200 import LAYOUT as VG200
from ltbench.data.formats.vg200 import _labels_reader as vg200_labels
from ltbench.data.formats.voc_xml import read_objects
from ltbench.data.getting import bundle, download, notes
from ltbench.data.getting.needs import Piece
from ltbench.data.getting.sources import Source
from ltbench.data.getting.unpack import unpack
from ltbench.data.own.annotated import read_labels
from ltbench.data.own.class_names import read_class_names
from ltbench.data.own.folder import folder_status, open_folder
from ltbench.data.own.table import read_table
from ltbench.data.progress import SILENT
from ltbench.data.shapes import ensure_shapes, store
from ltbench.engine import calibrate, checkpoint, first_trials
from ltbench.engine.cells import CellResult
from ltbench.engine.executors.base import Job
from ltbench.engine.executors.book import SweepBook
from ltbench.engine.executors.resources import DEFAULT, ResourcesFile
from ltbench.engine.how import SweepOptions
from ltbench.engine.kept import read_kept, write_kept
from ltbench.engine.sweep import expand
from ltbench.engine.sweep_plan import SweepPlan
from ltbench.engine.tune import Search
from ltbench.method.config import read_presets
from ltbench.nn import read_word_vectors
from ltbench.plugin.errors import UserError
from ltbench.plugin.sealed import sealed_document
from ltbench.records.corrections import _read as read_decisions
from ltbench.records.index import Entry, RecordIndex, Stamp
from ltbench.records.logits import read_logits, write_logits
from ltbench.records.marks import marks_text, read_marks
from ltbench.records.read import load_record, summary_of
from ltbench.records.record import document_sha256
from ltbench.report.pairs import Comparisons
from ltbench.report.run_curves import Drawing
from ltbench.report.site.place import MARK, check_place
from ltbench.tasks.own.custom import load_custom
from ltbench.tasks.own.new import Order, create_task
from ltbench.tasks.views import TrainView, published


@dataclass(frozen=True)
class Reader:
    """A reader.

    Attributes:
        name: for the report.
        path: the file that is changed.
        sound: its bytes as they should be.
        read: reads it; raises UserError, or gives something.
        check: refuses what it gave where that is wrong; given the changed bytes.
    """

    name: str
    path: Path
    sound: bytes
    read: Callable[[Path], Any]
    check: Callable[[Any, bytes], None] = lambda found, content: None


def readers(folder: Path) -> list[Reader]:
    """All of them, their files below a folder."""
    kinds = (
        _records, _sweeps, _own, _annotated, _texts, _published, _arrays, _caches, _getting, _pictures, _archives,
    )  # fmt: skip
    return [reader for kind in kinds for reader in kind(folder)]


def _file(path: Path, content: bytes | str) -> tuple[Path, bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(data)
    return path, data


def _records(folder: Path) -> list[Reader]:
    sealed = record()

    def same_or_detected(found: Any, content: bytes) -> None:
        changed = found.model_dump(mode="json") != sealed.model_dump(mode="json")
        assert not changed or document_sha256(json.loads(content)) != found.record_sha256, "a forged record"

    view = TrainView(("a", "b"), None, np.array([[1, -1], [0, 1]], np.int8), ("cup", "star"))  # type: ignore[arg-type]
    write_kept(folder / "kept" / "training.safetensors", view, ("cup", "star"), "0" * 64)
    write_logits(folder / "logits" / "logits.safetensors", np.ones((3, 2), np.float32), ("a", "b", "c"), ("x", "y"))
    trial = {"number": 0, "overrides": {}, "status": "completed", "score": 50.0, "seconds": 1.0, "reason": ""}
    trials = sealed_document({"identity": "a" * 64, "method": "coop", "task": "t", "base": {}, "trials": [trial]})
    search = Search("a" * 64, 1, {}, {}, None, folder / "trials")  # type: ignore[arg-type]

    def trials_are_right(found: Any, content: bytes) -> None:
        assert b'"seal"' not in content or [each.score for each in found] == [50.0], "other trials"

    def view_is_right(found: Any, content: bytes) -> None:
        same = np.array_equal(found.view.observed, view.observed) and found.view.class_names == view.class_names
        assert b"seal" not in content or same, "another view"

    judged = calibrate.Judged(("x", "y"), np.ones((3, 2), np.float32), np.ones((3, 2), np.int8), own=True)
    calibrate._write(folder / "judged" / calibrate.NAME, sealed, judged)
    thresholds = folder / "judged" / calibrate.NAME

    def thresholds_are_right(found: Any, content: bytes) -> None:
        assert b"seal" not in content or np.array_equal(found.logits, judged.logits), "other logits"

    spread = {
        "metric": "mAP", "draws": 10, "seed": 0, "records": [["a"], ["b"]], "logits": [["c"], ["d"]], "sd": [[], [0.5]],
    }  # fmt: skip
    decisions = {"rows": [0, 1], "classes": [1, 0], "epochs": [0, 0]}
    kept, logits = folder / "kept" / "training.safetensors", folder / "logits" / "logits.safetensors"
    return [
        Reader("record", *_file(folder / "record.json", sealed.to_json()), load_record, same_or_detected),
        Reader("marks", *_file(folder / "rerun.json", marks_text([sealed])), lambda path: read_marks(path.parent)),
        Reader(
            "comparisons",
            *_file(folder / "comparisons.json", json.dumps({"schema": 2, "sections": [spread]})),
            lambda path: Comparisons.read(path.parent),
        ),
        Reader("decisions", *_file(folder / "decisions.json", json.dumps(decisions)), read_decisions),
        Reader("trials", *_file(folder / "trials" / "trials.json", json.dumps(trials)), lambda path: search.known(),
               trials_are_right),
        Reader("training view", kept, kept.read_bytes(), read_kept, view_is_right),
        Reader(
            "thresholds", thresholds, thresholds.read_bytes(), lambda path: calibrate._read(path, sealed),
            thresholds_are_right,
        ),
        *_listed(folder, sealed),
        Reader("logits", logits, logits.read_bytes(), read_logits),
    ]  # fmt: skip


def _listed(folder: Path, sealed: Any) -> list[Reader]:
    """The index of records, logs, the mark of a site."""
    path, _ = _file(folder / "indexed" / "record.json", sealed.to_json())
    os.utime(path, (time.time() - 60,) * 2)
    entries = {str(path): Entry(Stamp.of(path), sealed.record_sha256, summary_of(sealed))}
    index = RecordIndex(folder / "records.sqlite")
    index.add(entries)

    def entries_are_right(found: Any, _: bytes) -> None:
        assert found in ({}, entries), "another entry"

    def both(place: Path) -> Any:
        index.add(entries)
        return index.entries(entries)

    line = {"stage": "train", "epoch": 0, "lr": 0.1, "seconds": 1, "total": 2.5}
    log = "".join(json.dumps({**line, "epoch": epoch}) + "\n" for epoch in range(3))
    logged = _file(folder / "logged" / "t" / "m" / "k" / "attempt-1" / "log.jsonl", log)
    mark = {"schema": 1, "ltbench": "0", "files": ["index.html"]}
    _file(folder / "site" / "index.html", "")
    marked = _file(folder / "site" / MARK, json.dumps(mark))

    def drawn(_: Path) -> Any:
        points: list[float] = []

        class Kept:
            def add(self, name: str, value: float, epoch: int) -> None:
                points.append(value)

            def close(self) -> None:
                pass

        Drawing(folder / "logged", folder / "curves", lambda _: Kept()).draw()
        return points

    def finite(found: Any, _: bytes) -> None:
        assert all(map(math.isfinite, found)), "no number"

    return [
        Reader("index of records", index.path, index.path.read_bytes(), lambda _: index.entries(entries),
               entries_are_right),
        Reader("index of records, added to", index.path, index.path.read_bytes(), both, entries_are_right),
        Reader("log of a run", *logged, drawn, finite),
        Reader("mark of a site", *marked, lambda path: check_place(path.parent)),
    ]  # fmt: skip


def _sweeps(folder: Path) -> list[Reader]:
    """What sweeps on clusters and recommend write down, and what their users give them."""
    plan = SweepPlan.of(("shapes-micro",), ("zero-shot", "coop"), seeds=(0,), weights="random", backbone="tiny-clip")
    cells = expand(plan)
    book = SweepBook.begin(plan, SweepOptions(out=folder / "swept"), cells, ())
    job = Job("job-1", tuple(cells), plan, SweepOptions(), (), DEFAULT, book.folder)
    book.add(job, "slurm")
    result = CellResult(cells[0], "completed", 1.5, 70.5, False, "", Path("record.json"))
    book.tell("job-1", result)
    book.tell("job-1", CellResult(cells[1], "completed", 1.5, 60.5, False, "", Path("record.json")))

    def cells_are_right(found: Any, content: bytes) -> None:
        assert b'"seal"' not in content or [cell.label for cell in found.cells] == [cell.label for cell in cells]

    def job_is_right(found: Any, content: bytes) -> None:
        assert b'"seal"' not in content or found.cells == (0, 1), "other runs"

    def told_is_right(found: Any, content: bytes) -> None:
        assert found is None or b'"seal"' not in content or found.score == 70.5, "another score"

    def seconds_are_right(found: Any, content: bytes) -> None:
        assert b'"seal"' not in content or 0 <= found < 1000, "no seconds"

    @click.command()
    @config_option
    @click.option("--seed", type=int)
    @click.option("--task")
    @click.option("-o", "pairs", multiple=True)
    def command(**options: Any) -> None:
        pass

    def guarded(path: Path) -> Any:
        said = io.StringIO()
        with redirect_stderr(said):
            code = run_guarded(command, ["--config", str(path)])
        if code == 0:
            return None
        assert "unexpected error" not in said.getvalue(), said.getvalue()
        raise UserError(said.getvalue().strip())

    resources = (
        "default: {cpus: 2, memory: 4G, time: 2h}\nmethods:\n  coop: {gpus: 1}\ngroup: 10m\n"
        "executors:\n  slurm: {partition: short}\n"
    )
    config = "task: shapes-micro\nseed: 3\noptions: {lr: 0.1, epochs: 3}\n"
    places = (book.folder / "plan.json", book.folder / "jobs" / "job-1.json", book.folder / "told" / "0.json")
    made, asked, told = ((path, path.read_bytes()) for path in places)
    state = _file(folder / "wish" / first_trials.STATE, json.dumps(sealed_document({"encode_seconds": 2.5})))
    return [
        Reader("sweep's book", *made, lambda _: SweepBook(book.folder), cells_are_right),
        Reader("sweep's book, a job", *asked, lambda _: book.entry("job-1"), job_is_right),
        Reader("sweep's book, a run", *told, lambda _: book.told(cells[0]), told_is_right),
        Reader(
            "state of recommend", *state, lambda path: first_trials.encode(path.parent, [], SILENT), seconds_are_right
        ),
        Reader("resources", *_file(folder / "resources.yaml", resources), ResourcesFile.read),
        Reader("config", *_file(folder / "config.yaml", config), guarded),
    ]


def _own(folder: Path) -> list[Reader]:
    names = [f"{row}.jpg" for row in range(12)]
    lines = [f"{name},{CLASSES[row % 3]}|{CLASSES[3]}" for row, name in enumerate(names)]
    table = _file(folder / "own" / "labels.csv", "\n".join(["file,labels", *lines]))
    np.savez(folder / "own" / "features.npz", files=np.array(names), features=np.ones((12, 3), np.float32))
    made = create_task(
        Order("mine", table[0], None, out=folder / "tasks", features=folder / "own" / "features.npz")
    ).folder

    def opened(_: Path) -> Any:
        data = open_folder(made)
        return [part.read_labels() for part in map(data.part, data.parts)]

    def task(_: Path) -> Any:
        found = load_custom(made)
        assert "/" not in found.name
        return found

    def one(name: str, read: Callable[[Path], Any]) -> Reader:
        return Reader(f"task folder, {name}", made / name, (made / name).read_bytes(), read)

    return [
        Reader("labels.csv", *table, read_table),
        Reader("class names", *_file(folder / "own" / "classes.txt", "\n".join(CLASSES)), read_class_names),
        one("task.json", task),
        one("v1/rows.json", opened),
        one("v1/stamps.json", opened),
        one("v1/labels-train.npy", opened),
        one("source.json", opened),
        one("source.json", lambda _: folder_status(DataRoot(cache=folder / "nothing"))),
    ]


def _annotated(folder: Path) -> list[Reader]:
    """Labels of users in the layouts of published data sets, and in the files of other programs."""
    coco = {
        "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": "star"}],
        "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "sub/b.jpg"}],
        "annotations": [{"image_id": 7, "category_id": 1}, {"image_id": 8, "category_id": 2}],
    }
    voc = (
        "<annotation><filename>{}.jpg</filename><object><name>cat</name></object>"
        "<object><name>dog</name></object></annotation>"
    )
    for name in "ab":
        _file(folder / "kit" / "Annotations" / f"{name}.xml", voc.format(name))
    _file(folder / "kit" / "ImageSets" / "Main" / "test.txt", "b\n")
    train = _file(folder / "kit" / "ImageSets" / "Main" / "train.txt", "a\n")
    one = folder / "kit" / "Annotations" / "a.xml"
    found = [
        Reader("labels as COCO's", *_file(folder / "mine.json", json.dumps(coco)), read_labels, _no_way_out),
        Reader("labels as VOC's", one, one.read_bytes(), lambda _: read_labels(folder / "kit"), _no_way_out),
        Reader("labels as VOC's, list", *train, lambda _: read_labels(folder / "kit"), _no_way_out),
    ]
    rows = [["file", "labels"], *([f"{row}.jpg", f"{CLASSES[row % 3]}|{CLASSES[3]}"] for row in range(5))]
    if find_spec("openpyxl") is not None:
        import openpyxl

        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)  # type: ignore[union-attr]
        book.save(folder / "table.xlsx")
        found.append(Reader("spreadsheet", *_again(folder / "table.xlsx"), read_labels, _no_way_out))
    if find_spec("pyarrow") is not None:
        import pandas

        pandas.DataFrame(rows[1:], columns=rows[0]).to_parquet(folder / "table.parquet")
        found.append(Reader("parquet", *_again(folder / "table.parquet"), read_labels, _no_way_out))
    return found


def _no_way_out(found: Any, _: bytes) -> None:
    for row in found.rows:
        assert not row.file.startswith("/"), "a path that leads out"
        assert ".." not in row.file.split("/"), "a path that leads out"


def _again(path: Path) -> tuple[Path, bytes]:
    return path, path.read_bytes()


def _published(folder: Path) -> list[Reader]:
    """Files of published data sets, and the lists of papers."""
    categories = [{"id": number, "name": name} for number, name in zip(COCO_CATEGORY_IDS, COCO_CLASSES, strict=True)]
    instances = {
        "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "b.jpg"}],
        "annotations": [
            {"image_id": 7, "category_id": 1, "area": 3.5, "bbox": [1, 2, 3, 4]},
            {"image_id": 8, "category_id": 90, "area": 0, "bbox": [1, 2, 0, 4]},
        ],
        "categories": categories,
    }
    attributes = "".join(f"1 {column + 1} {column % 2} 3 1.5\n" for column in range(len(cub.CUB_CLASSES)))
    tags = folder / "nus" / "TagList1k.txt"
    _file(tags, "\n".join([*nus_wide.NUS_TAGS, *(f"other-{n}" for n in range(1000 - len(nus_wide.NUS_TAGS)))]))
    digits = "".join("\t".join("01"[(row + n) % 2] for n in range(1000)) + "\n" for row in range(2))
    concepts = _file(folder / "nus" / "Labels_sky.txt", "0\n1\n1\n0\n")
    numbers = {"a.jpg": [0, 3], "b.jpg": [199], "c.jpg": []}
    vg = folder / "vg" / "vg_category_200_labels_index.json"

    def numbered(path: Path) -> Any:
        lines = published.read_lines(path)
        published.class_numbers(lines, 20, path.name)
        return published.row_numbers(lines, ["2008_000008", "2008_000023", "7.jpg"], path.name, "the data set")

    def list_of_images(path: Path) -> Any:
        ids = tuple(line.split()[0] for line in read_lines(path, "the list", VG200))
        check_ids(ids, path.name, VG200)
        return ids

    def no_way_out(found: Any, _: bytes) -> None:
        assert not any(name.startswith("/") or ".." in name.split("/") for name in found), "a path that leads out"

    def labels(found: Any, _: bytes) -> None:
        values = set(np.unique(found["labels"] if isinstance(found, dict) else found).tolist())
        assert values <= {-1, 0, 1}, "labels of other values"

    lists = "VOCdevkit/2008_000023.jpg 14 4\n2008_000008.jpg,12\nCOCO_train2014_000000000007.jpg 3\n"
    return [
        Reader("COCO's instances", *_file(folder / "instances.json", json.dumps(instances)), read_presence),
        Reader("CUB's attributes", *_file(folder / "cub.txt", attributes), cub._parse, labels),
        Reader("CUB's lists", *_file(folder / "images.txt", "1 a/b.jpg\n2 a/c.jpg\n"),
               lambda path: cub._numbered(path, "the list")),
        Reader("NUS's concepts", *concepts, lambda path: nus_wide._parse_concepts([path])),
        Reader("NUS's tags", *_file(folder / "nus" / "AllTags1k.txt", digits),
               lambda path: nus_wide._parse_tags(path, tags)),
        Reader("VG-200's labels", *_file(vg, json.dumps(numbers)), lambda path: vg200_labels(path.parent, ["a.jpg"])(),
               labels),
        Reader("list of images", *_file(folder / "train_list_500.txt", "a.jpg 1\nb.jpg\n"), list_of_images, no_way_out),
        Reader("list of a paper", *_file(folder / "list.txt", lists), numbered),
    ]  # fmt: skip


def _texts(folder: Path) -> list[Reader]:
    plan = "tasks: [shapes-micro]\nmethods:\n  - zero-shot\n  - {method: coop, options: {epochs: 1}}\nseeds: [0, 1]\n"
    preset = "coop:\n- {name: mine, tasks: [shapes-lt], origin: default, overrides: {lr: 0.1, epochs: 3}}\n"
    config = {"model_cfg": {"vision_cfg": {"image_size": 64}, "text_cfg": {"width": 8}}}
    instances = {"images": [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "b.jpg"}]}
    captions = {"annotations": [{"image_id": 7, "caption": "a cat"}, {"image_id": 8, "caption": "a dog"}]}
    voc = "<annotation><object><name>cat</name><difficult>0</difficult></object></annotation>"
    return [
        Reader("plan", *_file(folder / "plan.yaml", plan), SweepPlan.read),
        Reader("preset", *_file(folder / "preset.yaml", preset), lambda path: read_presets(path, "coop")),
        Reader(
            "open_clip's folder",
            *_file(folder / "clip" / CONFIG, json.dumps(config)),
            lambda path: folder_config(path.parent),
        ),
        Reader("COCO's images", *_file(folder / "coco" / "instances.json", json.dumps(instances)), read_images),
        Reader("COCO's captions", *_file(folder / "coco" / "captions.json", json.dumps(captions)), read_captions),
        Reader("VOC's objects", *_file(folder / "voc" / "a.xml", voc), read_objects),
    ]


def _arrays(folder: Path) -> list[Reader]:
    from safetensors.torch import save

    features = io.BytesIO()
    np.savez_compressed(features, files=np.array(["a", "b"]), features=np.ones((2, 3), np.float32))
    weights = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2)}
    pickled = io.BytesIO()
    torch.save(weights, pickled)

    def finite(found: Any, _: bytes) -> None:
        _all_finite(found.features_for(list(found._rows)))

    words = "".join(f"{name} {number}.5 -1e-3 2\n" for number, name in enumerate(CLASSES))

    def of_words(path: Path) -> Any:
        return read_word_vectors(path, CLASSES)

    return [
        Reader("word vectors", *_file(folder / "glove.txt", words), of_words,
               lambda found, _: _all_finite(found.numpy())),
        Reader(
            "features",
            *_file(folder / "features.npz", features.getvalue()),
            lambda path: open_precomputed("precomputed", BackboneOptions(argument=str(path))),
            finite,
        ),
        Reader("weights, safetensors", *_file(folder / "w.safetensors", save(weights)), read_checkpoint),
        Reader("weights, torch", *_file(folder / "w.pt", pickled.getvalue()), read_checkpoint),
    ]  # fmt: skip


def _all_finite(array: Any) -> None:
    assert np.isfinite(array).all(), "no number"


def _caches(folder: Path) -> list[Reader]:
    state = {"w": torch.arange(40.0), "epoch": 1}
    path = folder / "state" / "stage-0.pt"
    checkpoint.save(path, state)

    def checkpoint_is_right(found: Any, _: bytes) -> None:
        assert found is None or (found["epoch"] == 1 and torch.equal(found["w"], state["w"])), "another state"

    source, _ = _file(folder / "parsed" / "source", "text")
    root, numbers = DataRoot(cache=folder / "parsed" / "cache"), np.arange(60)
    arrays = {"numbers": numbers, "names": np.array(["a", "bc"])}
    parsed(root, "kind.1", [source], lambda: arrays)
    (kept,) = (folder / "parsed" / "cache" / "parsed" / "kind.1").glob("*.npz")

    def parsed_is_right(found: Any, _: bytes) -> None:
        assert all(np.array_equal(found[name], array) for name, array in arrays.items()), "other arrays"

    shards = ShardFolder(folder / "shards", {"weights_sha256": "a"}, SILENT)
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    shards.folder.mkdir()
    shards.prepare()
    shards.append(["k0", "k1", "k2", "k3"], rows)

    def read_rows(_: Path) -> Any:
        return shards.read(3, ["k0", "k1", "k2", "k3"])

    def rows_are_right(found: Any, _: bytes) -> None:
        for key, (shard, row) in found.where.items():
            if key in ("k0", "k1", "k2", "k3"):
                assert np.array_equal(found.shards[shard][row], rows[int(key[1])]), "another row"

    def shard(pattern: str, check: Callable[[Any, bytes], None]) -> Reader:
        (place,) = shards.folder.glob(pattern)
        return Reader(f"feature cache, {place.suffix[1:]}", place, place.read_bytes(), read_rows, check)

    return [
        Reader("checkpoint", path, path.read_bytes(), checkpoint.load, checkpoint_is_right),
        Reader(
            "parsed annotations", kept, kept.read_bytes(), lambda _: parsed(root, "kind.1", [source], lambda: arrays),
            parsed_is_right,
        ),
        shard("shard-*.npy", rows_are_right),
        shard("shard-*.json", rows_are_right),
        shard("encoder.json", rows_are_right),
        *_scenes(folder),
        *_hashes(folder),
    ]  # fmt: skip


def _scenes(folder: Path) -> list[Reader]:
    """The bundled scenes: what is taken for whole is what was published."""
    place = ensure_shapes(folder / "scenes", parts=("micro-test",)) / "micro-test"

    def intact(_: Path) -> Any:
        return store._intact(place, "micro-test")

    def one(name: str) -> Reader:
        path, content = _again(place / name)

        def is_right(found: Any, changed: bytes) -> None:
            # JSON may be spelled otherwise and say the same.
            assert not found or changed == content or name.endswith(".json"), "other scenes"

        return Reader(f"scenes, {name}", path, content, intact, is_right)

    return [one("images.npy"), one("labels.npy"), one("captions.json"), one("ids.json")]


def _hashes(folder: Path) -> list[Reader]:
    """Hashes that were remembered."""
    places = [_file(folder / "hashed" / f"{number}.jpg", f"picture {number}")[0] for number in range(3)]
    for path in places:
        os.utime(path, (time.time() - 60,) * 2)
    right = [hashlib.sha256(path.read_bytes()).hexdigest() for path in places]
    stated = {
        path.name: [path.stat().st_size, path.stat().st_mtime_ns, digest]
        for path, digest in zip(places, right, strict=True)
    }
    cache = folder / "hash-cache"
    key = hashlib.sha256(str(places[0].parent.absolute()).encode()).hexdigest()[:32]
    kept = _file(cache / "hashes" / f"{key}.json", json.dumps(sealed_document(stated)))

    def read(_: Path) -> Any:
        known_hashes._folders.pop((cache, str(places[0].parent.absolute())), None)
        stamps = [(path, path.stat()) for path in places]
        return [known_hashes.file_sha256(path, one.st_size, one.st_mtime_ns, cache) for path, one in stamps]

    def are_right(found: Any, content: bytes) -> None:
        assert b'"seal"' not in content or found == right, "another hash"

    return [Reader("hashes of files", *kept, read, are_right)]


def _getting(folder: Path) -> list[Reader]:
    """Notes of what was downloaded and unpacked."""
    source = Source("list.txt", "https://example.org/list.txt", None, None, "none", unpinned="it changes")
    target = folder / "got" / "list.txt"
    notes.remember(source, target, "a" * 64, "there")
    piece = Piece("a.zip", Source("a.zip", "https://example.org/a.zip", "b" * 64, 5, "none"), (("a",),))
    listed = _file(notes.manifest(piece, folder / "got"), f"{'c' * 64}  a/b.txt\n{'d' * 64}  c.txt\n")
    part, _ = _file(folder / "got" / ".x.part", "half")
    note = {"url": "https://example.org/x", "validator": "v1"}
    sums = _file(folder / "got" / bundle.SUMS, f"{'e' * 64}  a.txt\n")

    def resumed(_: Path) -> Any:
        part.write_text("half")
        return download._resumable(part, "https://example.org/x", False)

    return [
        Reader("note of an unpinned file", *_again(notes.seen(target)), lambda _: notes.expected(source, target)),
        Reader("list of what was unpacked", *listed, lambda _: notes.read_manifest(piece, folder / "got")),
        Reader("note of half a download", *_file(download._meta(part), json.dumps(note)), resumed),
        Reader("sums of a mirror", *sums, lambda path: bundle._read(path, "  ", last=False)),
    ]


def _pictures(folder: Path) -> list[Reader]:
    rng = np.random.default_rng(0)
    drawn = Image.fromarray(rng.integers(0, 255, (12, 10, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6

    def read(path: Path) -> Any:
        try:
            return decode(path).image
        except Undecodable as error:
            raise UserError(error.whole) from error

    def is_right(found: Any, _: bytes) -> None:
        assert found.mode == "RGB", "no RGB"
        assert found.width * found.height <= 178_956_970, "beyond the limit"

    made = []
    for kind, how in (("PNG", {}), ("JPEG", {"exif": exif}), ("TIFF", {}), ("GIF", {}), ("BMP", {}), ("WEBP", {})):
        path = folder / f"picture.{kind.lower()}"
        drawn.save(path, kind, **how)
        made.append(Reader(f"picture, {kind}", *_again(path), read, is_right))
    return made


def _archives(folder: Path) -> list[Reader]:
    tar, packed = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w:gz") as archive:
        for name in ("a/b.txt", "c.txt"):
            info = tarfile.TarInfo(name)
            info.size = 5
            archive.addfile(info, io.BytesIO(b"hello"))
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/b.txt", "hello" * 20)
        archive.writestr("c.txt", "hello")

    def into(kind: Any) -> Callable[[Path], Any]:
        def read(path: Path) -> Any:
            import shutil

            place = folder / "unpacked" / kind / "inside"
            shutil.rmtree(place.parent, ignore_errors=True)
            unpack(path, kind, place)
            assert [each.name for each in place.parent.iterdir()] == ["inside"], "a file outside of the folder"

        return read

    return [
        Reader("tar", *_file(folder / "a.tar.gz", tar.getvalue()), into("tar")),
        Reader("zip", *_file(folder / "a.zip", packed.getvalue()), into("zip")),
    ]
