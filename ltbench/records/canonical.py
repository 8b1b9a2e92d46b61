"""One spelling for every value that is hashed: canonical JSON, and hashes over it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

from ltbench.plugin.paths import PATH, holds_path


def canonical_json(value: Any) -> str:
    """JSON text: sorted keys, indent of one space, characters as they are, floats as ``repr``, a newline at the end.

    Raises:
        ValueError: the value holds a number that is not finite.
    """
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def sha256_of(value: Any) -> str:
    """sha256 (hex) of the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value).encode("utf-8")).hexdigest()


def without_paths(text: str) -> str:
    """Replace every absolute path by its last component, for messages that end up in a record."""
    return PATH.sub(lambda found: re.split(r"[/\\]", found[0].rstrip("/\\"))[-1], text)


def find_path(value: Any, where: str = "") -> str | None:
    """Name of the first leaf whose text holds an absolute path, or ``None``."""
    if isinstance(value, str):
        return (where or "value") if holds_path(value) else None
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    for key, item in items:
        # Most leaves are numbers, most keys numbers or plain words: their places are not spelled out.
        plain = isinstance(key, int) or not holds_path(str(key))
        if plain and not isinstance(item, str | dict | list | tuple):
            continue
        inside = f"{where}.{key}" if where else str(key)
        found = find_path(item, inside) if plain else inside
        if found:
            return found
    return None
