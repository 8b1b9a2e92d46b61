"""What can be known of the papers' data sets without their photographs: ids and labels from published files.

``python -m tests.tasks.official_facts`` writes the pins (``ltbench/tasks/official/*.json``) anew from them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ltbench.data.base import DataSet, Part
from ltbench.data.formats.cub_names import CUB_CLASSES
from ltbench.data.formats.names import COCO_CLASSES, VG200_CLASSES, VOC_CLASSES
from ltbench.data.formats.nus_names import NUS_CLASSES
from ltbench.data.formats.voc_split import PHOTOS, rows_of
from ltbench.tasks.protocols import fingerprint
from ltbench.tasks.task import Fingerprints, PublishedFile, Task
from ltbench.tasks.views import open_train, open_truth
from ltbench.tasks.views.opened import TaskData
from ltbench.tasks.views.rows import held_out, test_rows, training_rows
from tests.conftest import SHARED

Labels = npt.NDArray[np.int8]
MIRROR = SHARED / "data" / "mirror"
GOLDEN = SHARED / "golden" / "limited-labels"
FAMILIES = {"ltml": "ltml", "plt": "plt", "spml": "spml", "partial": "partial", "zero-shot": "zero_shot"}
#: Tasks that are of no paper: family → start of their names.
OURS = {"photos": "photos-"}


class NoImages:
    """Images that nobody has."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def load(self, row: int) -> Any:
        raise AssertionError("there are no images here")

    def sha256(self, row: int) -> str:
        raise AssertionError("there are no images here")


def in_mirror(file: PublishedFile) -> Path:
    """Where a published file lies in the mirror."""
    return MIRROR / file.source.layout


def mirrored(repository: str, path: str) -> list[str]:
    """Lines of a file of the mirror; ``repository`` is ``owner/name``."""
    (folder,) = (MIRROR / "github" / repository).iterdir()
    return (folder / path).read_text().splitlines()


def _matrix(lines: Sequence[str], classes: int) -> Labels:
    labels = np.full((len(lines), classes), -1, dtype=np.int8)
    for row, line in enumerate(lines):
        labels[row, [int(word) for word in line.replace(",", " ").split()[1:]]] = 1
    return labels


def _stem(line: str) -> str:
    return line.replace(",", " ").split()[0].rpartition("/")[2].rpartition(".")[0]


@lru_cache(maxsize=1)
def voc2012() -> dict[str, tuple[tuple[str, ...], Labels]]:
    """Ids and labels ("difficult" objects present) of VOC2012 by part."""
    stored = np.load(SHARED / "data" / "voc2012_trainval_labels.npz")
    ids = tuple(str(row) for row in stored["ids"])
    labels = np.where(stored["labels"] == 1, 1, -1).astype(np.int8)
    parts = {"trainval": (ids, labels)}
    position = {name: row for row, name in enumerate(ids)}
    for part in ("train", "val"):
        names = tuple(_stem(line) for line in mirrored("jameslahm/HSPNet", f"dataset/voc_{part}.txt"))
        parts[part] = names, labels[[position[name] for name in names]]
    return parts


@lru_cache(maxsize=1)
def photos() -> dict[str, tuple[tuple[str, ...], Labels]]:
    """Ids and labels of the parts that VOC2007's test part is cut into, by part; difficult objects count as present,
    or are unknown."""
    with (SHARED / "data" / "voc2007_test_labels.csv").open(newline="") as file:
        lines = list(csv.reader(file))[1:]
    ids = tuple(line[0] for line in lines)
    listed = np.array([[int(word) for word in line[1:]] for line in lines])
    known = {
        "": np.where(listed == 0, -1, 1).astype(np.int8),
        "+difficult-unknown": np.select([listed == 1, listed == 0], [1, -1], 0).astype(np.int8),
    }
    position = {name: row for row, name in enumerate(ids)}
    parts = {}
    for cut in PHOTOS:
        names = rows_of(cut, ids)
        for suffix, labels in known.items():
            parts[f"test{cut}{suffix}"] = names, labels[[position[name] for name in names]]
    return parts


def labelled_rows(name: str, part: str) -> dict[str, tuple[str, ...]]:
    """Row id → names of the classes present, of a part whose labels are known."""
    source = data_set(name)
    found = source.part(part)
    labels = found.read_labels()
    return {
        row_id: tuple(source.class_names[c] for c in np.flatnonzero(row == 1))
        for row_id, row in zip(found.ids, labels, strict=True)
    }


