"""Files that carry the sha256 of their own content, which is compared whenever they are read.

The first line says so; the content follows. A file is written whole or not at all (``ltbench.plugin.files``), and one
of whose bits any has changed since is never taken for what was written.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

from ltbench.plugin.errors import Damaged
from ltbench.plugin.files import write_with

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
