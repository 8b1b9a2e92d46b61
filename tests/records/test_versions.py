"""Records of every schema version load, and each has the key that its own version's formula gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from ltbench.plugin.manager import registry
from ltbench.records.read import all_records, load_record
from ltbench.records.record import RunRecord, document_sha256, key_of
from ltbench.tasks.registry import resolve
from records import builders as b

BOARDS = Path(__file__).parents[2] / "leaderboards"
DECISIONS = {"decisions": "4" * 64, "corrections": {"right": [1], "wrong": [0], "hidden": 1, "found": 1}}


def test_every_committed_record_loads_and_has_the_key_of_its_version() -> None:
    found = all_records([BOARDS])
    assert found.problems == []
    assert len(found.records) > 800
    for entry in found.records:
        document = json.loads(entry.path.read_text(encoding="utf-8"))
        assert key_of(entry.record) == entry.record.key == document["key"], entry.path
        assert entry.record.to_json() == entry.path.read_text(encoding="utf-8"), entry.path
        assert document_sha256(document) == entry.record.record_sha256, entry.path


def test_the_device_is_in_the_key_from_version_three_on() -> None:
    for version, differ in ((1, False), (2, False), (3, True)):
        rest = DECISIONS if version == 2 else {}
        keys = {b.record(schema_version=version, device=name, **rest).key for name in ("cpu", "cuda", "mps")}
        assert len(keys) == (3 if differ else 1)


def test_boards_stay_within_their_budget() -> None:
    """docs/explanation/metric-contract.md: below 120 MB."""
    assert sum(path.stat().st_size for path in BOARDS.rglob("*") if path.is_file()) < 120e6


def test_versions_say_what_they_hold(tmp_path: Path) -> None:
    new, old = json.loads(b.record().to_json()), json.loads(b.record(schema_version=1).to_json())
    assert new["method"]["code_sha256"] == "e" * 64
    assert "code_sha256" not in old["method"]
    for document, change in (
        (new, {"method": old["method"]}),
        (old, {"method": new["method"]}),
        (new, {"schema_version": 1}),
        (new, {"device": "cuda:0"}),
    ):
        with pytest.raises(ValidationError):
            RunRecord.model_validate({**document, **change})
    path = tmp_path / "record.json"
    path.write_text(json.dumps(new))
    assert load_record(path).schema_version == 3


def test_boards_that_exist_stay_under_the_contract_that_their_rows_were_judged_by() -> None:
    for item in registry().tasks:
        if item.distribution == "ltbench":
            expected = 2 if item.spec.name.startswith("photos-") else 1
            assert {task.contract for task in resolve(item.spec.name)} == {expected}, item.spec.name
