"""Texts that hold a file path: records and class names must not."""

from __future__ import annotations

import re

#: Two or more components of an absolute path, a home folder, or a Windows drive.
PATH = re.compile(r"(?<![\w./\\])(?:/[\w.+@~-]+){2,}/?|(?<!\w)~/[\w./+@~-]+|(?<!\w)[A-Za-z]:\\[^\s'\"]+")


def holds_path(text: str) -> bool:
    """Whether a text holds an absolute path, or what reads like one (``/m/0aa11``)."""
    # Every path has a slash or a backslash; the expression is slow to say so.
    return ("/" in text or "\\" in text) and PATH.search(text) is not None
