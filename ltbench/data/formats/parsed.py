"""Parsed annotation files, kept in the cache as small arrays under the content hash of what they were parsed from.

A file that changed has another hash, so a stale entry cannot be read. Hashes of large files are remembered together
with everything the file system says about a file (size, times of change, inode): a file that was written to, replaced
or moved is hashed again, one that was not is opened at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ltbench.data.base import DataRoot, FileImages
from ltbench.plugin.errors import Damaged, UserError
from ltbench.plugin.files import write_atomic, write_with
from ltbench.plugin.reading import load_npz, read_json

Arrays = Mapping[str, npt.NDArray[Any]]

LARGE = 2**20
"""Bytes from which on a hash is remembered; smaller files are hashed each time."""

SETTLED_NS = 2_000_000_000
"""A file changed less than this before it was hashed may change again without its times showing it."""


def parsed(root: DataRoot, kind: str, sources: Sequence[Path], parse: Callable[[], Arrays]) -> Arrays:
    """Arrays parsed from files, from the cache where the same files were parsed before.

    Args:
        root: its ``cache`` keeps the arrays, its ``reporter`` is told when they cannot be kept.
        kind: what is parsed and by which version of the parser (``coco-labels.1``); part of the key.
        sources: the files that ``parse`` reads.
        parse: reads the files; arrays of objects are not allowed.

    Raises:
        UserError: ``parse`` refuses a file.
    """
    key = hashlib.sha256("\n".join([kind, *(_digest(root, path) for path in sources)]).encode()).hexdigest()
    path = root.cache / "parsed" / kind / f"{key}.npz"
    if path.exists():
        try:
            return load_npz(path)
        except (OSError, Damaged):
            root.reporter.line(f"a cache file of {sources[0].name} is damaged; reading {sources[0].name} again")
    arrays = parse()
    keep: dict[str, Any] = dict(arrays)
    try:
        write_with(path, lambda file: np.savez_compressed(file, **keep))
    except UserError as error:
        # The arrays are good, only the next opening will be slow.
        root.reporter.line(f"what was read from {sources[0].name} is not kept: {error.message}")
    return arrays


def _digest(root: DataRoot, path: Path) -> str:
    """Content hash of a file, remembered in the cache if the file is large."""
    status = path.stat()
    if status.st_size < LARGE:
        return FileImages([path]).sha256(0)
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    note = root.cache / "parsed" / "hashes" / f"{place}.json"
    stamp = _stamp(status)
    try:
        known = read_json(note)
        if known["stamp"] == stamp:
            return str(known["sha256"])
    except (OSError, Damaged, KeyError, TypeError):
        # Nothing is remembered, or what is remembered cannot be read: hash the file.
        pass
    digest = FileImages([path]).sha256(0)
    settled = time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > SETTLED_NS
    if settled and _stamp(path.stat()) == stamp:
        try:
            write_atomic(note, json.dumps({"stamp": stamp, "sha256": digest}))
        except UserError as error:
            root.reporter.line(f"the hash of {path.name} is not kept: {error.message}")
    return digest


def _stamp(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev]
