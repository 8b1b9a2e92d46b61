"""File names of a table as paths below the folder of images."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Final

from ltbench.plugin.names import leads_out, shown

_ENDINGS: Final = tuple(
    form for ending in (".jpg", ".jpeg", ".png", ".webp", ".tif", ".bmp") for form in (ending, ending.upper())
)
#: Characters of a path below the folder of images.
LONGEST: Final = 1000


class FilePaths:
    """Finds the files that a table means, and counts what it left out or added to their names.

    Args:
        images: folder of images; None takes names as they are, as the keys of a feature file.
    """

    def __init__(self, images: Path | None) -> None:
        self._images = images
        self._changed: Counter[str] = Counter()
        self._strip = 0

    def below(self, text: str, problems: list[str]) -> str:
        """One path below the folder of images, with forward slashes; what is wrong with it goes to ``problems``."""
        if not text:
            problems.append("empty file name")
            return ""
        if len(text) > LONGEST or not text.isprintable():
            problems.append(f"file {shown(text)} is not a path below the folder of images")
            return text
        plain = text.replace("\\", "/") if self._images is not None else text
        path = PurePosixPath(plain)
        outside = leads_out(plain)
        if self._images is None or (not outside and (self._images / path).is_file()):
            if outside:
                problems.append(f"file {text!r} is not a path below the folder of images")
            return str(path)
        found = self._elsewhere(self._images, path)
        if found is None and outside:
            problems.append(f"file {text!r} is not a path below the folder of images")
        return str(path) if found is None else found

    def notes(self) -> list[str]:
        """What was changed, one line a kind."""
        return [f"{how} {count} file name{'s' * (count > 1)}" for how, count in self._changed.items()]

    def _elsewhere(self, images: Path, path: PurePosixPath) -> str | None:
        """The path without its first folders, or with an ending, where such a file is."""
        parts = path.parts
        # What helped with the last one is tried first: most names of a table begin alike.
        for strip in dict.fromkeys((self._strip, *range(len(parts)))):
            if strip >= len(parts) or any(part in ("..", "/") for part in parts[strip:]):
                continue
            rest = PurePosixPath(*parts[strip:])
            for ending in ("",) if rest.suffix else ("", *_ENDINGS):
                candidate = f"{rest}{ending}"
                if (images / candidate).is_file():
                    self._strip = strip
                    if strip:
                        self._changed[f"{str(PurePosixPath(*parts[:strip])) + '/'!r} is left out of"] += 1
                    if ending:
                        self._changed[f"{ending!r} is added to"] += 1
                    return candidate
        return None
