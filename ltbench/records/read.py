"""Reading records: one that must be right, or all that can be found, with what is wrong with the others."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from ltbench.plugin.errors import UserError
from ltbench.plugin.reading import read_json
from ltbench.records.facts import WITHOUT_PATHS
from ltbench.records.index import WORTH, RecordIndex, Stamp, Summary, default_index
from ltbench.records.record import RunRecord
from ltbench.records.versions import SCHEMA_VERSIONS

RECORD_NAME = "record.json"
RECORDS_FOLDER = "records"
#: Bytes of a record; those of ten thousand classes have a megabyte.
LARGEST = 16 * 2**20


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
    try:
        hint = "ltbench run --overwrite always …"
        document = read_json(path, name=f"record {path}", hint=hint, most=LARGEST)
    except FileNotFoundError as error:
        raise UserError(f"record {path} does not exist", "ltbench list runs") from error
    except OSError as error:
        raise UserError(f"record {path} cannot be read ({error.strerror})", "ltbench list runs") from error
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


def load_record(path: Path, searched: bool = False) -> RunRecord:
    """Read one record.

    Args:
        path: of the file.
        searched: its texts are known to name no file paths, and are not searched for them.

    Raises:
        UserError: as :func:`load_document`, or a field does not fit; the field is named.
    """
    document = load_document(path)
    try:
        return RunRecord.model_validate(document, context=WITHOUT_PATHS if searched else None)
    except ValidationError as error:
        raise UserError(f"record {path}: {field_problems(error)[0]}", f"ltbench verify {path}") from error


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
    for path, place in search.paths:
        try:
            found.records.append(LoadedRecord(path, search.read(path, place)))
        except UserError as error:
            found.problems.append(error)
    search.remember()
    return found


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
            known = search.known.get(place)
            found.summaries.append((path, summary_of(search.read(path, place)) if known is None else known))
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
        known: resolved path → summary.
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
        self.known = {place: summary for place, summary in known.items() if set(summary) == set(SUMMARY)}
        self._read: dict[str, tuple[Stamp, Summary]] = {}

    def read(self, path: Path, place: str) -> RunRecord:
        """Read a file.

        Raises:
            UserError: as :func:`load_record`.
        """
        if self._index is None or place in self.known:
            return load_record(path, searched=place in self.known)
        try:
            stamp = Stamp.of(path)
        except OSError:
            return load_record(path)
        record = load_record(path)
        self._read[place] = (stamp, summary_of(record))
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
    for folder, _, names in os.walk(start):
        place = None
        for name in names:
            if not name.endswith(".json"):
                continue
            path = os.path.join(folder, name)
            if os.path.islink(path):
                resolved = os.path.realpath(path)
            else:
                # Of thousands of files in a folder its own resolved path is asked for once.
                place = os.path.realpath(folder) if place is None else place
                resolved = os.path.join(place, name)
            inside = os.path.basename(os.path.dirname(resolved)) == RECORDS_FOLDER
            if (name == RECORD_NAME or inside) and os.path.isfile(resolved):
                found.append((Path(path), resolved))
    yield from sorted(found)
