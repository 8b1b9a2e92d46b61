"""MS-COCO 2014 and 2017: ``instances_*.json`` and ``captions_*.json`` as the authors release them.

Row ids are image file names (``000000000009.jpg``, ``COCO_train2014_000000000009.jpg``) in the order of the
annotation file; images without an annotation are rows like any other. Papers count a category as present by two rules,
so each is a part of its own:

* ``train``, ``val``: any annotation, crowds included (COMIC, HCP, DualCoOp, SPLC);
* ``…+valid-boxes``: any annotation, crowds included, with area > 0 and a box at least one pixel wide and high
  (DistributionBalancedLoss, so COCO-LT).

``read_captions`` gives the first caption of each image in the order of ``captions_*.json``; an image has five or more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ltbench.data.base import DataRoot, DataSet, FileImages, Labels, Part
from ltbench.data.formats.coco_json import Images, read_captions, read_images, read_presence
from ltbench.data.formats.layouts import Layout, first, first_of, layout_status, locate, need
from ltbench.data.formats.names import COCO_CLASSES, COCO_GROUPS
from ltbench.data.formats.parsed import Arrays, parsed
from ltbench.data.status import DataStatus
from ltbench.plugin.errors import UserError

VALID_BOXES = "+valid-boxes"
_PARTS = ("train", "val")


def coco_layout(year: str) -> Layout:
    """Where COCO lies: ``coco`` below the data root, the data root itself, or other spellings."""
    return Layout(
        data_set=f"coco{year}",
        title=f"MS-COCO {year}",
        folders=("coco", "", "COCO", "MSCOCO", "mscoco", "MS-COCO", f"coco{year}", f"COCO{year}"),
        marks=tuple(f"annotations/instances_{part}{year}.json" for part in _PARTS),
        advice=f"coco/annotations, coco/train{year} and coco/val{year}",
        any_mark=True,
    )


def open_coco2014(root: DataRoot) -> DataSet:
    """Open MS-COCO 2014; raises UserError when it is not here."""
    return _open("2014", root)


def open_coco2017(root: DataRoot) -> DataSet:
    """Open MS-COCO 2017; raises UserError when it is not here."""
    return _open("2017", root)


def _open(year: str, root: DataRoot) -> DataSet:
    layout = coco_layout(year)
    folder = locate(root, layout)
    return DataSet(
        name=layout.data_set,
        class_names=COCO_CLASSES,
        parts=tuple(part + rule for part in _PARTS for rule in ("", VALID_BOXES)),
        open_part=partial(_open_part, root, folder, layout, year),
        label_groups=dict(COCO_GROUPS),
    )


def _open_part(root: DataRoot, folder: Path, layout: Layout, year: str, name: str) -> Part:
    split = name.removesuffix(VALID_BOXES) + year
    instances = need(folder / "annotations" / f"instances_{split}.json", "annotations_trainval has it", layout)
    captions = folder / "annotations" / f"captions_{split}.json"
    pictures = first_of(folder, (split, f"images/{split}"), "the photographs", layout)
    found = parsed(root, "coco-images.1", [instances], lambda: _images_arrays(instances))
    ids = tuple(str(file) for file in found["files"])
    return Part(
        name=name,
        ids=ids,
        images=FileImages([pictures / file for file in ids], published=True),
        read_labels=_labels_reader(root, instances, ids, name.endswith(VALID_BOXES)),
        read_captions=_captions_reader(root, captions, found["numbers"].tolist(), ids, layout),
    )


def _images_arrays(path: Path) -> Arrays:
    images: Images = read_images(path)
    return {"files": np.array(images.files), "numbers": np.array(images.numbers, dtype=np.int64)}


def _labels_reader(root: DataRoot, path: Path, ids: Sequence[str], valid_boxes: bool) -> Callable[[], Labels]:
    def read() -> Labels:
        with root.reporter.task(f"reading labels of {path.name}", 1) as advance:
            found = parsed(root, "coco-labels.1", [path], lambda: read_presence(path))
            advance(1)
        labels = np.full((len(ids), len(COCO_CLASSES)), -1, dtype=np.int8)
        kept = found["valid"] if valid_boxes else np.ones_like(found["valid"])
        labels[found["rows"][kept], found["columns"][kept]] = 1
        return labels

    return read


def _captions_reader(
    root: DataRoot, path: Path, numbers: Sequence[int], ids: Sequence[str], layout: Layout
) -> Callable[[], tuple[str, ...]]:
    def read() -> tuple[str, ...]:
        need(path, "the captions", layout)
        found = parsed(root, "coco-captions.1", [path], lambda: _caption_arrays(path))
        by_image = dict(zip(found["numbers"].tolist(), found["captions"].tolist(), strict=True))
        without = [name for name, number in zip(ids, numbers, strict=True) if number not in by_image]
        if without:
            raise UserError(f"{layout.title}: {path.name} has no caption of {first(without)}", layout.hint)
        return tuple(by_image[number] for number in numbers)

    return read


def _caption_arrays(path: Path) -> Arrays:
    found = {number: texts[0] for number, texts in read_captions(path).items()}
    return {"numbers": np.array(list(found), dtype=np.int64), "captions": np.array(list(found.values()))}


def coco2014_status(root: DataRoot) -> list[DataStatus]:
    """One line: what of COCO 2014 is here."""
    return [_status(root, "2014")]


def coco2017_status(root: DataRoot) -> list[DataStatus]:
    """One line: what of COCO 2017 is here."""
    return [_status(root, "2017")]


def _status(root: DataRoot, year: str) -> DataStatus:
    splits = [part + year for part in _PARTS]
    files = [[f"annotations/{kind}_{split}.json"] for kind in ("instances", "captions") for split in splits]
    return layout_status(root, coco_layout(year), [*([split, f"images/{split}"] for split in splits), *files])
