"""Records altered as somebody would who knows their hashes, and what verifying says of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ltbench.engine.checking import Places, check
from ltbench.records.canonical import canonical_json
from ltbench.records.record import RunContent, document_sha256, key_of
from ltbench.records.verify import VerifyReport

Change = Callable[[dict[str, Any]], None]
LEADERBOARDS = Path(__file__).resolve().parents[2] / "leaderboards"


def forge(folder: Path, change: Change, key: bool = True) -> Path:
    """Alter a record as somebody would who knows its hashes: the key and the record's own hash fit again."""
    path = folder / "record.json"
    document = json.loads(path.read_text())
    change(document)
    if key:
        document["key"] = key_of(RunContent.model_validate({k: v for k, v in document.items() if k != "record_sha256"}))
    document["record_sha256"] = document_sha256(document)
    path.write_text(canonical_json(document))
    return path


def verified(path: Path) -> VerifyReport:
    return check(path, Places())


def put(*where: str, value: Any) -> Change:
    """Change one leaf of a record."""

    def change(document: dict[str, Any]) -> None:
        holder = document
        for name in where[:-1]:
            holder = holder[name]
        holder[where[-1]] = value

    return change
