"""Files that are not what they should be: hashes, and why they may differ."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ltbench.plugin.errors import UserError

_LOOKED_AT = 64_000_000
"""Bytes up to which a file is read as a whole to find out what happened to it."""


class WrongFile(UserError):
    """A file that has not the pinned sha256."""


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def likely_cause(path: Path, wanted: str, size: int | None) -> str:
    """Why a file has not the sha256 that it should have, as far as its size and content tell."""
    here = path.stat().st_size
    if here == 0:
        return "it is empty"
    with path.open("rb") as file:
        head = file.read(256).lstrip().lower()
    if head.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS, not the file itself"
    if head.startswith((b"<!doctype html", b"<html")):
        return "it is a web page, e.g. of a login or a proxy, not the file"
    if here <= _LOOKED_AT and wanted in _with_other_lines(path):
        return "its line ends were changed on the way, as Git does on Windows"
    if size is not None and here < size:
        return f"it is cut short ({here} of {size} bytes), or another version"
    if size is not None and here == size:
        return "it has the right size, so it was damaged, or it is another draw or version of the same list"
    return "it is another version of the file" + ("" if size is None else f" ({here} bytes, {size} are right)")


def _with_other_lines(path: Path) -> tuple[str, str]:
    """Hashes of a text with all line ends as Unix writes them, and as Windows does."""
    unix = path.read_bytes().replace(b"\r\n", b"\n")
    return hashlib.sha256(unix).hexdigest(), hashlib.sha256(unix.replace(b"\n", b"\r\n")).hexdigest()
