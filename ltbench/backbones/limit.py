"""How much encoded features may take on the disk. Imports no torch."""

from __future__ import annotations

import os
import re

from ltbench.plugin.errors import UserError

LIMIT = "LTBENCH_CACHE_LIMIT"
"""Environment variable: most bytes that one call may add (``20G``, ``500M``, a plain number of bytes)."""

DEFAULT_LIMIT = 50 * 2**30


def limit_bytes() -> int:
    """The limit of ``LTBENCH_CACHE_LIMIT`` in bytes, 50 GiB where it is unset.

    Raises:
        UserError: the value is no size.
    """
    text = os.environ.get(LIMIT, "").strip()
    if not text:
        return DEFAULT_LIMIT
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text, re.IGNORECASE)
    if match is None:
        raise UserError(f"{LIMIT}={text!r} is no size", f"{LIMIT}=20G")
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))


def row_bytes(width: int) -> int:
    """Bytes that a row of the cache takes: float32 numbers, and about a hundred bytes for its key.

    Args:
        width: numbers a row.
    """
    return width * 4 + 100
