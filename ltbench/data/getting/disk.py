"""The disk that things are brought to: is there room, may it be written, and who writes now."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ltbench.data.base import DataRoot
from ltbench.plugin.errors import DiskFull
from ltbench.plugin.files import explain_os_error

SPARE = 100_000_000
"""Bytes that stay free on a disk."""
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def writable(target: Path, hint: str) -> Iterator[None]:
    """Turn errors of the system while something is written into one line that names the place."""
    try:
        yield
    except OSError as error:
        explained = explain_os_error(error, str(error.filename or target))
        raise type(explained)(explained.message, hint if error.errno in _DENIED else explained.hint) from error


@contextmanager
def locked(target: Path, root: DataRoot) -> Iterator[None]:
    """Let one process at a time work on a file or folder; the others are told and wait."""
    from filelock import FileLock, Timeout

    # Beside the files there is no room for it: their folders have the layout of a mirror and may be used as one.
    folder = root.cache / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{hashlib.sha256(str(target.absolute()).encode()).hexdigest()[:32]}.lock")
    try:
        lock.acquire(timeout=1)
    except Timeout:
        root.reporter.line(f"waiting for another process that prepares {target.name}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def check_room(folder: Path, needed: int, what: str) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        DiskFull: less than ``needed`` bytes, and some to spare, are free.
    """
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE:
        raise DiskFull(
            f"{what} needs {in_words(needed)} on the disk of {folder}, where {in_words(free)} are free",
            "free some space, or name another disk: LTBENCH_CACHE=DIR, --data-root DIR",
        )


def in_words(size: int) -> str:
    """Bytes for people: ``19.3 GB``."""
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
