"""Where encoded rows lie: a folder per encoder with immutable shards that every process may add to.

A shard is ``NAME.npy`` (float32 [rows, width]) and ``NAME.json`` (its keys, size and hash). The JSON is written last,
and both are renamed into place, so that a killed process leaves whole shards or none.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from ltbench.data.known_hashes import file_sha256, remember
from ltbench.data.progress import Reporter
from ltbench.plugin.errors import Damaged, UserError
from ltbench.plugin.files import explain_os_error, remove_leftovers, write_atomic
from ltbench.plugin.reading import load_npy, read_json
from ltbench.plugin.sealed import read_sealed_json, sealed_document

SCHEMA = 1


@dataclass(frozen=True)
class Share:
    """One of several parts of some rows, dealt in whole batches.

    Attributes:
        number: from 1 on.
        of: how many parts there are.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Share:
        """``3/8`` → the third of eight.

        Raises:
            UserError: it is none.
        """
        number, _, of = text.partition("/")
        if number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of):
            return cls(int(number), int(of))
        raise UserError(f"{text!r} is no share like 1/8 or 8/8", "--shard 1/8")

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@dataclass
class Index:
    """What a folder holds.

    Attributes:
        shards: sound shards, opened as memory maps.
        where: key of a row → (number of its shard, row in the shard).
        damaged: names of shards whose bytes are not what was written.
    """

    shards: list[npt.NDArray[np.float32]] = field(default_factory=list)
    where: dict[str, tuple[int, int]] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)


