"""VG-200: Visual Genome's photographs with the 200 most frequent of SSGRL's 500 categories.

Row ids are image file names (``2315468.jpg``) in the order of ``train_list_500.txt`` (82,904) and
``test_list_500.txt`` (10,000), which SSGRL made for its 500 categories and which VG-200 uses too
(HCPLab-SYSU/SSGRL@ea47ccb, ``data/VG``). Labels are a JSON object, file name → numbers of the categories present:
``vg_category_200_labels_index.json``, or ``vg_category_500_labels_index.json`` of which the first 200 are taken.

Neither the label file nor the names of the categories were ever published (SSGRL issues 12 and 28). Classes are
therefore called ``category_000`` to ``category_199``: a method that reads class names learns nothing from them. The 13
label groups of HSPNet exist as a picture in its paper only, so there are none here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from ltbench.data.base import DataRoot, DataSet, FileImages, Labels, Part
from ltbench.data.formats.layouts import Layout, check_ids, first, first_of, layout_status, locate, read_lines
from ltbench.data.formats.names import VG200_CLASSES
from ltbench.data.status import DataStatus
from ltbench.plugin.errors import UserError

_PARTS = ("train", "test")
_IMAGES = ("VG_100K", "VG_100K_2")
_LABELS = ("vg_category_200_labels_index.json", "vg_category_500_labels_index.json")

LAYOUT = Layout(
    data_set="vg-200",
    title="Visual Genome (VG-200)",
    folders=("VG", "vg", "visual_genome", "VisualGenome", "visual-genome", "vg-200", "VG200", "vg200", ""),
    marks=("train_list_500.txt", "VG_100K"),
    advice="VG/VG_100K, VG/VG_100K_2, VG/train_list_500.txt, VG/test_list_500.txt and VG/" + _LABELS[0],
)


def open_vg200(root: DataRoot) -> DataSet:
    """Open VG-200; raises UserError when it is not here."""
    folder = locate(root, LAYOUT)
    return DataSet("vg-200", VG200_CLASSES, _PARTS, partial(_open_part, folder))


def _open_part(folder: Path, name: str) -> Part:
    lines = read_lines(folder / f"{name}_list_500.txt", f"the list of part {name}", LAYOUT)
    # Lists with other columns after the name, or with a folder before it, are in use as well.
    ids = tuple(line.split()[0].rpartition("/")[2] for line in lines)
    check_ids(ids, f"{name}_list_500.txt", LAYOUT)
    return Part(name, ids, FileImages(_paths(folder, ids), published=True), _labels_reader(folder, ids))


def _paths(folder: Path, ids: Sequence[str]) -> list[Path]:
    """Visual Genome comes as two archives with a folder each; some people put all photographs into the first."""
    second = folder / _IMAGES[1]
    in_second = {path.name for path in second.iterdir()} if second.is_dir() else set()
    return [folder / _IMAGES[name in in_second] / name for name in ids]


def _labels_reader(folder: Path, ids: Sequence[str]) -> Callable[[], Labels]:
    def read() -> Labels:
        path = first_of(folder, _LABELS, "the labels; they were never published", LAYOUT)
        try:
            found = msgspec.json.decode(path.read_bytes(), type=dict[str, list[int]])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UserError(
                f"{path.name} is no JSON of file names and category numbers ({error})", LAYOUT.hint
            ) from error
        without = [name for name in ids if name not in found]
        if without:
            raise UserError(f"{path.name} has no labels of {len(without)} images: {first(without)}", LAYOUT.hint)
        limit = 200 if path.name == _LABELS[0] else 500
        labels = np.full((len(ids), len(VG200_CLASSES)), -1, dtype=np.int8)
        for row, name in enumerate(ids):
            wrong = [number for number in found[name] if not 0 <= number < limit]
            if wrong:
                raise UserError(
                    f"{path.name}: {name} has category {wrong[0]}, which is not in 0..{limit - 1}", LAYOUT.hint
                )
            labels[row, [number for number in found[name] if number < len(VG200_CLASSES)]] = 1
        return labels

    return read


def vg200_status(root: DataRoot) -> list[DataStatus]:
    """One line: what of VG-200 is here."""
    return [layout_status(root, LAYOUT, [[_IMAGES[0]], ["train_list_500.txt"], ["test_list_500.txt"], _LABELS])]
