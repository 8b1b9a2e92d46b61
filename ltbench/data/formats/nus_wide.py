"""NUS-WIDE: Flickr photographs with 81 concepts checked by people and 1,000 tags of Flickr's users.

Row ids are paths as the official lists have them, with forward slashes (``actor/0001_2124494179.jpg``), in the order of
``TrainImagelist.txt`` (161,789) and ``TestImagelist.txt`` (107,859). Labels are row-aligned with ``Imagelist.txt``:
concepts from ``Groundtruth/AllLabels/Labels_<concept>.txt`` (the files of ``TrainTestLabels`` are passed by; the one of
"lake" is known to be damaged), tags from ``NUS_WID_Tags/AllTags1k.txt``.

Columns are the 81 concepts and then the 925 tags that are no concept: 1,006, as the zero-shot split 925/81 has them.

* ``train``, ``test``: all columns; needs the tags.
* ``all``: the images of ``Imagelist.txt``, both of them together, for splits of other people.
* ``…+concepts``: tags are 0, unknown, and their files are not looked at.

Flickr no longer has all photographs; a run needs every image of its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ltbench.data.base import DataRoot, DataSet, FileImages, Labels, Part
from ltbench.data.formats.layouts import (
    Layout,
    check_ids,
    first,
    first_of,
    layout_status,
    locate,
    read_lines,
    refuse_repeated,
)
from ltbench.data.formats.nus_names import NUS_CLASSES, NUS_CONCEPTS, NUS_GROUPS, NUS_TAGS
from ltbench.data.formats.parsed import Arrays, parsed
from ltbench.data.status import DataStatus
from ltbench.plugin.errors import UserError

CONCEPTS_ONLY = "+concepts"
TAGS_IN_FILE = 1000

_LISTS = ("ImageList", "Imagelist", "ImageLists", ".")
_CONCEPT_FILES = ("Groundtruth/AllLabels", "AllLabels", "GroundTruth/AllLabels")
_TAG_FOLDERS = ("NUS_WID_Tags", "Tags", ".")
_PICTURES = ("Flickr", "images", "Images", "image")

LAYOUT = Layout(
    data_set="nus-wide",
    title="NUS-WIDE",
    folders=("NUS-WIDE", "nus-wide", "NUS_WIDE", "nus_wide", "NUSWIDE", "nuswide", ""),
    marks=tuple(f"{place}/Imagelist.txt" for place in _LISTS),
    advice="NUS-WIDE/ImageList, NUS-WIDE/Groundtruth/AllLabels, NUS-WIDE/NUS_WID_Tags and NUS-WIDE/Flickr",
    any_mark=True,
)


def open_nus_wide(root: DataRoot) -> DataSet:
    """Open NUS-WIDE; raises UserError when it is not here."""
    folder = locate(root, LAYOUT)
    return DataSet(
        name="nus-wide",
        class_names=NUS_CLASSES,
        parts=tuple(part + columns for part in ("train", "test", "all") for columns in ("", CONCEPTS_ONLY)),
        open_part=partial(_open_part, root, folder),
        label_groups=dict(NUS_GROUPS),
    )


def _open_part(root: DataRoot, folder: Path, name: str) -> Part:
    part = name.removesuffix(CONCEPTS_ONLY)
    ids = _image_list(folder, "Imagelist.txt" if part == "all" else f"{part.capitalize()}Imagelist.txt")
    pictures = first_of(folder, _PICTURES, "the photographs", LAYOUT)
    return Part(
        name=name,
        ids=ids,
        images=FileImages([pictures / row for row in ids], published=True),
        read_labels=_labels_reader(root, folder, ids, name.endswith(CONCEPTS_ONLY)),
    )


def _image_list(folder: Path, name: str) -> tuple[str, ...]:
    path = first_of(folder, [f"{place}/{name}" for place in _LISTS], "an official list of images", LAYOUT)
    ids = tuple(line.replace("\\", "/") for line in read_lines(path, "an official list of images", LAYOUT))
    check_ids(ids, name, LAYOUT)
    return ids


def _labels_reader(root: DataRoot, folder: Path, ids: Sequence[str], concepts_only: bool) -> Callable[[], Labels]:
    def read() -> Labels:
        every = _image_list(folder, "Imagelist.txt")
        place = {name: row for row, name in enumerate(every)}
        lost = [name for name in ids if name not in place]
        if lost:
            raise UserError(f"{LAYOUT.title}: Imagelist.txt lacks {len(lost)} images: {first(lost)}", LAYOUT.hint)
        rows = np.array([place[name] for name in ids], dtype=np.int64)
        labels = np.full((len(ids), len(NUS_CLASSES)), -1, dtype=np.int8)
        _mark(labels[:, : len(NUS_CONCEPTS)], _concepts(root, folder, len(every)), rows, len(every))
        if concepts_only:
            labels[:, len(NUS_CONCEPTS) :] = 0
        else:
            _mark(labels[:, len(NUS_CONCEPTS) :], _tags(root, folder, len(every)), rows, len(every))
        return labels

    return read


def _mark(labels: Labels, found: Arrays, rows: npt.NDArray[np.int64], total: int) -> None:
    """Set +1 where an image of ``rows`` has an entry; entries are counted by place in ``Imagelist.txt``."""
    row = np.full(total, -1, dtype=np.int64)
    row[rows] = np.arange(len(rows))
    here = row[found["rows"]]
    kept = here >= 0
    labels[here[kept], found["columns"][kept]] = 1


def _concepts(root: DataRoot, folder: Path, total: int) -> Arrays:
    place = first_of(folder, _CONCEPT_FILES, "the checked labels", LAYOUT)
    paths = [place / f"Labels_{name}.txt" for name in NUS_CONCEPTS]
    lost = [path.name for path in paths if not path.exists()]
    if lost:
        raise UserError(f"{LAYOUT.title}: {place.name} lacks {first(lost)}", LAYOUT.hint)
    found = parsed(root, "nus-concepts.1", paths, lambda: _parse_concepts(paths))
    return _of_length(found, total, place.name)


def _parse_concepts(paths: Sequence[Path]) -> Arrays:
    """One file a concept, one 0 or 1 a line."""
    rows, columns, lengths = [], [], []
    for column, path in enumerate(paths):
        lines = path.read_bytes().split()
        positive = [row for row, value in enumerate(lines) if value == b"1"]
        zeros = lines.count(b"0")
        if zeros + len(positive) != len(lines):
            row = next(row for row, value in enumerate(lines, 1) if value not in (b"0", b"1"))
            raise UserError(f"{LAYOUT.title}: {path.name} line {row} is neither 0 nor 1", LAYOUT.hint)
        rows += positive
        columns += [column] * len(positive)
        lengths.append(len(lines))
    if len(set(lengths)) != 1:
        shortest = paths[int(np.argmin(lengths))]
        raise UserError(f"{LAYOUT.title}: {shortest.name} has {min(lengths)} lines, others {max(lengths)}", LAYOUT.hint)
    return _sparse(rows, columns, lengths[0])


def _tags(root: DataRoot, folder: Path, total: int) -> Arrays:
    place = first_of(folder, [f"{name}/AllTags1k.txt" for name in _TAG_FOLDERS], "the tags", LAYOUT)
    names = first_of(folder, [f"{name}/TagList1k.txt" for name in _TAG_FOLDERS], "the names of the tags", LAYOUT)
    with root.reporter.task(f"reading labels of {place.name}", 1) as advance:
        found = parsed(root, "nus-tags.1", [place, names], lambda: _parse_tags(place, names))
        advance(1)
    return _of_length(found, total, place.name)


def _parse_tags(path: Path, names_path: Path) -> Arrays:
    """One line an image, 1,000 digits with white space between; columns are named by ``TagList1k.txt``."""
    names = read_lines(names_path, "the names of the tags", LAYOUT)
    refuse_repeated(names, names_path.name, LAYOUT)
    strange = [name for name in NUS_TAGS if name not in set(names)]
    if strange or len(names) != TAGS_IN_FILE:
        raise UserError(
            f"{LAYOUT.title}: {names_path.name} is not the official list of {TAGS_IN_FILE} tags", LAYOUT.hint
        )
    position = {name: column for column, name in enumerate(NUS_TAGS)}
    column = np.array([position.get(name, -1) for name in names], dtype=np.int64)
    rows: list[npt.NDArray[np.int64]] = []
    columns: list[npt.NDArray[np.int64]] = []
    count = 0
    with path.open("rb") as file:
        for line in file:
            digits = np.frombuffer(line.translate(None, b" \t\r\n"), dtype=np.uint8) - ord("0")
            if not len(digits):
                continue
            if len(digits) != TAGS_IN_FILE or digits.max() > 1:
                raise UserError(
                    f"{LAYOUT.title}: {path.name} line {count + 1} is not {TAGS_IN_FILE} times 0 or 1", LAYOUT.hint
                )
            shown = column[np.flatnonzero(digits)]
            shown = shown[shown >= 0]
            rows.append(np.full(len(shown), count, dtype=np.int64))
            columns.append(shown)
            count += 1
    if not count:
        raise UserError(f"{LAYOUT.title}: {path.name} is empty", LAYOUT.hint)
    return _sparse(np.concatenate(rows), np.concatenate(columns), count)


def _sparse(rows: npt.ArrayLike, columns: npt.ArrayLike, length: int) -> Arrays:
    return {
        "rows": np.asarray(rows, dtype=np.int32),
        "columns": np.asarray(columns, dtype=np.int32),
        "length": np.array(length),
    }


def _of_length(found: Arrays, total: int, name: str) -> Arrays:
    length = int(found["length"])
    if length != total:
        raise UserError(f"{LAYOUT.title}: {name} has {length} rows, Imagelist.txt has {total}", LAYOUT.hint)
    return found


def nus_wide_status(root: DataRoot) -> list[DataStatus]:
    """One line: what of NUS-WIDE is here."""
    lists = [[f"{place}/{name}Imagelist.txt" for place in _LISTS] for name in ("Train", "Test", "")]
    tags = [[f"{place}/AllTags1k.txt" for place in _TAG_FOLDERS]]
    return [layout_status(root, LAYOUT, [_PICTURES, *lists, _CONCEPT_FILES, *tags])]
