"""Parsed annotation files, kept in the cache as small arrays under the content hash of what they were parsed from.

Hashing a COCO-sized file takes half a second, parsing it several; a file that changed has another hash, so a stale
entry cannot be read.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ltbench.data.base import DataRoot, FileImages
from ltbench.plugin.errors import UserError
from ltbench.plugin.files import write_with

Arrays = Mapping[str, npt.NDArray[Any]]


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
    digests = FileImages(sources)
    key = hashlib.sha256("\n".join([kind, *(digests.sha256(row) for row in range(len(sources)))]).encode()).hexdigest()
    path = root.cache / "parsed" / kind / f"{key}.npz"
    if path.exists():
        try:
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            root.reporter.line(f"a cache file of {sources[0].name} is damaged; reading {sources[0].name} again")
    arrays = parse()
    keep: dict[str, Any] = dict(arrays)
    try:
        write_with(path, lambda file: np.savez_compressed(file, **keep))
    except UserError as error:
        # The arrays are good, only the next opening will be slow.
        root.reporter.line(f"what was read from {sources[0].name} is not kept: {error.message}")
    return arrays
