"""Errors that a user can act on: one line that names what is wrong, and the next command to type."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class UserError(Exception):
    """Something the user can put right.

    Args:
        message: one line that names what is wrong.
        hint: the next command to type, or what to change; shown on the same line after an arrow.
        details: one line for each of many problems (every bad row of a file), shown above the message.
    """

    def __init__(self, message: str, hint: str = "", details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = tuple(details)

    def __str__(self) -> str:
        return f"{self.message} → {self.hint}" if self.hint else self.message


class UnknownName(UserError):
    """A name that no plugin registered; suggests the nearest known one.

    Args:
        kind: what the name should have been (``task``, ``method``, ``backbone`` …).
        name: what the user typed.
        known: every valid name.
        hint: the command that lists the valid names.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
        suggestion = f"; did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
        super().__init__(f"unknown {kind} {name!r}{suggestion}", hint or f"ltbench list {kind}s")
        self.kind = kind
        self.name = name
        self.close = tuple(close)


class DataMissing(UserError):
    """The files of a data set are not here; what needs none of them can go on without."""


class PluginError(UserError):
    """A plugin that cannot be used: it raises on import, misspells a hook, or claims a taken name."""


class DiskFull(UserError):
    """A disk has no room for what is to be written; another machine's may have."""


class Damaged(UserError):
    """A file whose bytes are not what they have to be.

    Args:
        name: of the file, as people know it.
        damage: what is wrong with its bytes.
        hint: the next command to type, or what to change.
    """

    def __init__(self, name: str, damage: str, hint: str = "") -> None:
        super().__init__(f"{name} is damaged ({damage})", hint)
        self.damage = damage


class Harmed(Damaged):
    """The same of data that ltbench makes itself, so that it can make them anew."""
