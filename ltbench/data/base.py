"""Data sets: images, complete labels, captions, class names and label groups, each read only when asked for.

Labels are read by a method of their own, never as a side effect of opening images, because phase 1 of a run must
hold neither test labels nor complete training labels (see ``ltbench.tasks.views``).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from ltbench.data.decode import Undecodable, decode
from ltbench.data.known_hashes import file_sha256
from ltbench.data.progress import SILENT, Reporter
from ltbench.plugin.errors import UserError
from ltbench.plugin.reading import load_npy

if TYPE_CHECKING:
    from PIL.Image import Image

Labels = npt.NDArray[np.int8]


class Images(Protocol):
    """Images by row."""

    def __len__(self) -> int: ...

    def load(self, row: int) -> Image:
        """Decode one image as RGB."""
        ...

    def sha256(self, row: int) -> str:
        """Content hash of one image, hex."""
        ...


class ArrayImages:
    """Images kept as one uint8 array [N, H, W, 3] in a ``.npy`` file, opened as a memory map on first use."""

    def __init__(self, path: Path, rows: Sequence[int] | None = None) -> None:
        self.path = path
        self._rows = None if rows is None else np.asarray(rows, dtype=np.int64)
        self._array: npt.NDArray[np.uint8] | None = None

    @property
    def array(self) -> npt.NDArray[np.uint8]:
        """The memory-mapped array of all rows of the file."""
        if self._array is None:
            self._array = load_npy(self.path, mapped=True)
        return self._array

    def __len__(self) -> int:
        return len(self.array) if self._rows is None else len(self._rows)

    def _at(self, row: int) -> npt.NDArray[np.uint8]:
        picked: npt.NDArray[np.uint8] = self.array[row if self._rows is None else int(self._rows[row])]
        return picked

    def load(self, row: int) -> Image:
        """Return one image as RGB."""
        from PIL import Image as image_module

        return image_module.fromarray(np.ascontiguousarray(self._at(row)))

    def sha256(self, row: int) -> str:
        """Hash of the raw pixels."""
        return hashlib.sha256(np.ascontiguousarray(self._at(row)).tobytes()).hexdigest()


class FileImages:
    """Images kept as one file each.

    Args:
        paths: one file a row.
        published: files of a published data set, read as its papers read them (see ``ltbench.data.decode``).
    """

    def __init__(self, paths: Sequence[Path], *, published: bool = False) -> None:
        self.paths = list(paths)
        self.published = published

    def __len__(self) -> int:
        return len(self.paths)

    def load(self, row: int) -> Image:
        """Decode one file as RGB.

        Raises:
            UserError: the file is missing or is no image; it is named.
        """
        return self._load(row, None)

    def load_reduced(self, row: int, least: int) -> Image:
        """A user's own large JPEG decoded at a part of its size, both sides ``least`` pixels still; others as they are.

        Raises:
            UserError: as :meth:`load`.
        """
        return self._load(row, least)

    def _load(self, row: int, least: int | None) -> Image:
        path = self.paths[row]
        try:
            return decode(path, published=self.published, least=least).image
        except FileNotFoundError as error:
            raise UserError(f"image {path.name} is missing", "ltbench data status") from error
        except Undecodable as error:
            raise UserError(
                f"image {path.name} cannot be decoded ({error.why})", error.hint or f"replace {path.name}"
            ) from error

    def content(self, row: int) -> str:
        """What :meth:`load` gives, for caches: the hash of the file, and how it is read where it is a user's own."""
        return self.sha256(row) if self.published else f"{self.sha256(row)}+as-shown"

    def content_reduced(self, row: int, least: int) -> str:
        """What :meth:`load_reduced` gives; whether a file is large enough to be reduced is not looked at."""
        return self.content(row) if self.published else f"{self.content(row)}-{least}"

    def sha256(self, row: int) -> str:
        """Hash of the file's bytes, remembered for as long as size and time stamp stay the same."""
        path = self.paths[row]
        try:
            status = path.stat()
        except FileNotFoundError as error:
            raise UserError(f"image {path.name} is missing", "ltbench data status") from error
        return file_sha256(path, status.st_size, status.st_mtime_ns, default_cache())


def content_of(images: Images, row: int, least: int | None = None) -> str:
    """What names the pixels of one image in a cache: images may say it by ``content(row)``, else it is their hash.

    Args:
        least: name what :func:`load_reduced` gives with it; images may say that by ``content_reduced(row, least)``.
    """
    if least is not None and _reduces(type(images)):
        return str(images.content_reduced(row, least))  # type: ignore[attr-defined]
    told = getattr(images, "content", None)
    return images.sha256(row) if told is None else str(told(row))


def load_reduced(images: Images, row: int, least: int | None) -> Image:
    """One image as RGB that is about to be resized as a whole, both its sides at least ``least`` pixels if they were.

    Images that can be had for less at a part of their size offer ``load_reduced(row, least)``, and name what it gives
    by ``content_reduced(row, least)``; those of others, and all where ``least`` is None, are decoded whole.

    Raises:
        UserError: as ``images.load``.
    """
    if least is None or not _reduces(type(images)):
        return images.load(row)
    image: Image = images.load_reduced(row, least)  # type: ignore[attr-defined]
    return image


