"""Pictures that a user names one by one or by the folder, apart from any data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ltbench.data.base import FileImages, load_reduced
from ltbench.data.decode import looks_like_picture
from ltbench.plugin.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

#: Files of these endings are meant as pictures, even where their content is damaged; others are looked into.
SUFFIXES: Final = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)

#: Folders with small copies and notes of systems, which archives and network drives bring along.
_MACHINES: Final = frozenset({"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN"})


@dataclass(frozen=True)
class Picture:
    """A file to look at.

    Attributes:
        path: the file as named, or below the folder that was named.
        place: its name, or its path below that folder.
    """

    path: Path
    place: Path

    def load(self, least: int | None = None) -> Image:
        """Decode as RGB, as images of data sets are.

        Args:
            least: as :func:`~ltbench.data.base.load_reduced` has it; None decodes at full size.

        Raises:
            UserError: it is missing or no whole image; its path is named.
        """
        try:
            return load_reduced(FileImages([self.path]), 0, least)
        except UserError as error:
            why = error.message.removeprefix(f"image {self.path.name} ")
            hint = error.hint.replace(f"replace {self.path.name}", f"replace {self.path}")
            raise UserError(f"image {self.path} {why}", hint) from error


@dataclass(frozen=True)
class Found:
    """What some names stand for.

    Attributes:
        pictures: each file once, those of a folder sorted by path.
        left_out: files in folders that are no pictures.
        problems: one error for each name that stands for nothing.
    """

    pictures: list[Picture]
    left_out: list[Path]
    problems: list[UserError]


def features_among(given: Sequence[Path]) -> Path | None:
    """The file of features, if that is what is named.

    Raises:
        UserError: it is named beside something else.
    """
    files = [path for path in given if path.suffix.lower() == ".npz" and not path.is_dir()]
    if files and len(given) > 1:
        raise UserError(f"{files[0]} is a file of features, which is predicted on alone", f"leave {given[-1]} out")
    return files[0] if files else None


def find_pictures(given: Sequence[Path]) -> Found:
    """Files as named, and all pictures below folders: by their content, or by an ending that only pictures have.

    Hidden files and folders are passed by.
    """
    found: dict[Path, Picture] = {}
    left_out: list[Path] = []
    problems: list[UserError] = []
    for path in given:
        if path.is_dir():
            inside, others = pictures_below(path)
            if not inside:
                problems.append(UserError(f"folder {path} has no images{_of(others)}", f"ls {path}"))
            left_out.extend(others)
            pictures = [Picture(each, each.relative_to(path)) for each in inside]
        elif path.exists():
            pictures = [Picture(path, Path(path.name))]
        else:
            problems.append(UserError(f"image {path} does not exist", f"ls {path.parent}"))
            continue
        for picture in pictures:
            found.setdefault(picture.path.resolve(), picture)
    return Found(list(found.values()), left_out, problems)


def pictures_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Pictures in a folder at any depth, sorted, and other files; what is hidden, or a machine's own, is neither."""
    pictures: list[Path] = []
    others: list[Path] = []
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") or part in _MACHINES for part in path.relative_to(folder).parts)
        if hidden or not path.is_file():
            continue
        kept = path.suffix.lower() in SUFFIXES or looks_like_picture(path)
        (pictures if kept else others).append(path)
    return pictures, others


def _of(others: Sequence[Path]) -> str:
    if not others:
        return ""
    return f" among its {len(others)} files" if len(others) > 1 else "; its one file is none"