def _data_set(name: str, classes: Sequence[str], parts: dict[str, tuple[Sequence[str], Labels | None]]) -> DataSet:
    """A data set of known ids; where labels are not known, every class is present, and no pin may depend on them."""

    def open_part(part: str) -> Part:
        ids, labels = parts[part]

        def read() -> Labels:
            return np.ones((len(ids), len(classes)), dtype=np.int8) if labels is None else labels.copy()

        return Part(part, tuple(ids), NoImages(len(ids)), read)

    return DataSet(name, tuple(classes), tuple(parts), open_part)


def data_set(name: str) -> DataSet:
    """What is known of a data set."""
    few = [f"{row:06d}" for row in range(40)]
    if name == "voc2012":
        known: dict[str, tuple[Sequence[str], Labels | None]] = dict(voc2012())
        known |= {f"{part}+difficult-negative": (ids, None) for part, (ids, _) in voc2012().items()}
        return _data_set(name, VOC_CLASSES, known)
    if name == "voc2007":
        lines = mirrored("richard-peng-xia/LMPT", "data/voc/voc_lt_test.txt")
        ids = [_stem(line) for line in lines]
        parts: dict[str, tuple[Sequence[str], Labels | None]] = {
            "test": (ids, _matrix(lines, 20)),
            "test+difficult-negative": (ids, None),
            "trainval+difficult-negative": (few, None),
            **photos(),
        }
        return _data_set(name, VOC_CLASSES, parts)
    if name == "coco2017":
        train = [_stem(line) for line in mirrored("richard-peng-xia/LMPT", "data/coco/coco_lt_train.txt")]
        pool = [_stem(line)[15:] for line in mirrored("jameslahm/HSPNet", "dataset/coco_train_singlelabel.txt")]
        test = mirrored("richard-peng-xia/LMPT", "data/coco/coco_lt_test.txt")
        everything = [f"{number}.jpg" for number in sorted({*train, *pool})]
        parts = {
            "train": (everything, None),
            "train+valid-boxes": (everything[:40], None),
            "val": ([f"{_stem(line)}.jpg" for line in test], _matrix(test, 80)),
        }
        return _data_set(name, COCO_CLASSES, parts)
    if name == "coco2014":
        train = [f"{_stem(line)}.jpg" for line in mirrored("jameslahm/HSPNet", "dataset/coco_train_singlelabel.txt")]
        test = [f"COCO_val2014_{row:012d}.jpg" for row in range(40)]
        return _data_set(name, COCO_CLASSES, {"train": (sorted(train), None), "val": (test, None)})
    if name == "cub":
        known = {}
        for part, file in (("train", "cub_train"), ("test", "cub_val")):
            lines = mirrored("jameslahm/HSPNet", f"dataset/{file}.txt")
            known[part] = [line.partition(",")[0] for line in lines], None
        return _data_set(name, CUB_CLASSES, known)
    if name == "nus-wide":
        numbers = [line.split("_")[1] for line in mirrored("jameslahm/HSPNet", "dataset/nus_val.txt")]
        rows = [f"actor/{place:04d}_{number}.jpg" for place, number in enumerate(sorted(numbers), 1)]
        parts = dict.fromkeys(("train", "test", "train+concepts", "test+concepts"), (rows[:40], None))
        return _data_set(name, NUS_CLASSES, {**parts, "all+concepts": (rows, None)})
    assert name == "vg-200"
    return _data_set(name, VG200_CLASSES, {"train": (few, None), "test": (few, None)})


def task_data(task: Task) -> TaskData:
    """A task's data as far as they are known."""
    files = {file.name: in_mirror(file) for file in task.published if file.use == "defines"}
    data = data_set(task.data_set)
    test = None if task.test_data_set is None else data_set(task.test_data_set)
    open_file: Callable[[str], Path] = files.__getitem__
    return TaskData(data.name, data.class_names, data.parts, data.open_part, data.label_groups, test, open_file)


