"""What is here and what is missing, told without reading the data."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class DataStatus:
    """State of one data set, or of one part of it.

    Attributes:
        name: data set or part.
        state: ``here``; ``partly``; ``missing`` (something has to be done); ``on demand`` (made by the first run).
        detail: what is missing, one line; empty when all is here.
        bytes: what lies on disk.
        next: the command that mends it; empty when all is well.
    """

    name: str
    state: Literal["here", "partly", "missing", "on demand"]
    detail: str = ""
    bytes: int = 0
    next: str = ""


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder; 0 when it does not exist."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                # A file that goes away while we count is no error.
                continue
    return total
