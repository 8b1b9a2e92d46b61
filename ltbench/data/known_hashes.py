"""Hashes of files that were computed before, by any process: files are read once for them, not in each run.

A hash counts for as long as size and time stamp of the file stay the same. One file a folder remembers them, in the
cache; folders with few and small files are not worth one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final

from filelock import FileLock

from ltbench.plugin.errors import Damaged, UserError
from ltbench.plugin.files import write_atomic
from ltbench.plugin.sealed import read_sealed_json, sealed_document

#: New hashes of a folder from which on they are written down.
WORTH: Final = 256
#: Bytes that new hashes of a folder were read from, from which on they are written down as well.
WORTH_BYTES: Final = 2**28
#: New hashes of a folder after which they are written down while others are still computed.
OFTEN: Final = 8192
#: A file that was touched this lately, in seconds, may be written again within one tick of its time stamp.
FRESH: Final = 2.0

Known = dict[str, tuple[int, int, str]]


@dataclass
class _Folder:
    place: Path
    known: Known
    new: Known = field(default_factory=dict)


_folders: dict[tuple[Path, str], _Folder] = {}
_lock = Lock()


def file_sha256(path: Path, size: int, modified: int, cache: Path) -> str:
    """Hash of a file's bytes, hex.

    Args:
        size: in bytes, as the file system has it now.
        modified: time stamp in ns, as the file system has it now.
        cache: folder in which hashes are remembered.
    """
    with _lock:
        folder = _folder(path.parent, cache)
        found = folder.new.get(path.name) or folder.known.get(path.name)
    if found is not None and found[:2] == (size, modified):
        return found[2]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with _lock:
        folder.new[path.name] = (size, modified, digest)
        if len(folder.new) % OFTEN == 0:
            _write(folder)
    return digest


def remembered(path: Path, cache: Path) -> str | None:
    """The hash that processes take for a file as it is now; None where they would read it.

    Raises:
        OSError: the file cannot be looked at.
    """
    status = path.stat()
    with _lock:
        found = _folder(path.parent, cache).known.get(path.name)
    return found[2] if found is not None and found[:2] == (status.st_size, status.st_mtime_ns) else None


def remember() -> None:
    """Write down what was hashed since; a cache that cannot be written is no error, files are hashed again then."""
    with _lock:
        for folder in _folders.values():
            if len(folder.new) >= WORTH or sum(size for size, _, _ in folder.new.values()) >= WORTH_BYTES:
                _write(folder)


def _folder(parent: Path, cache: Path) -> _Folder:
    key = (cache, str(parent.absolute()))
    if key not in _folders:
        place = cache / "hashes" / f"{hashlib.sha256(key[1].encode()).hexdigest()[:32]}.json"
        _folders[key] = _Folder(place, _read(place))
    return _folders[key]


def _read(place: Path) -> Known:
    try:
        document = read_sealed_json(place, most=2**31)
        return {name: (int(size), int(modified), str(digest)) for name, (size, modified, digest) in document.items()}
    except (OSError, Damaged, ValueError, OverflowError, TypeError, AttributeError):
        return {}


def _write(folder: _Folder) -> None:
    until = (time.time() - FRESH) * 1e9
    settled = {name: entry for name, entry in folder.new.items() if entry[1] < until}
    with contextlib.suppress(OSError, UserError):
        folder.place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.place.with_suffix(".lock")):
            # Another process may have added to it.
            merged = {**_read(folder.place), **settled}
            write_atomic(folder.place, json.dumps(sealed_document(merged), separators=(",", ":")))
        folder.known = merged
        folder.new = {name: entry for name, entry in folder.new.items() if name not in settled}
