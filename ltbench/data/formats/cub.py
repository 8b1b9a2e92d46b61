"""CUB-200-2011 with its 312 binary attributes as classes.

Row ids are paths below ``images`` (``001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg``) in the order of
``images.txt``; ``train_test_split.txt`` says which of them are ``train`` (5,994) and ``test`` (5,794). An attribute is
present where ``attributes/image_attribute_labels.txt`` says so (its third column), however certain the annotator was.
Class names are the short ones of ``ltbench.data.formats.cub_names``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ltbench.data.base import DataRoot, DataSet, FileImages, Labels, Part
from ltbench.data.formats.cub_names import CUB_ATTRIBUTES, CUB_CLASSES, CUB_GROUPS
from ltbench.data.formats.layouts import Layout, check_ids, first, layout_status, locate, need, read_lines
from ltbench.data.formats.parsed import Arrays, parsed
from ltbench.data.status import DataStatus
from ltbench.plugin.errors import UserError

LAYOUT = Layout(
    data_set="cub",
    title="CUB-200-2011",
    folders=(
        "CUB_200_2011",
        "CUB/CUB_200_2011",
        "cub/CUB_200_2011",
        "CUB-200-2011",
        "CUB_200_2011/CUB_200_2011",
        "cub",
        "",
    ),
    marks=("images.txt", "train_test_split.txt"),
    advice="CUB_200_2011/images, images.txt, train_test_split.txt and attributes/image_attribute_labels.txt",
)

_LABELS = "attributes/image_attribute_labels.txt"
#: Of the number of an image; there are 11,788.
_DIGITS = 9


def open_cub(root: DataRoot) -> DataSet:
    """Open CUB-200-2011; raises UserError when it is not here."""
    folder = locate(root, LAYOUT)
    return DataSet("cub", CUB_CLASSES, ("train", "test"), partial(_open_part, root, folder), dict(CUB_GROUPS))


def _open_part(root: DataRoot, folder: Path, name: str) -> Part:
    pictures = need(folder / "images", "the photographs", LAYOUT)
    files = _numbered(folder / "images.txt", "the list of images")
    split = _numbered(folder / "train_test_split.txt", "the official split")
    lost = [number for number in files if number not in split]
    if lost or len(files) != len(split):
        raise UserError(f"{LAYOUT.title}: images.txt and train_test_split.txt list other images", LAYOUT.hint)
    wanted = "1" if name == "train" else "0"
    numbers = [number for number in files if split[number] == wanted]
    ids = tuple(files[number] for number in numbers)
    check_ids(ids, "images.txt", LAYOUT)
    if not ids:
        raise UserError(f"{LAYOUT.title}: train_test_split.txt has no {name} images", LAYOUT.hint)
    return Part(
        name,
        ids,
        FileImages([pictures / row for row in ids], published=True),
        _labels_reader(root, folder, files, numbers),
    )


def _numbered(path: Path, what: str) -> dict[int, str]:
    """Lines of ``<number> <text>``, by number."""
    found: dict[int, str] = {}
    for place, line in enumerate(read_lines(path, what, LAYOUT), 1):
        number, _, text = line.partition(" ")
        if not number.isdecimal() or len(number) > _DIGITS or not text or int(number) in found:
            raise UserError(f"{LAYOUT.title}: {path.name} line {place} is not of the form NUMBER TEXT: {line[:40]!r}")
        found[int(number)] = text.strip()
    return found


def _labels_reader(root: DataRoot, folder: Path, files: dict[int, str], numbers: Sequence[int]) -> Callable[[], Labels]:
    def read() -> Labels:
        path = need(folder / _LABELS, "the attributes of each image", LAYOUT)
        _check_order(folder)
        found = parsed(root, "cub-attributes.1", [path], lambda: _parse(path))
        place = {number: row for row, number in enumerate(found["numbers"].tolist())}
        lost = [files[number] for number in numbers if number not in place]
        if lost:
            raise UserError(f"{path.name} has no attributes of {len(lost)} images: {first(lost)}", LAYOUT.hint)
        labels: Labels = found["labels"][[place[number] for number in numbers]]
        return labels

    return read


def _check_order(folder: Path) -> None:
    """``attributes.txt`` lies beside the data set's folder or inside; where it is, its order has to be ours."""
    for path in (folder / "attributes" / "attributes.txt", folder / "attributes.txt", folder.parent / "attributes.txt"):
        if path.exists():
            names = _numbered(path, "the names of the attributes")
            if tuple(names[number] for number in sorted(names)) != CUB_ATTRIBUTES:
                raise UserError(
                    f"{LAYOUT.title}: {path.name} lists other attributes than the official 312", LAYOUT.hint
                )
            return


def _parse(path: Path) -> Arrays:
    """All rows of ``<image> <attribute> <present> <certainty> <seconds>``.

    A few rows of the official file have fields too many behind the third; only the first three are looked at.
    """
    labels: dict[int, npt.NDArray[np.int8]] = {}
    width = len(CUB_CLASSES)
    with path.open("rb") as file:
        for place, line in enumerate(file, 1):
            fields = line.split(None, 3)
            try:
                image, attribute, present = int(fields[0]), int(fields[1]), int(fields[2])
            except (IndexError, ValueError):
                if not fields:
                    continue
                raise UserError(f"{path.name} line {place} is broken: {line[:40]!r}", LAYOUT.hint) from None
            if not 1 <= attribute <= width or present not in (0, 1) or not 0 <= image < 10**_DIGITS:
                raise UserError(f"{path.name} line {place}: no attribute {attribute} of value {present}", LAYOUT.hint)
            row = labels.get(image)
            if row is None:
                row = labels[image] = np.zeros(width, dtype=np.int8)
            row[attribute - 1] = 1 if present else -1
    incomplete = [str(image) for image, row in labels.items() if not row.all()]
    if incomplete or not labels:
        raise UserError(f"{path.name} lacks attributes of images {first(incomplete) or 'altogether'}", LAYOUT.hint)
    return {"numbers": np.array(list(labels), dtype=np.int64), "labels": np.stack(list(labels.values()))}


def cub_status(root: DataRoot) -> list[DataStatus]:
    """One line: what of CUB is here."""
    return [layout_status(root, LAYOUT, [["images"], ["images.txt"], ["train_test_split.txt"], [_LABELS]])]
