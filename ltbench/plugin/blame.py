"""Where in an author's files an error arose: the last frame that is neither Python's, ltbench's nor a library's."""

from __future__ import annotations

import re
import sysconfig
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parents[1].resolve()
_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+), in (?P<function>.+)$', re.M)


@dataclass(frozen=True)
class Place:
    """A line of a file."""

    file: Path
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.shown}, line {self.line}, in {self.function}"

    @property
    def shown(self) -> Path:
        """The file as seen from here, where it lies below; else in full."""
        try:
            return self.file.resolve().relative_to(Path.cwd())
        except ValueError:
            return self.file


def place_of(error: BaseException, package: str = "") -> Place | None:
    """The author's line that an error came from; None where no frame is an author's.

    Args:
        package: top-level package of the author, whose files count wherever they lie.
    """
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return Place(Path(error.filename), error.lineno, "the file")
    frames = traceback.extract_tb(error.__traceback__)
    return _last([Place(Path(f.filename), f.lineno or 0, f.name) for f in frames], package)


def place_in(text: str, package: str = "") -> Place | None:
    """The same for a traceback that was written down."""
    found = [Place(Path(m["file"]), int(m["line"]), m["function"]) for m in _FRAME.finditer(text)]
    return _last(found, package)


def _last(places: Sequence[Place], package: str) -> Place | None:
    return next((place for place in reversed(places) if _is_authors(place.file, package)), None)


def _is_authors(file: Path, package: str) -> bool:
    if not file.is_absolute() or not file.exists():
        return False
    resolved = file.resolve()
    if resolved.is_relative_to(_HERE):
        return False
    libraries = [Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib", "platstdlib")]
    inside = next((resolved.relative_to(folder) for folder in libraries if resolved.is_relative_to(folder)), None)
    # An installed plugin lies among the libraries; its package alone is its author's.
    return inside is None or package == inside.parts[0].removesuffix(".py")
