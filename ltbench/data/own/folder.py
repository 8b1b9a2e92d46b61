"""A user's own photographs as a data set: ``ltbench task new`` normalises folder and CSV once, runs read the result.

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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ltbench.data.base import DataRoot, DataSet, FileImages, Images, Labels, Part
from ltbench.data.status import DataStatus, folder_bytes
from ltbench.plugin.errors import UserError
from ltbench.plugin.files import write_atomic, write_with

if TYPE_CHECKING:
    from PIL.Image import Image

FORMAT = 1
Stamp = tuple[int, int]


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


class FolderImages:
    """Image files with the hashes they had when the task was made; a file that changed since is refused.

    Args:
        paths: one file a row.
        sha256: of each file.
        stamps: size and time stamp of each file when it was hashed.
        task: name, for messages.
    """

    def __init__(self, paths: Sequence[Path], sha256: Sequence[str], stamps: Sequence[Stamp], task: str) -> None:
        self._files = FileImages(paths)
        self._sha256 = tuple(sha256)
        self._stamps = tuple(stamps)
        self._task = task
        self._checked = False

    def __len__(self) -> int:
        return len(self._files)

    def load(self, row: int) -> Image:
        """Decode one image as RGB.

        Raises:
            UserError: files are missing or changed (all are counted, the first are named), or this one is no image.
        """
        self._check()
        return self._files.load(row)

    def sha256(self, row: int) -> str:
        """Content hash; raises UserError as :meth:`load`."""
        self._check()
        return self._sha256[row]

    def _check(self) -> None:
        """Once: every file is there, and those with another size or time stamp have the same content still."""
        if self._checked:
            return
        missing, changed = [], []
        for row, path in enumerate(self._files.paths):
            try:
                status = path.stat()
            except OSError:
                missing.append(path.name)
                continue
            touched = row >= len(self._stamps) or (status.st_size, status.st_mtime_ns) != self._stamps[row]
            if touched and self._files.sha256(row) != self._sha256[row]:
                changed.append(path.name)
        total = len(self._files)
        if missing:
            raise UserError(
                f"task {self._task}: {len(missing)} of {total} images are missing: {_first(missing)}",
                "ltbench data status; if they moved, type the same ltbench task new … with --images DIR again",
            )
        if changed:
            raise UserError(
                f"task {self._task}: {len(changed)} of {total} images are not those of the task: {_first(changed)}",
                "put the old files back, or type the same ltbench task new … again for a new version",
            )
        self._checked = True


class NoImages:
    """Rows of a task that was made for features only."""

    def __init__(self, task: str, ids: Sequence[str]) -> None:
        self._task = task
        self._ids = tuple(ids)

    def __len__(self) -> int:
        return len(self._ids)

    def load(self, row: int) -> Image:
        """Raise UserError: there are no images."""
        raise UserError(
            f"task {self._task} was made with --no-images and has features only", "--backbone precomputed:FILE.npz"
        )

    def sha256(self, row: int) -> str:
        """Hash of the row's id, which is all there is."""
        return hashlib.sha256(f"{self._task}|{self._ids[row]}".encode()).hexdigest()


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


def open_folder(folder: Path, images: Path | None = None, fallback: Path | None = None) -> DataSet:
    """Open a task folder as a data set.

    Args:
        folder: a task folder (its newest version) or one of its version folders.
        images: folder of images; None takes the one noted when the task was made.
        fallback: folder of images for when the noted one is gone.

    Raises:
        UserError: the folder is no task folder, is damaged, or was written by another version of ltbench.
    """
    top, version = _locate(folder)
    name = top.name
    rows = read_json(version / "rows.json", top)
    if rows.get("format") != FORMAT:
        raise UserError(
            f"task folder {name} has format {rows.get('format')!r}, this ltbench reads {FORMAT}",
            "type the same ltbench task new … again",
        )
    source = read_json(top / "source.json", top) if images is None else {"images": str(images)}
    place = Path(source["images"]) if source.get("images") else None
    if place is not None and fallback is not None and not place.is_dir():
        place = fallback
    stamps = read_json(version / "stamps.json", top)

    def open_part(part: str) -> Part:
        ids = tuple(rows["parts"][part]["ids"])
        opened: Images = NoImages(name, ids)
        if place is not None and rows["parts"][part]["sha256"]:
            known = [(int(size), int(modified)) for size, modified in stamps.get(part, [])]
            opened = FolderImages([place / row for row in ids], rows["parts"][part]["sha256"], known, name)
        return Part(part, ids, opened, _labels_reader(version / f"labels-{part}.npy", top))

    return DataSet(f"folder:{name}", tuple(rows["class_names"]), tuple(rows["parts"]), open_part)


def open_rooted(root: DataRoot) -> DataSet:
    """Open the task folder that ``--data-root`` names.

    Raises:
        UserError: no folder is named.
    """
    if root.root is None:
        raise UserError("data set folder needs a task folder", "--data-root DIR, or ltbench run --task DIR …")
    return open_folder(root.root)


def folder_status(root: DataRoot) -> list[DataStatus]:
    """One line for each task folder in the usual places: are the images still there?"""
    from ltbench.data.own.places import task_folders

    return [_status(folder) for folder in task_folders()]


def _status(folder: Path) -> DataStatus:
    name = f"folder:{folder.name}"
    try:
        data = open_folder(folder)
        source = read_json(folder / "source.json", folder)
    except UserError as error:
        return DataStatus(name, "missing", error.message, folder_bytes(folder), error.hint)
    if not source.get("images"):
        return DataStatus(name, "here", "features only", folder_bytes(folder))
    place = Path(source["images"])
    paths = [place / row for part in data.parts for row in data.part(part).ids]
    there = [path for path in paths if path.is_file()]
    size = folder_bytes(folder) + sum(path.stat().st_size for path in there)
    if len(there) == len(paths):
        return DataStatus(name, "here", f"{len(paths)} images", size)
    detail = f"{len(paths) - len(there)} of {len(paths)} images are gone"
    return DataStatus(
        name, "partly" if there else "missing", detail, size, f"ltbench task new {folder.name} --images DIR …"
    )


def read_json(path: Path, top: Path) -> dict[str, Any]:
    """Read one of the folder's files.

    Raises:
        UserError: it is missing or damaged.
    """
    hint = f"type the same ltbench task new {top.name} … again"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{top} is no task folder: {path.name} is missing", hint) from error
    except ValueError as error:
        raise UserError(f"task folder {top.name}: {path.name} is damaged ({error})", hint) from error
    if not isinstance(document, dict):
        raise UserError(f"task folder {top.name}: {path.name} is damaged", hint)
    return document


def _locate(folder: Path) -> tuple[Path, Path]:
    """Top folder and version folder."""
    if (folder / "rows.json").is_file():
        return folder.parent, folder
    return folder, folder / f"v{read_json(folder / 'task.json', folder).get('version')}"


def _labels_reader(path: Path, top: Path) -> Callable[[], Labels]:
    def read() -> Labels:
        try:
            labels: Labels = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(
                f"task folder {top.name}: {path.name} is damaged or missing",
                f"type the same ltbench task new {top.name} … again",
            ) from error
        return labels

    return read


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
