"""The lists that authors released, in their true forms: written for a small tree, and read for its real rows."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ltbench.data.base import DataRoot
from ltbench.data.getting.fetch import fetch
from ltbench.plugin.files import write_atomic
from ltbench.tasks.task import PublishedFile, Task
from ltbench.tasks.views.published import class_numbers, keys_of, read_lines
from ltbench.testing._tree_plan import FORMS

#: A place that no network has: what is made here can never be fetched, nor be taken for what authors released.
_NOWHERE = "https://small-tree.invalid"


@dataclass(frozen=True)
class Form:
    """How a list writes an image, and what comes before its class numbers or caption."""

    image: str = "{}"
    separator: str = " "


#: Forms by the name of the file; another one has ids and a space.
_LISTS = {
    "voc_lt_captions.txt": Form("VOCdevkit/VOC2012/JPEGImages/{}.jpg"),
    "coco_lt_train.txt": Form("train2017/{}"),
    "coco_lt_test.txt": Form("val2017/{}"),
    "coco_lt_captions.txt": Form("train2017/{}"),
    "coco_train_singlelabel.txt": Form("COCO_train2014_{}", ","),
    "voc_train.txt": Form("{}.jpg", ","),
    "cub_train.txt": Form("{}", ", "),
    "cub_val.txt": Form("{}", ", "),
    "nus_train_singlelabel.txt": Form("{}", ","),
    "nus_val.txt": Form("{}", ","),
}


def written(file: PublishedFile, row_id: str, rest: str) -> str:
    """One line of a list, in the form that its authors gave it."""
    form = _LISTS.get(file.name, Form())
    name = row_id.removeprefix("COCO_train2014_")
    if file.name.startswith("nus_"):
        # Photographs go by Flickr's number, between one that says nothing and a key.
        flickr = row_id.rpartition("_")[2].removesuffix(".jpg")
        name = f"{int(flickr) % 1000}_{flickr}_{hashlib.sha256(flickr.encode()).hexdigest()[:10]}_m.jpg"
    return f"{form.image.format(name)}{form.separator}{rest}\n"


def made_file(task: Task, file: PublishedFile, lines: Iterable[str], mirror: Path) -> PublishedFile:
    """Write a list into a mirror folder, pinned by its own sha256."""
    content = "".join(lines).encode()
    made = file.model_copy(
        update={
            "origin": f"{_NOWHERE}/{task.address.replace('@', '/')}/{file.name}",
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
            "licence": "made by ltbench.testing",
            "unpinned": "",
        }
    )
    write_atomic(mirror / made.source.layout, content)
    return made


def listed(task: Task, file: PublishedFile, data_set: str, root: DataRoot) -> dict[str, tuple[str, ...]]:
    """Row id → classes named, of a list that authors released; in its order.

    Raises:
        UserError: the file cannot be had.
    """
    lines = read_lines(fetch(file.source, root))
    numbers: Sequence[Sequence[int]] = [()] * len(lines)
    if file.labels or file.role == "observed":
        numbers = class_numbers(lines, len(task.classes), file.name)
    return {
        row_id(data_set, line.image): tuple(task.classes[number] for number in found)
        for line, found in zip(lines, numbers, strict=True)
    }


def row_id(data_set: str, image: str) -> str:
    """The id that a data set has for an image as a list writes it."""
    if data_set == "nus-wide":
        # Which folder a photograph lies in stands in no list of authors.
        flickr = image.split("_")[1]
        return f"actor/{int(flickr) % 10000:04d}_{flickr}.jpg"
    return next(key for key in keys_of(image) if re.fullmatch(FORMS[data_set], key))


def one_of(numbers: Sequence[int], row: str) -> list[int]:
    """One of a row's class numbers, by hash; none of none."""
    return [numbers[int(hashlib.sha256(row.encode()).hexdigest()[:8], 16) % len(numbers)]] if numbers else []
