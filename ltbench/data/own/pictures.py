"""Pictures that a user names one by one or by the folder, apart from any data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ltbench.data.base import FileImages
from ltbench.plugin.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES: Final = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True)
class Picture:
    """A file to look at.

    Attributes:
        path: the file as named, or below the folder that was named.
        place: its name, or its path below that folder.
    """

    path: Path
    place: Path

    def load(self) -> Image:
        """Decode as RGB, as images of data sets are.

        Raises:
            UserError: it is missing or no whole image; its path is named.
        """
        from PIL.Image import DecompressionBombError

        try:
            return FileImages([self.path]).load(0)
        except UserError as error:
            why = error.message.removeprefix(f"image {self.path.name} ")
            raise UserError(f"image {self.path} {why}", f"replace {self.path}") from error
        except DecompressionBombError as error:
            raise UserError(f"image {self.path} cannot be decoded ({error})", f"replace {self.path}") from error


def find_pictures(given: Sequence[Path]) -> tuple[list[Picture], list[UserError]]:
    """Files as named, and all images below folders, each once, folders sorted by path.

    Returns:
        Pictures, and one error for each name that stands for none.
    """
    found: dict[Path, Picture] = {}
    problems: list[UserError] = []
    for path in given:
        if path.is_dir():
            inside = [each for each in sorted(path.rglob("*")) if _is_picture(each, path)]
            if not inside:
                kinds = ", ".join(sorted(SUFFIXES))
                problems.append(UserError(f"folder {path} has no images ({kinds})", f"ls {path}"))
            pictures = [Picture(each, each.relative_to(path)) for each in inside]
        elif path.exists():
            pictures = [Picture(path, Path(path.name))]
        else:
            problems.append(UserError(f"image {path} does not exist", f"ls {path.parent}"))
            continue
        for picture in pictures:
            found.setdefault(picture.path.resolve(), picture)
    return list(found.values()), problems


def _is_picture(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix.lower() in SUFFIXES and not hidden and path.is_file()
