"""Reading records: one that must be right, or all that can be found, with what is wrong with the others."""

from __future__ import annotations

import gc
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from ltbench.plugin.errors import UserError
from ltbench.plugin.reading import parse_json, read_content
from ltbench.records.facts import SEEN_BEFORE
from ltbench.records.index import WORTH, Entry, RecordIndex, Stamp, Summary, default_index
from ltbench.records.record import RunRecord
from ltbench.records.versions import SCHEMA_VERSIONS

RECORD_NAME = "record.json"
RECORDS_FOLDER = "records"
#: Bytes of a record; those of ten thousand classes have a megabyte.
LARGEST = 16 * 2**20
_HINT = "ltbench run --overwrite always …"


@dataclass(frozen=True)
class LoadedRecord:
    """A record and where it lies."""

    path: Path
    record: RunRecord


@dataclass
class Found:
    """What a search found: records in order of their path, and one error per unreadable file."""

    records: list[LoadedRecord] = field(default_factory=list)
    problems: list[UserError] = field(default_factory=list)


def load_document(path: Path) -> dict[str, Any]:
    """Read a record as plain JSON and check its schema version, nothing else.

    Raises:
        UserError: the file is missing, is no JSON, is no record, or has another schema version.
    """
    return _document(path, _content(path))


def load_record(path: Path) -> RunRecord:
    """Read one record.

    Raises:
        UserError: as :func:`load_document`, or a field does not fit; the field is named.
    """
    return _record(path, _content(path))


def _content(path: Path) -> bytes:
    try:
        return read_content(path, name=f"record {path}", hint=_HINT, most=LARGEST)
    except FileNotFoundError as error:
        raise UserError(f"record {path} does not exist", "ltbench list runs") from error
    except OSError as error:
        raise UserError(f"record {path} cannot be read ({error.strerror})", "ltbench list runs") from error


def _document(path: Path, content: bytes) -> dict[str, Any]:
    document = parse_json(content, name=f"record {path}", hint=_HINT)
    if not isinstance(document, dict) or "schema_version" not in document:
        raise UserError(f"{path} is no record", "ltbench list runs")
    version = document["schema_version"]
    if isinstance(version, bool) or not isinstance(version, int) or version not in SCHEMA_VERSIONS:
        environment = document.get("environment")
        writer = environment.get("ltbench") if isinstance(environment, dict) else None
        hint = f"pip install ltbench=={writer}" if isinstance(writer, str) else "pip install --upgrade ltbench"
        *others, last = (str(known) for known in SCHEMA_VERSIONS)
        reads = f"{', '.join(others)} and {last}"
        raise UserError(f"record {path} has schema {version!r}, this ltbench reads {reads}", hint)
    return document


def _record(path: Path, content: bytes) -> RunRecord:
    try:
        return RunRecord.model_validate(_document(path, content))
    except ValidationError as error:
        raise UserError(f"record {path}: {field_problems(error)[0]}", f"ltbench verify {path}") from error


def _seen_before(content: bytes) -> RunRecord | None:
    """The record of bytes that were read in full before; None where that fails after all, and they are read so again.

    Every field is validated here too. What is saved is the search of all texts, and a parse in Python.
    """
    try:
        return RunRecord.model_validate_json(content, context=SEEN_BEFORE)
    except ValidationError:
        return None


def field_problems(error: ValidationError) -> list[str]:
    """Problems of a pydantic error, one line each, with the field's name."""
    return [
        f"{'.'.join(str(part) for part in problem['loc']) or 'record'}: {problem['msg']}" for problem in error.errors()
    ]


def all_records(dirs: Iterable[Path], index: RecordIndex | None = None) -> Found:
    """Read every record under some folders, at any depth; problems are collected, not raised.

    A record is a file called ``record.json``, any ``*.json`` in a folder called ``records``, or a file named outright.

    Args:
        dirs: folders, or files.
        index: of files that were read before; None takes that of the cache, where there are many files.
    """
    search = _Search(dirs, index)
    found = Found(problems=search.problems)
    with _without_collections():
        for path, place in search.paths:
            try:
                found.records.append(LoadedRecord(path, search.read(path, place)))
            except UserError as error:
                found.problems.append(error)
    search.remember()
    return found


