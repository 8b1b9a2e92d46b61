"""File names that nearly match: another case, another ending, another Unicode form, a folder more or less."""

from __future__ import annotations

import unicodedata
from functools import cached_property
from pathlib import Path, PurePosixPath


class Names:
    """The files below a folder, looked up once, when the first one is missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def _files(self) -> dict[str, dict[str, str]]:
        kinds: dict[str, dict[str, str]] = {"same": {}, "stem": {}, "base": {}}
        for path in self._folder.rglob("*"):
            if path.is_file():
                file = path.relative_to(self._folder).as_posix()
                plain = _plain(file)
                kinds["same"].setdefault(plain, file)
                kinds["stem"].setdefault(str(PurePosixPath(plain).with_suffix("")), file)
                kinds["base"].setdefault(PurePosixPath(plain).name, file)
        return kinds

    def near(self, file: str) -> str:
        """``; 'a.JPG' is there``, where a file of nearly this name is; empty otherwise."""
        plain = _plain(file)
        wanted = {"same": plain, "stem": str(PurePosixPath(plain).with_suffix("")), "base": PurePosixPath(plain).name}
        for kind, name in wanted.items():
            found = self._files[kind].get(name)
            if found is not None:
                form = ", in another Unicode form" if _composed(found) == _composed(file) else ""
                return f"; {found!r} is there{form}"
        return ""


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _plain(file: str) -> str:
    return unicodedata.normalize("NFKC", file.replace("\\", "/")).casefold()
