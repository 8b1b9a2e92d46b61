"""Reading records: one that must be right, or all that can be found, with what is wrong with the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ltbench.plugin.errors import UserError
from ltbench.plugin.reading import read_json
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


def load_record(path: Path) -> RunRecord:
    """Read one record.

    Raises:
        UserError: as :func:`load_document`, or a field does not fit; the field is named.
    """
    document = load_document(path)
    try:
        return RunRecord.model_validate(document)
    except ValidationError as error:
        raise UserError(f"record {path}: {field_problems(error)[0]}", f"ltbench verify {path}") from error


def field_problems(error: ValidationError) -> list[str]:
    """Problems of a pydantic error, one line each, with the field's name."""
    return [
        f"{'.'.join(str(part) for part in problem['loc']) or 'record'}: {problem['msg']}" for problem in error.errors()
    ]


def all_records(dirs: Iterable[Path]) -> Found:
    """Read every record under some folders, at any depth; problems are collected, not raised.

    A record is a file called ``record.json``, any ``*.json`` in a folder called ``records``, or a file named outright.
    """
    found = Found()
    seen: set[Path] = set()
    for start in dirs:
        if not start.exists():
            found.problems.append(UserError(f"{start} does not exist", "ltbench list runs"))
            continue
        for path in _candidates(start):
            if path.resolve() in seen:
                continue
            seen.add(path.resolve())
            try:
                found.records.append(LoadedRecord(path, load_record(path)))
            except UserError as error:
                found.problems.append(error)
    return found


def _candidates(start: Path) -> Iterator[Path]:
    if start.is_file():
        yield start
        return
    for path in sorted(start.rglob("*.json")):
        if path.is_file() and (path.name == RECORD_NAME or path.resolve().parent.name == RECORDS_FOLDER):
            yield path