@contextmanager
def _without_collections() -> Iterator[None]:
    """No search for circles of objects meanwhile: records make none, and thousands of them are looked through in vain
    again and again, which takes a quarter of the time."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


@dataclass
class Listed:
    """What a search found in few words: the summary of each record with its place, and one error per bad file."""

    summaries: list[tuple[Path, Summary]] = field(default_factory=list)
    problems: list[UserError] = field(default_factory=list)


def all_summaries(dirs: Iterable[Path], index: RecordIndex | None = None) -> Listed:
    """The same in few words, see :func:`summary_of`; a file that the index knows and that has not changed is not read.

    Args:
        dirs: as for :func:`all_records`, like ``index``.
    """
    search = _Search(dirs, index)
    found = Listed(problems=search.problems)
    for path, place in search.paths:
        try:
            found.summaries.append((path, search.summary(path, place)))
        except UserError as error:
            found.problems.append(error)
    search.remember()
    return found


SUMMARY: Final = (
    "task", "task_version", "method", "variant", "backbone", "seed", "attempt", "status", "metric", "score", "created",
    "key",
)  # fmt: skip
"""What :func:`summary_of` states."""


def summary_of(record: RunRecord) -> Summary:
    """A record in the words of ``ltbench list runs``; ``score`` is the headline over all classes, percent."""
    task, method = record.task, record.method
    return {
        "task": task.address,
        "task_version": task.version,
        "method": method.name,
        "variant": method.variant,
        "backbone": record.backbone.name,
        "seed": record.seed,
        "attempt": record.attempt,
        "status": record.status,
        "metric": task.headline,
        "score": record.scores.get(task.headline, {}).get("total"),
        "created": record.created,
        "key": record.key,
    }


class _Search:
    """Files that may be records, each once, and what the index knows of them.

    Attributes:
        paths: as found, and resolved.
        problems: folders that do not exist.
    """

    def __init__(self, dirs: Iterable[Path], index: RecordIndex | None) -> None:
        self.problems: list[UserError] = []
        places: dict[str, Path] = {}
        for start in dirs:
            if not start.exists():
                self.problems.append(UserError(f"{start} does not exist", "ltbench list runs"))
                continue
            for path, place in _candidates(start):
                places.setdefault(place, path)
        self.paths = [(path, place) for place, path in places.items()]
        self._index = default_index() if index is None and len(places) >= WORTH else index
        known = self._index.entries(places) if self._index is not None else {}
        self._known = {place: entry for place, entry in known.items() if set(entry.summary) == set(SUMMARY)}
        self._read: dict[str, Entry] = {}

    def summary(self, path: Path, place: str) -> Summary:
        """The summary of a file, which is read where the index does not know it.

        Raises:
            UserError: as :func:`load_record`.
        """
        known = self._known.get(place)
        return summary_of(self.read(path, place)) if known is None else known.summary

    def read(self, path: Path, place: str) -> RunRecord:
        """Read a file; in full, unless its bytes are those that were read in full before.

        Raises:
            UserError: as :func:`load_record`.
        """
        if self._index is None:
            return load_record(path)
        try:
            stamp = Stamp.of(path)
        except OSError:
            return load_record(path)
        content = _content(path)
        sha256 = hashlib.sha256(content).hexdigest()
        known = self._known.get(place)
        if known is not None and known.sha256 == sha256:
            record = _seen_before(content)
            if record is not None:
                return record
        record = _record(path, content)
        self._read[place] = Entry(stamp, sha256, summary_of(record))
        return record

    def remember(self) -> None:
        """Note in the index what was read in full and is right."""
        if self._index is not None:
            self._index.add(self._read)


def _candidates(start: Path) -> Iterator[tuple[Path, str]]:
    """Files that may be records with their resolved paths, in order."""
    if start.is_file():
        yield start, str(start.resolve())
        return
    found = []
    # Links to folders are not followed, so a folder's resolved path is its place below the first one's: of thousands of
    # folders none is resolved by itself.
    top, origin = os.fspath(start), os.path.realpath(start)
    for folder, _, names in os.walk(top):
        place = os.path.join(origin, folder[len(top) :].lstrip(os.sep))
        for name in names:
            if not name.endswith(".json"):
                continue
            path = os.path.join(folder, name)
            resolved = os.path.realpath(path) if os.path.islink(path) else os.path.join(place, name)
            inside = os.path.basename(os.path.dirname(resolved)) == RECORDS_FOLDER
            if (name == RECORD_NAME or inside) and os.path.isfile(resolved):
                found.append((Path(path), resolved))
    yield from sorted(found)