class ShardFolder:
    """The rows of one encoder.

    Args:
        folder: where they lie.
        identity: everything the rows depend on besides image and view; written down and compared.
        reporter: told about repairs and waiting.
    """

    def __init__(self, folder: Path, identity: dict[str, Any], reporter: Reporter) -> None:
        self.folder = folder
        self.identity = {"schema": SCHEMA, **identity}
        self.reporter = reporter

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for writing; a second process waits here and then finds the rows. A crash releases it.

        Processes that encode shares of some rows (:meth:`claimed`) are waited for.
        """
        with self._held_after(friends=frozenset()):
            yield

    @contextmanager
    def claimed(self, share: Share, rows: Iterable[str]) -> Iterator[None]:
        """Write one share of some rows, beside processes that write the others; the folder is held for set-up only.

        A process that encodes the same share, or cuts the folder's rows in another way, is waited for.

        Args:
            rows: keys of all rows, of which the share is one part.
        """
        digest = hashlib.sha256("".join(rows).encode()).hexdigest()[:16]
        names = {number: f"share-{digest}-{share.of}-{number}.claim" for number in range(1, share.of + 1)}
        mine = names.pop(share.number)
        with self._held_after(friends=frozenset(names.values())):
            self.prepare(leftovers=False)
            claim = FileLock(self.folder / mine)
            try:
                claim.acquire()
            except OSError as error:
                raise explain_os_error(error, "the feature cache") from error
        try:
            yield
        finally:
            claim.release()

    @contextmanager
    def _held_after(self, friends: Container[str]) -> Iterator[None]:
        """Hold the folder when nobody encodes shares but friends; it is free for those while others are waited for."""
        while True:
            with self._held():
                busy = next((path for path in self._claims() if path.name not in friends and _taken(path)), None)
                if busy is None:
                    yield
                    return
            self.reporter.line("feature cache: waiting for processes that encode shares with the same backbone")
            with FileLock(busy):
                pass

    def _claims(self) -> list[Path]:
        return sorted(self.folder.glob("share-*.claim"))

    @contextmanager
    def _held(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / "lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                self.reporter.line("feature cache: waiting for another process that encodes with the same backbone")
                lock.acquire()
        except OSError as error:
            raise explain_os_error(error, "the feature cache") from error
        try:
            yield
        finally:
            lock.release()

    def prepare(self, leftovers: bool = True) -> None:
        """Write down the identity; clear what another schema left behind. Call it under the lock.

        Args:
            leftovers: also clear what killed processes were writing; not while others write shares.
        """
        if leftovers:
            remove_leftovers(self.folder)
        found = self._identity_found()
        if found == self.identity:
            return
        if found is not None or any(self.folder.glob("*.npy")):
            schema = found.get("schema") if isinstance(found, dict) else None
            was = "unreadable" if schema is None else f"of schema {schema}, this version writes {SCHEMA}"
            self.reporter.line(f"feature cache: {self.folder.name} is {was}; its rows are encoded again")
            for path in [*self.folder.glob("*.json"), *self.folder.glob("*.npy")]:
                path.unlink(missing_ok=True)
        write_atomic(self.folder / "encoder.json", json.dumps(self.identity, sort_keys=True, indent=1))

    def note(self, name: str) -> int | None:
        """A number noted earlier (regions an image), or None."""
        try:
            return int((self.folder / f"{name}.note").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def set_note(self, name: str, value: int) -> None:
        """Note a number for later runs."""
        write_atomic(self.folder / f"{name}.note", str(value))

    def read(self, width: int, wanted: Container[str], repair: bool = False) -> Index:
        """Open the sound shards that hold wanted rows, after comparing their bytes with what was written.

        The bytes of many shards are read for that once, by whichever process comes first, and again when size or time
        stamp of a shard have changed since.

        Args:
            width: numbers a row.
            wanted: keys of rows.
            repair: also delete damaged shards; only under the lock.
        """
        index = Index()
        if self._identity_found() != self.identity:
            return index
        for path in sorted(self.folder.glob("shard-*.json")):
            opened = _open_shard(path, width, wanted, self.folder)
            if opened == "unwanted":
                continue
            if opened == "damaged":
                index.damaged.append(path.stem)
                continue
            keys, array = opened
            index.where.update((key, (len(index.shards), row)) for row, key in enumerate(keys))
            index.shards.append(array)
        remember()
        if repair:
            for name in index.damaged:
                self.reporter.line(f"feature cache: {name} is damaged; its rows are encoded again")
                (self.folder / f"{name}.json").unlink(missing_ok=True)
                (self.folder / f"{name}.npy").unlink(missing_ok=True)
        return index

    def append(self, keys: Sequence[str], rows: npt.NDArray[np.float32]) -> None:
        """Add rows float32 [n, width] under their keys. Call it under the lock.

        Raises:
            UserError: the disk is full or the folder read-only; what was written before stays.
        """
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(rows, dtype=np.float32))
        data = buffer.getvalue()
        digest = hashlib.sha256(data).hexdigest()
        name = f"shard-{hashlib.sha256(''.join(keys).encode()).hexdigest()[:20]}"
        entry = {"schema": SCHEMA, "bytes": len(data), "sha256": digest, "keys": list(keys)}
        write_atomic(self.folder / f"{name}.npy", data)
        write_atomic(self.folder / f"{name}.json", json.dumps(sealed_document(entry)))

    def _identity_found(self) -> Any:
        try:
            return read_json(self.folder / "encoder.json")
        except FileNotFoundError:
            return None
        except (OSError, Damaged):
            return {}


def _taken(claim: Path) -> bool:
    """Whether a process, which may be this one, has a share claimed."""
    lock = FileLock(claim)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


_Opened = tuple[list[str], npt.NDArray[np.float32]]


def _open_shard(
    path: Path, width: int, wanted: Container[str], known: Path
) -> _Opened | Literal["damaged", "unwanted"]:
    """Keys and rows of a shard that holds wanted rows and is what was written; hashes are remembered in ``known``."""
    data = path.with_suffix(".npy")
    try:
        entry = read_sealed_json(path, most=2**30)
        keys: list[str] = entry["keys"]
        if not all(isinstance(key, str) for key in keys):
            return "damaged"
        if not any(key in wanted for key in keys):
            return "unwanted"
        status = data.stat()
        if status.st_size != entry["bytes"]:
            return "damaged"
        if file_sha256(data, status.st_size, status.st_mtime_ns, known) != entry["sha256"]:
            return "damaged"
        array: npt.NDArray[np.float32] = load_npy(data, mapped=True)
    except FileNotFoundError:
        return "damaged"
    except (Damaged, KeyError, TypeError):
        return "damaged"
    if array.shape != (len(keys), width) or array.dtype != np.float32:
        return "damaged"
    return keys, array