def golden_coco_single() -> tuple[list[str], Labels]:
    """Ids and observed labels of Cole et al.'s draw over the annotated images of train2014."""
    stored = np.load(GOLDEN / "spml_coco_observed_seed1200.npz")
    observed = np.zeros((len(stored["image_ids"]), 80), dtype=np.int8)
    observed[np.arange(len(observed)), stored["observed_class"]] = 1
    return [f"COCO_train2014_{number:012d}.jpg" for number in stored["image_ids"].tolist()], observed


def known_fingerprints(task: Task) -> dict[str, str]:
    """Every fingerprint of a task that follows from published files alone."""
    data = task_data(task)
    if task.address == "spml-nus@splc":
        # The list of training rows is not at hand at all.
        found = Fingerprints(
            class_names=fingerprint(list(task.classes)), test_labels=fingerprint(test_rows(task, data).read_labels())
        )
    else:
        found = open_truth(task, data).fingerprints
    if task.address == "spml-coco@largeloss":
        ids, observed = golden_coco_single()
        assert found.train_ids == fingerprint(ids)
        found = found.model_copy(update={"observed_labels": fingerprint(observed)})
    return {name: value for name, value in found.model_dump().items() if value and name not in task.unpinned}


def known_counts(task: Task) -> dict[str, Any]:
    """Rows and present labels per class, as far as they follow from published files alone."""
    data = task_data(task)
    made: dict[str, Any] = {}
    open_ids = set(Fingerprints.model_fields) - set(task.unpinned)
    if "test_ids" in open_ids or "test_labels" in open_ids:
        test = test_rows(task, data)
        made["test_rows"] = len(test.ids)
        if "test_labels" in open_ids:
            made["test"] = (test.read_labels() == 1).sum(axis=0).tolist()
    if "train_ids" not in open_ids:
        return made
    rows = training_rows(task, data)
    final = task.validation.in_final_runs
    held = held_out(task, rows.ids) if task.validation.kind == "holdout" and final else None
    made["train_rows"] = len(rows.ids) - (0 if held is None else int(held.sum()))
    if final:
        made["val_rows"] = int(held.sum()) if held is not None else task.validation.unused or _rows_of_validation(task)
    if "observed_labels" in open_ids:
        observed = golden_coco_single()[1] if task.address == "spml-coco@largeloss" else rows.observed
        made["observed"] = (observed[~held if held is not None else slice(None)] == 1).sum(axis=0).tolist()
    if "train_labels" in open_ids:
        made["train"] = (rows.complete[~held if held is not None else slice(None)] == 1).sum(axis=0).tolist()
    return made


def _rows_of_validation(task: Task) -> int:
    validation = open_train(task, task_data(task)).validation
    assert validation is not None
    return len(validation)


def official_tasks(family: str) -> list[Task]:
    """All settings of the papers' tasks of a family, or of those that are of no paper."""
    from ltbench.tasks.plugin import ltbench_tasks

    ours = ("shapes-", *OURS.values())
    specs = [
        spec
        for spec in ltbench_tasks()
        if (
            spec.name.startswith(OURS[family])
            if family in OURS
            else spec.family == family and not spec.name.startswith(ours)
        )
    ]
    return [spec.load()(setting) for spec in specs for setting in spec.settings or (None,)]


def document(family: str) -> dict[str, Any]:
    """The pins of a family."""
    entries = {}
    for task in official_tasks(family):
        counts = known_counts(task)
        entry: dict[str, Any] = known_fingerprints(task)
        entries[f"{task.address}.v{task.version}"] = {**entry, **({"counts": counts} if counts else {})}
    return entries


def as_text(pins: dict[str, Any]) -> str:
    """JSON with a list of counts to a line."""
    blocks = []
    for address, entry in pins.items():
        lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in entry.items() if name != "counts"]
        counts = [f"   {json.dumps(name)}: {json.dumps(value)}" for name, value in entry.get("counts", {}).items()]
        if counts:
            lines.append('  "counts": {\n' + ",\n".join(counts) + "\n  }")
        blocks.append(f" {json.dumps(address)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def main() -> None:
    """Write the pins."""
    folder = Path(__file__).resolve().parents[3] / "ltbench" / "tasks" / "official"
    for family, name in (FAMILIES | {name: name for name in OURS}).items():
        (folder / f"{name}.json").write_text(as_text(document(family)), encoding="utf-8")
        print(f"{name}.json")


if __name__ == "__main__":
    main()
