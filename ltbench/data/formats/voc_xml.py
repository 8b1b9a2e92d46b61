"""Objects of a Pascal VOC annotation, read by a parser that expands nothing and refuses document types."""

from __future__ import annotations

from pathlib import Path

from ltbench.plugin.errors import UserError
from ltbench.plugin.reading import read_xml


class _Objects:
    """Collects ``annotation/object/{name,difficult}``; parts of an object have names of their own and are passed by."""

    def __init__(self) -> None:
        self.found: list[tuple[str, bool]] = []
        self.root = ""
        self._path: list[str] = []
        self._text: list[str] = []
        self._name: str | None = None
        self._difficult = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.root = self.root or tag
        self._path.append(tag)
        self._text.clear()
        if self._path == ["annotation", "object"]:
            self._name, self._difficult = None, False

    def data(self, data: str) -> None:
        self._text.append(data)

    def end(self, tag: str) -> None:
        value = "".join(self._text).strip()
        self._text.clear()
        if self._path == ["annotation", "object", "name"]:
            self._name = value
        elif self._path == ["annotation", "object", "difficult"]:
            self._difficult = value not in ("", "0")
        elif self._path == ["annotation", "object"]:
            if not self._name:
                raise ValueError("an object without a name")
            self.found.append((self._name, self._difficult))
        self._path.pop()


def read_objects(path: Path) -> list[tuple[str, bool]]:
    """Name and "difficult" of every object, in the order of the file.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: the file is broken, declares a document type, or is no VOC annotation; it is named.
    """
    collected = _Objects()
    read_xml(path, collected)
    if collected.root != "annotation":
        raise UserError(f"{path.name} is no VOC annotation (its root is <{collected.root}>)")
    return collected.found
