"""Names that become part of a path, and the one check that a path stays below its root."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator

from ltbench.plugin.errors import UserError

#: Bytes in UTF-8 of a name that is one part of a path, and of such a part, which may join several.
LONGEST, LONGEST_PART = 100, 240
_DRIVE: Final = re.compile(r"[A-Za-z]:/")
#: Bytes of a name that is no part of a path.
LONGEST_LABEL = 300


def name_problem(text: str, longest: int = LONGEST) -> str:
    """Why a text cannot be the name of one file or folder; empty when it can."""
    problem = label_problem(text, longest)
    if problem:
        return problem
    if text in (".", "..") or "/" in text or "\\" in text:
        return "it is no single part of a path"
    return ""


def label_problem(text: str, longest: int = LONGEST_LABEL) -> str:
    """Why a text cannot name something in one line; empty when it can."""
    if not text.strip():
        return "it is empty"
    if not text.isprintable():
        odd = next(letter for letter in text if not letter.isprintable())
        return f"it has the character {odd!a}, which cannot be printed"
    size = len(text.encode("utf-8"))
    return f"it has {size} bytes, {longest} are the most" if size > longest else ""


def _name(text: str) -> str:
    if problem := name_problem(text):
        raise ValueError(f"{shown(text)} is no name: {problem}")
    return text


def _label(text: str) -> str:
    if problem := label_problem(text):
        raise ValueError(f"{shown(text)} is no name: {problem}")
    return text


#: One part of a path: printable, at most 100 bytes.
Name = Annotated[str, AfterValidator(_name)]
#: Printable, in one line, at most 300 bytes; no part of a path.
Label = Annotated[str, AfterValidator(_label)]


def shown(text: str) -> str:
    """A name of anybody's making for a message: escaped, and cut where it is long."""
    return ascii(text) if len(text) <= 60 else f"{text[:60]!a}…"


def leads_out(path: str) -> bool:
    """Whether a path with forward slashes would lie elsewhere than below the folder that it is joined to.

    Links aside, which :func:`below` follows.
    """
    return path.startswith("/") or ".." in path.split("/") or "\0" in path or _DRIVE.match(path) is not None


def below(root: Path, *parts: str) -> Path:
    """A path below a folder.

    Args:
        root: the folder; need not exist.
        parts: names, each of one part of the path.

    Raises:
        UserError: a part is no name, or the path would lie elsewhere.
    """
    for part in parts:
        if problem := name_problem(part, LONGEST_PART):
            raise UserError(f"{shown(part)} cannot name a file or folder: {problem}", "give it another name")
    path = root.joinpath(*parts)
    if not path.resolve().is_relative_to(root.resolve()):
        raise UserError(f"{path} leads out of {root}", f"remove the link in {root}")
    return path
