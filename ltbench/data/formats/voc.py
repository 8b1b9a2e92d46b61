"""Pascal VOC 2007 and 2012 in the layout of the development kit (XML annotations, ``ImageSets/Main``).

Row ids are file stems (``2008_000008``), in the order of the lists in ``ImageSets/Main``. A class is present when an
object of that name is annotated. Objects marked "difficult" are counted in three ways that papers mix up, so each is a
part of its own:

* ``train``, ``val``, ``trainval``, ``test``: difficult objects make a class present (VOC-LT, PLT-VOC, HSPNet);
* ``…+difficult-unknown``: a class that only difficult objects show is 0, unknown (as the VOC development kit judges);
* ``…+difficult-negative``: such a class is absent (HCP, DualCoOp, and the ``1`` of ``Main/<class>_<part>.txt``).

VOC2012 has no annotated ``test``. That of VOC2007 is cut into ``test+photos-train``, ``test+photos-val`` and
``test+photos-test`` besides (:mod:`~ltbench.data.formats.voc_split`), with the same endings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ltbench.data.base import DataRoot, DataSet, FileImages, Labels, Part
from ltbench.data.formats.layouts import Layout, check_ids, find, first, layout_status, locate, need, read_lines
from ltbench.data.formats.names import VOC_CLASSES, VOC_GROUPS
from ltbench.data.formats.voc_split import PHOTOS, rows_of
from ltbench.data.formats.voc_xml import read_objects
from ltbench.data.status import DataStatus
from ltbench.plugin.errors import UserError

#: Suffix of a part → label of a class that only difficult objects show.
DIFFICULT = {"": 1, "+difficult-unknown": 0, "+difficult-negative": -1}

_PARTS = {"2007": ("train", "val", "trainval", "test"), "2012": ("train", "val", "trainval")}
#: Parts that a list of another part is cut into.
_CUT = {"2007": tuple(f"test{suffix}" for suffix in PHOTOS), "2012": ()}


def voc_layout(year: str) -> Layout:
    """Where ``VOC<year>`` lies: in ``VOCdevkit``, on its own, or named as the data root itself."""
    name = f"VOC{year}"
    kits = ("VOCdevkit", "", "voc/VOCdevkit", "VOC/VOCdevkit", f"voc{year}/VOCdevkit", "voc", "VOC", f"VOCdevkit{year}")
    folders = tuple(f"{kit}/{name}" if kit else name for kit in kits)
    near = tuple(folder.replace(year, other) for other in _PARTS if other != year for folder in folders)
    return Layout(f"voc{year}", f"Pascal {name}", folders, ("ImageSets/Main",), f"VOCdevkit/{name}", near=near)


def open_voc2007(root: DataRoot) -> DataSet:
    """Open Pascal VOC 2007; raises UserError when it is not here."""
    return _open("2007", root)


def open_voc2012(root: DataRoot) -> DataSet:
    """Open Pascal VOC 2012; raises UserError when it is not here."""
    return _open("2012", root)


def _open(year: str, root: DataRoot) -> DataSet:
    layout = voc_layout(year)
    folder = _folder(root, layout, year)
    return DataSet(
        name=layout.data_set,
        class_names=VOC_CLASSES,
        parts=tuple(part + suffix for part in (*_PARTS[year], *_CUT[year]) for suffix in DIFFICULT),
        open_part=partial(_open_part, folder, layout),
        label_groups=dict(VOC_GROUPS),
    )


def _folder(root: DataRoot, layout: Layout, year: str) -> Path:
    """The folder of one year; an error says which other year is here."""
    others = [other for other in _PARTS if other != year and find(root, voc_layout(other))]
    return locate(root, layout, f"; VOC{others[0]} is here" if others else "")


def _open_part(folder: Path, layout: Layout, name: str) -> Part:
    part, *suffixes = name.replace("+", " +").split()
    what = "VOCtest_06-Nov-2007.tar has it" if part == "test" else f"the list of part {part}"
    lines = read_lines(folder / "ImageSets" / "Main" / f"{part}.txt", what, layout)
    ids = tuple(line.split()[0] for line in lines)
    check_ids(ids, f"ImageSets/Main/{part}.txt", layout)
    for suffix in suffixes:
        ids = rows_of(suffix, ids) if suffix in PHOTOS else ids
    images = need(folder / "JPEGImages", "the photographs", layout)
    return Part(
        name=name,
        ids=ids,
        images=FileImages([images / f"{row}.jpg" for row in ids], published=True),
        read_labels=_labels_reader(folder, layout, ids, DIFFICULT["".join(set(suffixes) & set(DIFFICULT))]),
    )


def _labels_reader(folder: Path, layout: Layout, ids: Sequence[str], only_difficult: int) -> Callable[[], Labels]:
    def read() -> Labels:
        annotations = need(folder / "Annotations", "the XML files", layout)
        column = {name: index for index, name in enumerate(VOC_CLASSES)}
        labels = np.full((len(ids), len(VOC_CLASSES)), -1, dtype=np.int8)
        problems: list[str] = []
        missing: list[str] = []
        for row, name in enumerate(ids):
            try:
                objects = read_objects(annotations / f"{name}.xml")
                _fill(labels[row], objects, column, name, only_difficult)
            except FileNotFoundError:
                missing.append(f"{name}.xml")
            except UserError as error:
                problems.append(error.message)
        if missing:
            problems.append(f"{len(missing)} of {len(ids)} annotations are missing: {first(missing)}")
        if problems:
            # What is there in part is left alone without it.
            hint = layout.hint.replace("TASK", "TASK --repair", 1) if missing else layout.hint
            raise UserError(f"{layout.title}: {'; '.join(problems[:3])}", hint, problems[3:])
        return labels

    return read


def _fill(
    row: Labels, objects: Sequence[tuple[str, bool]], column: dict[str, int], name: str, only_difficult: int
) -> None:
    """Set the labels of one image; every object counts, plain ones after difficult ones."""
    for class_name, difficult in sorted(objects, key=lambda item: not item[1]):
        if class_name not in column:
            raise UserError(f"{name}.xml names {class_name!r}, which is no class of Pascal VOC")
        row[column[class_name]] = only_difficult if difficult else 1


def voc2007_status(root: DataRoot) -> list[DataStatus]:
    """One line: what of VOC2007 is here."""
    return [_status(root, "2007")]


def voc2012_status(root: DataRoot) -> list[DataStatus]:
    """One line: what of VOC2012 is here."""
    return [_status(root, "2012")]


def _status(root: DataRoot, year: str) -> DataStatus:
    lists = [f"ImageSets/Main/{part}.txt" for part in _PARTS[year]]
    return layout_status(root, voc_layout(year), [[name] for name in ("JPEGImages", "Annotations", *lists)])
