"""An index of records that were read before, in the cache: what makes thousands of them quick to list.

It is looked at, not believed. An entry counts only while it has its own hash, and its file the size and the time of
change that it had; a file without such an entry is read in full, and a damaged file never gets one. Where a whole
record is wanted, its file is read each time: if its bytes have the hash of those that were read in full, its texts are
not searched again, while every field is validated as ever; with any other hash it is read in full. An index that is
damaged, of another version, locked or not writable is started again or left alone, and records are read as if there
were none.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = "records.sqlite"
#: Of the table and of what is checked before an entry is made.
VERSION = 3
#: So many files are worth an index.
WORTH = 200
#: A file that changed so shortly before it was read may change again within the resolution of its time, nanoseconds.
SETTLED = 2_000_000_000
_WAIT = 5.0

Summary = dict[str, Any]


@dataclass(frozen=True)
class Stamp:
    """What a file must still have for its entry to count."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: str | Path) -> Stamp:
        """Of a file as it is now.

        Raises:
            OSError: it cannot be looked at.
        """
        status = os.stat(path)
        return cls(status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class Entry:
    """What is kept of a file that was read in full and is right.

    Attributes:
        stamp: that it had before it was read.
        sha256: of its bytes.
    """

    stamp: Stamp
    sha256: str
    summary: Summary


class RecordIndex:
    """Entries of files by their resolved path.

    Args:
        path: of the database; made on the first writing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self, paths: Iterable[str]) -> dict[str, Entry]:
        """Entries of those files whose entries still count."""
        wanted = set(paths)
        if not wanted or not self.path.exists():
            return {}
        try:
            with closing(self._open()) as base:
                rows = base.execute("SELECT path, size, mtime_ns, sha256, summary, seal FROM files").fetchall()
            return {
                path: Entry(stamp, sha256, json.loads(summary))
                for path, size, mtime, sha256, summary, seal in rows
                if path in wanted
                if _stands(path, stamp := Stamp(size, mtime)) and seal == _seal(path, size, mtime, sha256, summary)
            }
        except sqlite3.OperationalError:
            return {}  # locked by another process, or of another version
        except (sqlite3.DatabaseError, ValueError, TypeError, OverflowError, RecursionError):
            self._discard()
            return {}

    def add(self, found: Mapping[str, Entry]) -> None:
        """Note files that were read in full and are right."""
        now = time.time_ns()
        plain = [
            (path, entry.stamp.size, entry.stamp.mtime_ns, entry.sha256, json.dumps(entry.summary))
            for path, entry in found.items()
            if now - entry.stamp.mtime_ns > SETTLED
        ]
        rows = [(*row, _seal(*row)) for row in plain]
        if not rows:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._open()) as base, base:
                if base.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                    base.execute("DROP TABLE IF EXISTS files")
                    base.execute(f"PRAGMA user_version = {VERSION}")
                base.execute(
                    "CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, size, mtime_ns, sha256, summary, seal)"
                )
                base.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", rows)
                gone = [(path,) for (path,) in base.execute("SELECT path FROM files") if not os.path.exists(path or "")]
                base.executemany("DELETE FROM files WHERE path = ?", gone)
        except sqlite3.OperationalError:
            return
        except (sqlite3.DatabaseError, TypeError, ValueError, OverflowError):
            # Of damaged pages sqlite reads whatever they give.
            self._discard()
        except OSError:
            return

    def _open(self) -> sqlite3.Connection:
        base = sqlite3.connect(self.path, timeout=_WAIT)
        try:
            known = base.execute("PRAGMA user_version").fetchone()[0]
            if known not in (0, VERSION):
                # Read by nobody, and made anew by the next writing.
                base.execute("DROP TABLE IF EXISTS files")
        except sqlite3.Error:
            base.close()
            raise
        return base

    def _discard(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError:
            return


def _seal(*row: object) -> str:
    """Hash of an entry: sqlite compares none, and a flipped bit would become a score in a list."""
    return hashlib.sha256(repr(row).encode("utf-8", "surrogateescape")).hexdigest()


def _stands(path: str, stamp: Stamp) -> bool:
    try:
        return Stamp.of(path) == stamp
    except OSError:
        return False


def default_index() -> RecordIndex:
    """The index in the cache."""
    from ltbench.data.base import default_cache

    return RecordIndex(default_cache() / NAME)
