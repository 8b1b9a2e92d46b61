"""A small row of every registered method is what it was: the same run key, and on the same machine the same logits.

``rows.json`` holds them with the machine they were made on. A change that should move nothing passes this test as it
stands. One that moves rows on purpose writes the file anew, ``python tests/identity/rows.py tests/identity/rows.json``,
and its message says which rows moved and why. On another machine the last bits differ for no fault of the code, so that
logits are compared there by training both revisions: run the script on each and compare the two files. A row that was
made on another machine than the rest has its key alone (``null`` for the logits) until the file is written anew.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ltbench
from identity import rows
from ltbench.plugin.manager import LOCAL_PREFIX

STORED = json.loads((Path(__file__).parent / "rows.json").read_text(encoding="utf-8"))


def shipped() -> list[str]:
    """Names of the registered methods but those of files, which another test of the same process may have opened."""
    return [name for name in ltbench.methods() if not name.startswith(LOCAL_PREFIX)]


def test_every_registered_method_has_a_row() -> None:
    assert set(STORED["rows"]) == set(shipped())


@pytest.mark.slow
@pytest.mark.parametrize("task", rows.TASK_OF_FAMILY.values())
def test_rows_are_what_they_were(task: str, tmp_path: Path) -> None:
    names = [name for name in shipped() if rows.task_of(name) == task]
    assert names
    found = {name: rows.row_of(name, tmp_path) for name in names}
    keys = {name: row["key"] for name, row in found.items()}
    assert keys == {name: STORED["rows"][name]["key"] for name in names}
    if rows.machine() != STORED["machine"]:
        pytest.skip(f"keys are equal; logits were stored on another machine: {STORED['machine']}")
    known = {name: STORED["rows"][name] for name in names if STORED["rows"][name]["logits"] is not None}
    assert {name: found[name] for name in known} == known
