"""Files that carry the sha256 of their own content, which is compared whenever they are read.

The first line says so; the content follows. JSON that people read has it as one more field. A file is written whole or
not at all (``ltbench.plugin.files``), and one of whose bits any has changed since is never taken for what was written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from ltbench.plugin.errors import Damaged
from ltbench.plugin.files import write_atomic, write_with
from ltbench.plugin.reading import LARGEST_JSON, read_json

_MARK = b"ltbench sealed sha256 "
_HEAD = len(_MARK) + 64 + 1


def write_sealed(path: Path, content: bytes) -> None:
    """Write a file with its hash, atomically.

    Raises:
        UserError: it cannot be written; the old file, if any, is intact.
    """
    head = _MARK + hashlib.sha256(content).hexdigest().encode("ascii") + b"\n"

    def write(file: BinaryIO) -> None:
        file.write(head)
        file.write(content)

    write_with(path, write)


def read_sealed(path: Path) -> bytes:
    """The content of a file, once its hash is compared.

    Raises:
        Damaged: it is not what was written, or was never sealed.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
        if len(head) != _HEAD or not head.startswith(_MARK) or not head.endswith(b"\n"):
            raise Damaged(path.name, "it does not begin with a hash of its content")
        content = file.read()
    if hashlib.sha256(content).hexdigest().encode("ascii") != head[len(_MARK) : -1]:
        raise Damaged(path.name, "its content has another sha256 than when it was written")
    return content


#: The field of a document that holds the hash of all others.
FIELD: Final = "seal"


def sealed_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON document with the hash of its content as one more field."""
    # As it will be read: keys of texts, lists for tuples.
    plain: dict[str, Any] = json.loads(json.dumps(document))
    return {**plain, FIELD: document_sha256(plain)}


def document_sha256(document: Mapping[str, Any]) -> str:
    """sha256 (hex) of all fields of a JSON document but for the one that holds it."""
    others = {name: value for name, value in document.items() if name != FIELD}
    return hashlib.sha256(json.dumps(others, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def write_sealed_json(path: Path, document: Mapping[str, Any], *, sort: bool = False) -> None:
    """Write a JSON object with the hash of its content, atomically.

    Raises:
        UserError: it cannot be written; the old file, if any, is intact.
    """
    write_atomic(path, json.dumps(sealed_document(document), indent=1, sort_keys=sort) + "\n")


def read_sealed_json(path: Path, *, hint: str = "", most: int = LARGEST_JSON) -> dict[str, Any]:
    """The JSON object of a file, once its hash is compared. One without a hash is of an older ltbench, and is taken.

    Raises:
        Damaged: it is no such file, or not what was written.
        OSError: it cannot be read.
    """
    document = read_json(path, hint=hint, most=most)
    if not isinstance(document, dict):
        raise Damaged(path.name, "it is no object", hint)
    if FIELD in document and document.pop(FIELD) != document_sha256(document):
        raise Damaged(path.name, "its content has another sha256 than when it was written", hint)
    return document
