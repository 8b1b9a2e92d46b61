"""Decoding MS-COCO's JSON: only the fields that are needed are built, so that polygons cost neither time nor memory.

The annotation file of train2017 has 450 MB, nearly all of it polygons. msgspec walks over what a type does not name.
Images and annotations are decoded by calls of their own, because ids must be readable without labels.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import numpy as np

from ltbench.data.formats.names import COCO_CATEGORY_IDS, COCO_CLASSES
from ltbench.data.formats.parsed import Arrays
from ltbench.plugin.errors import UserError
from ltbench.plugin.names import name_problem, shown

HINT = "take the official file again: ltbench data prepare TASK"


#: A number of COCO's, as arrays hold it.
Number = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class _Image(msgspec.Struct, gc=False):
    id: Number
    file_name: str


class _Category(msgspec.Struct, gc=False):
    id: Number
    name: str


class _Annotation(msgspec.Struct, gc=False):
    image_id: Number
    category_id: Number
    area: float
    bbox: tuple[float, float, float, float]


class _Caption(msgspec.Struct, gc=False):
    image_id: Number
    caption: str


class _ImagesFile(msgspec.Struct):
    images: list[_Image]


class _InstancesFile(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


class _CaptionsFile(msgspec.Struct):
    annotations: list[_Caption]


File = TypeVar("File", _ImagesFile, _InstancesFile, _CaptionsFile)


@dataclass(frozen=True)
class Images:
    """Images of an annotation file, in its order.

    Attributes:
        files: file names.
        numbers: COCO's numbers of the images.
    """

    files: tuple[str, ...]
    numbers: tuple[int, ...]


def _decode(path: Path, kind: type[File]) -> File:
    """Decode a file from a memory map.

    Raises:
        UserError: it is no JSON, is cut off, or is not laid out like COCO's; says where.
    """
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            raise UserError(f"{path.name} is empty (0 bytes)", HINT)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                return msgspec.json.decode(content, type=kind)
            except msgspec.ValidationError as error:
                raise UserError(f"{path.name} is no COCO annotation file ({error})", HINT) from error
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise UserError(f"{path.name} is no JSON or is cut off ({error})", HINT) from error


def read_images(path: Path) -> Images:
    """Images of an ``instances_*.json``; builds no annotation.

    Raises:
        UserError: the file is not COCO's, or an image stands twice in it (by number or by file name).
    """
    return _checked(_decode(path, _ImagesFile).images, path)


def _checked(images: list[_Image], path: Path) -> Images:
    if not images:
        raise UserError(f"{path.name} lists no images", HINT)
    seen_numbers: set[int] = set()
    seen_files: set[str] = set()
    for image in images:
        if image.id in seen_numbers or image.file_name in seen_files:
            raise UserError(f"{path.name} lists image {image.file_name} (id {image.id}) more than once", HINT)
        if problem := name_problem(image.file_name):
            raise UserError(
                f"{path.name}: image {image.id} has the file name {shown(image.file_name)}: {problem}", HINT
            )
        seen_numbers.add(image.id)
        seen_files.add(image.file_name)
    return Images(tuple(image.file_name for image in images), tuple(image.id for image in images))


def read_presence(path: Path) -> Arrays:
    """Which category an annotation shows in which image: one entry for each pair that occurs.

    Returns:
        ``rows`` and ``columns`` (int32): image by its place in the file, category by its place in ``COCO_CLASSES``;
        ``valid`` (bool): one annotation at least has area > 0 and a box at least one pixel wide and high.

    Raises:
        UserError: the file is not COCO's, or an annotation speaks of an image or category that the file does not list.
    """
    content = _decode(path, _InstancesFile)
    images = _checked(content.images, path)
    column = _columns(content.categories, path)
    row = {number: place for place, number in enumerate(images.numbers)}
    pairs: dict[int, bool] = {}
    width = len(COCO_CLASSES)
    for place, annotation in enumerate(content.annotations):
        at = row.get(annotation.image_id)
        kind = column.get(annotation.category_id)
        if at is None or kind is None:
            what = f"image {annotation.image_id}" if at is None else f"category {annotation.category_id}"
            raise UserError(f"{path.name}: annotation {place} is of {what}, which the file does not list", HINT)
        key = at * width + kind
        valid = annotation.area > 0 and annotation.bbox[2] >= 1 and annotation.bbox[3] >= 1
        pairs[key] = valid or pairs.get(key, False)
    keys = np.fromiter(pairs, dtype=np.int64, count=len(pairs))
    return {
        "rows": (keys // width).astype(np.int32),
        "columns": (keys % width).astype(np.int32),
        "valid": np.fromiter(pairs.values(), dtype=np.bool_, count=len(pairs)),
    }


def _columns(categories: list[_Category], path: Path) -> dict[int, int]:
    """Category id → column; the categories have to be COCO's 80."""
    found = {category.id: category.name for category in categories}
    expected = dict(zip(COCO_CATEGORY_IDS, COCO_CLASSES, strict=True))
    if found != expected:
        wrong = sorted({str(pair[1]) for pair in found.items() ^ expected.items()})
        raise UserError(
            f"{path.name} does not list COCO's 80 categories ({len(wrong)} differ, e.g. {', '.join(wrong[:3])})", HINT
        )
    return {number: place for place, number in enumerate(COCO_CATEGORY_IDS)}


def read_captions(path: Path) -> Mapping[int, list[str]]:
    """Captions by COCO's number of the image, in the order of the file; runs of white space become one blank.

    Raises:
        UserError: the file is not COCO's.
    """
    found: dict[int, list[str]] = {}
    for caption in _decode(path, _CaptionsFile).annotations:
        found.setdefault(caption.image_id, []).append(" ".join(caption.caption.split()))
    if not found:
        raise UserError(f"{path.name} holds no captions", HINT)
    return found