@cache
def _reduces(kind: type) -> bool:
    """Whether images of a class can be had reduced; one that has a ``load`` of its own has to say so itself."""
    return next(("load_reduced" in vars(cls) for cls in kind.__mro__ if "load" in vars(cls)), False)


class ImageRows:
    """A selection of rows of other images."""

    def __init__(self, images: Images, rows: Sequence[int]) -> None:
        self._images = images
        self._rows = [int(row) for row in rows]

    def __len__(self) -> int:
        return len(self._rows)

    def load(self, row: int) -> Image:
        """Decode one image as RGB."""
        return self._images.load(self._rows[row])

    def load_reduced(self, row: int, least: int) -> Image:
        """As :func:`load_reduced`."""
        return load_reduced(self._images, self._rows[row], least)

    def sha256(self, row: int) -> str:
        """Content hash of one image."""
        return self._images.sha256(self._rows[row])

    def content(self, row: int) -> str:
        """What names its pixels in a cache."""
        return content_of(self._images, self._rows[row])

    def content_reduced(self, row: int, least: int) -> str:
        """What names them where they are reduced."""
        return content_of(self._images, self._rows[row], least)

    @property
    def files(self) -> list[Path]:
        """Of the rows, in their order; none where the images are no files."""
        files = files_of(self._images)
        return [files[row] for row in self._rows] if files else []


def files_of(images: Images) -> list[Path]:
    """The files of images, in the order of rows; none where they are no files."""
    if isinstance(images, ImageRows):
        return images.files
    return images.paths if isinstance(images, FileImages) else []


def absent(images: Images) -> list[str]:
    """Names of the files that images lack, in the order of rows; each folder is listed once, nothing is read."""
    here: dict[Path, set[str]] = {}
    lost = []
    for path in files_of(images):
        if path.parent not in here:
            here[path.parent] = {entry.name for entry in os.scandir(path.parent)} if path.parent.is_dir() else set()
        if path.name not in here[path.parent]:
            lost.append(path.name)
    return lost


@dataclass(frozen=True)
class Part:
    """One part of a data set (``train``, ``test`` …).

    Attributes:
        name: name of the part.
        ids: row ids, unique within the part.
        images: images by row.
        read_labels: reads complete labels, int8 [N, C]: +1 present, -1 absent, 0 unknown; a fresh array each call.
        read_captions: reads one caption a row, or None where the part has none.
    """

    name: str
    ids: tuple[str, ...]
    images: Images
    read_labels: Callable[[], Labels]
    read_captions: Callable[[], tuple[str, ...]] | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class DataSet:
    """An opened data set.

    Attributes:
        class_names: column order of all labels.
        open_part: opens a part by name.
        parts: names of the parts.
        label_groups: semantic groups of classes, where the data set defines them.
    """

    name: str
    class_names: tuple[str, ...]
    parts: tuple[str, ...]
    open_part: Callable[[str], Part]
    label_groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def part(self, name: str) -> Part:
        """Open one part.

        Raises:
            UserError: there is no such part.
        """
        if name not in self.parts:
            raise UserError(f"data set {self.name} has no part {name!r}; it has {', '.join(self.parts)}")
        return self.open_part(name)


def default_cache() -> Path:
    """Folder for generated data and features: ``LTBENCH_CACHE``, else the platform's cache folder."""
    import platformdirs

    value = os.environ.get("LTBENCH_CACHE")
    return Path(value).expanduser() if value else Path(platformdirs.user_cache_dir("ltbench"))


def default_root() -> Path | None:
    """Folder with data sets that the user already has: ``LTBENCH_DATA``, else none."""
    value = os.environ.get("LTBENCH_DATA")
    return Path(value).expanduser() if value else None


def default_offline() -> bool:
    """Whether the network is out of bounds: ``LTBENCH_OFFLINE`` is set to anything but 0, false or no."""
    return os.environ.get("LTBENCH_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


@dataclass(frozen=True)
class DataRoot:
    """Where data sets may look and write.

    Attributes:
        cache: generated data, downloaded files and features.
        root: what the user already has (``--data-root`` or ``LTBENCH_DATA``).
        reporter: receives progress.
        offline: never touch the network (``--offline`` or ``LTBENCH_OFFLINE``).
        mends: generated data that were harmed are made anew; else they are an error (``ltbench data verify``).
    """

    cache: Path = field(default_factory=default_cache)
    root: Path | None = field(default_factory=default_root)
    reporter: Reporter = SILENT
    offline: bool = field(default_factory=default_offline)
    mends: bool = True

    @property
    def home(self) -> Path:
        """Folder that prepared data sets are put into: ``root`` where the user has one, else one in the cache."""
        return self.root if self.root is not None else self.cache / "data"

    @property
    def places(self) -> tuple[Path, ...]:
        """Folders in which data sets are looked for; the first that has something wins."""
        own = self.cache / "data"
        return (own,) if self.root is None else (self.root, own)

    def find(self, *relative: str) -> Path | None:
        """The first of these paths that exists below one of :attr:`places`, or None.

        Args:
            relative: alternatives with forward slashes (``VOCdevkit/VOC2007``), the usual one first.
        """
        for place in self.places:
            for each in relative:
                if (place / each).exists():
                    return place / each
        return None
