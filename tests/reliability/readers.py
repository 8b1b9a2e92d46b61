"""Every reader of bytes from outside, each with a sound file, and what has to hold of whatever it gives."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from records.builders import CLASSES, record

from ltbench.backbones.openclip_names import CONFIG, folder_config
from ltbench.backbones.options import BackboneOptions
from ltbench.backbones.precomputed import open_precomputed
from ltbench.backbones.shards import ShardFolder
from ltbench.backbones.weights import read_checkpoint
from ltbench.data.base import DataRoot
from ltbench.data.formats.coco_json import read_captions, read_images
from ltbench.data.formats.parsed import parsed
from ltbench.data.formats.voc_xml import read_objects
from ltbench.data.getting.unpack import unpack
from ltbench.data.own.class_names import read_class_names
from ltbench.data.own.folder import folder_status, open_folder
from ltbench.data.own.table import read_table
from ltbench.data.progress import SILENT
from ltbench.engine import checkpoint
from ltbench.engine.kept import read_kept, write_kept
from ltbench.engine.sweep_plan import SweepPlan
from ltbench.engine.tune import Search
from ltbench.method.config import read_presets
from ltbench.records.corrections import _read as read_decisions
from ltbench.records.logits import read_logits, write_logits
from ltbench.records.marks import marks_text, read_marks
from ltbench.records.read import load_record
from ltbench.records.record import document_sha256
from ltbench.report.pairs import Comparisons
from ltbench.tasks.own.custom import load_custom
from ltbench.tasks.own.new import Order, create_task
from ltbench.tasks.views import TrainView


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
    return [*_records(folder), *_own(folder), *_texts(folder), *_arrays(folder), *_caches(folder), *_archives(folder)]


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
    trials = {"identity": "a" * 64, "method": "coop", "task": "t", "base": {}, "trials": [trial]}
    search = Search("a" * 64, 1, {}, {}, None, folder / "trials")
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
        Reader("trials", *_file(folder / "trials" / "trials.json", json.dumps(trials)), lambda path: search.known()),
        Reader("training view", kept, kept.read_bytes(), read_kept),
        Reader("logits", logits, logits.read_bytes(), read_logits),
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
        assert np.isfinite(found.features_for(list(found._rows))).all()

    return [
        Reader(
            "features",
            *_file(folder / "features.npz", features.getvalue()),
            lambda path: open_precomputed("precomputed", BackboneOptions(argument=str(path))),
            finite,
        ),
        Reader("weights, safetensors", *_file(folder / "w.safetensors", save(weights)), read_checkpoint),
        Reader("weights, torch", *_file(folder / "w.pt", pickled.getvalue()), read_checkpoint),
    ]


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
        shard("encoder.json", rows_are_right),
    ]  # fmt: skip


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
