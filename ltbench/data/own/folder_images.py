"""Images of a task folder: the files as they were when the task was made, or none at all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ltbench.data.base import FileImages
from ltbench.plugin.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

Stamp = tuple[int, int]


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

    def load_reduced(self, row: int, least: int) -> Image:
        """Decode one image at a part of its size, see :class:`FileImages`; raises UserError as :meth:`load`."""
        self._check()
        return self._files.load_reduced(row, least)

    def sha256(self, row: int) -> str:
        """Content hash; raises UserError as :meth:`load`."""
        self._check()
        return self._sha256[row]

    def content(self, row: int) -> str:
        """What names its pixels in a cache; raises UserError as :meth:`load`."""
        self._check()
        return self._files.content(row)

    def content_reduced(self, row: int, least: int) -> str:
        """What names them where they are reduced; raises UserError as :meth:`load`."""
        self._check()
        return self._files.content_reduced(row, least)

    def content_faults(self) -> list[str]:
        """What is wrong with the files, each hashed again whatever its size and time stamp are; one line each."""
        found = []
        for path, wanted in zip(self._files.paths, self._sha256, strict=True):
            try:
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                found.append(f"{path.name} cannot be read ({error.strerror})")
                continue
            if digest != wanted:
                found.append(f"{path.name} has sha256 {digest}, not {wanted} as when the task was made")
        return found

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


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
