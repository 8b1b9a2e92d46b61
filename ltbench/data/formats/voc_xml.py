"""Objects of a Pascal VOC annotation, read by a parser that expands nothing.

A document type declaration is refused before anything in it takes effect, so neither entities that grow (the "billion
laughs") nor external ones can do harm. Genuine annotations have none.
"""

from __future__ import annotations

from pathlib import Path
from xml.parsers import expat

from ltbench.plugin.errors import UserError

LARGEST = 16 * 2**20
"""Bytes that an annotation may have; genuine ones stay below 100 kB."""


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

    def text(self, data: str) -> None:
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
    if path.stat().st_size > LARGEST:
        raise UserError(f"{path.name} is too large for an annotation")
    content = path.read_bytes()
    collected = _Objects()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = collected.start
    parser.EndElementHandler = collected.end
    parser.CharacterDataHandler = collected.text
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise UserError(f"{path.name} is broken XML ({error})") from error
    except (ValueError, LookupError) as error:
        # An encoding that nobody knows is a LookupError.
        raise UserError(f"{path.name} cannot be used ({error})") from error
    if collected.root != "annotation":
        raise UserError(f"{path.name} is no VOC annotation (its root is <{collected.root}>)")
    return collected.found


def _refuse(name: str, system: str | None, public: str | None, internal: bool) -> None:
    raise ValueError("it declares a document type, which no VOC annotation does")
