"""``rerun.json`` of a leaderboard: runs whose logits are not kept, so that training them again is what checks them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ltbench.plugin.errors import UserError
from ltbench.plugin.reading import read_json
from ltbench.records.canonical import canonical_json
from ltbench.records.record import RunRecord

NAME = "rerun.json"


def read_marks(folder: Path) -> dict[str, str]:
    """Read the marks of a leaderboard: sha256 of the record → sha256 of its logits; none without a file.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / NAME
    if not path.exists():
        return {}
    try:
        entries = read_json(path, name=str(path), hint="ltbench leaderboard --mark-rerun")
        return {str(entry["record"]): str(entry["logits"]) for entry in entries}
    except (AttributeError, TypeError, KeyError) as error:
        raise UserError(f"{path} is damaged ({error})", "ltbench leaderboard --mark-rerun") from error


def marks_text(records: Iterable[RunRecord]) -> str:
    """Text of the file for some records, in a fixed order; beside the hashes stands what a reader looks for."""
    entries = [
        {
            "key": record.key,
            "logits": record.logits.sha256,
            "record": record.record_sha256,
            "run": f"{record.task.address} {record.method.name} seed {record.seed}",
        }
        for record in records
        if record.logits is not None
    ]
    return canonical_json(sorted(entries, key=lambda entry: (entry["run"], entry["record"])))


def is_marked(record: RunRecord, folder: Path) -> bool:
    """Whether the leaderboard in a folder lists the run as one to be run again.

    Raises:
        UserError: its list is damaged.
    """
    return record.logits is not None and read_marks(folder).get(record.record_sha256) == record.logits.sha256
