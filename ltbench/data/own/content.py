"""What a task folder holds, and its files: written here whole, so that a killed process leaves none that looks whole.

Layout of a task folder::

    my-photos/task.json            the newest version of the task (see ltbench.tasks.own.custom)
    my-photos/source.json          where images, features and CSV lie on this machine; stays out of task and records
    my-photos/v1/task.json         the task of that version
    my-photos/v1/rows.json         class names; ids and image hashes of each part
    my-photos/v1/labels-train.npy  complete labels of one part, int8 [N, C]; files of their own, so that rows can be
                                   opened where labels must not be
    my-photos/v1/stamps.json       sizes and time stamps of the images as hashed, so that they are not hashed each time
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ltbench.data.base import DataSet, Labels, Part
from ltbench.data.own.folder_images import NoImages, Stamp
from ltbench.plugin.errors import Damaged, UserError
from ltbench.plugin.files import write_atomic, write_with
from ltbench.plugin.reading import load_npy
from ltbench.plugin.reading import read_json as bounded_json

FORMAT = 1
#: Bytes of a file of the folder; rows of ten million images have less.
LARGEST = 2 * 2**30


@dataclass(frozen=True)
class FolderPart:
    """Rows of one part.

    Attributes:
        ids: paths below the folder of images, with forward slashes.
        labels: int8 [N, C]: +1 present, -1 absent, 0 unknown.
        sha256: content hash of each image; empty for a task that uses features only.
        stamps: size in bytes and time stamp in ns of each image when it was hashed.
    """

    ids: tuple[str, ...]
    labels: Labels
    sha256: tuple[str, ...] = ()
    stamps: tuple[Stamp, ...] = ()


@dataclass(frozen=True)
class FolderContent:
    """Everything that one version of a task folder holds.

    Attributes:
        class_names: column order.
        parts: ``train``, ``test`` and, if there is one, ``val``.
    """

    class_names: tuple[str, ...]
    parts: Mapping[str, FolderPart]

    @property
    def images_sha256(self) -> str | None:
        """One hash over all image bytes; None for a task that uses features only."""
        lines = [
            f"{row} {digest}"
            for part in self.parts.values()
            for row, digest in zip(part.ids, part.sha256, strict=False)
        ]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest() if lines else None

    def data_set(self, name: str) -> DataSet:
        """The content as a data set without images, for fingerprints."""

        def open_part(part: str) -> Part:
            rows = self.parts[part]
            return Part(part, rows.ids, NoImages(name, rows.ids), rows.labels.copy)

        return DataSet(name, self.class_names, tuple(self.parts), open_part)


def write_content(folder: Path, content: FolderContent) -> None:
    """Write one version; ``rows.json`` comes last, so that a folder without it is known to be incomplete."""
    for name, part in content.parts.items():
        labels = part.labels
        write_with(folder / f"labels-{name}.npy", lambda file, labels=labels: np.save(file, labels))  # type: ignore[misc]
    write_stamps(folder, content)
    rows = {name: {"ids": list(part.ids), "sha256": list(part.sha256)} for name, part in content.parts.items()}
    document = {"format": FORMAT, "class_names": list(content.class_names), "parts": rows}
    write_atomic(folder / "rows.json", json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def write_stamps(folder: Path, content: FolderContent) -> None:
    """Write sizes and time stamps alone, after files were copied without change."""
    stamps = {name: [list(stamp) for stamp in part.stamps] for name, part in content.parts.items()}
    write_atomic(folder / "stamps.json", json.dumps(stamps))


def read_json(path: Path, top: Path) -> dict[str, Any]:
    """Read one of the folder's files.

    Raises:
        UserError: it is missing or damaged.
    """
    hint = f"type the same ltbench task new {top.name} … again"
    try:
        document = bounded_json(path, name=f"task folder {top.name}: {path.name}", hint=hint, most=LARGEST)
    except OSError as error:
        raise UserError(f"{top} is no task folder: {path.name} is missing", hint) from error
    if not isinstance(document, dict):
        raise UserError(f"task folder {top.name}: {path.name} is damaged", hint)
    return document


def labels_reader(path: Path, top: Path, shape: tuple[int, int]) -> Callable[[], Labels]:
    """Reads the complete labels of one part, int8 of this shape, when called."""
    hint = f"type the same ltbench task new {top.name} … again"

    def read() -> Labels:
        try:
            labels: Labels = load_npy(path)
        except OSError as error:
            raise UserError(f"task folder {top.name}: {path.name} is damaged or missing", hint) from error
        except Damaged as error:
            raise Damaged(f"task folder {top.name}: {path.name}", error.damage, hint) from error
        if labels.dtype != np.int8 or labels.shape != shape or ((labels < -1) | (labels > 1)).any():
            raise Damaged(f"task folder {top.name}: {path.name}", f"no labels of {shape[0]} x {shape[1]}", hint)
        return labels

    return read
