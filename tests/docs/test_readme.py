"""The README's tables are what is registered, and it says the same as the files it speaks of."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))

from tables import README, WHAT, answers, place, table

ROOT = README.parent


@pytest.mark.parametrize("what", WHAT)
def test_tables_are_current(what: str) -> None:
    found = place(what).search(README.read_text(encoding="utf-8"))
    assert found is not None, f"README.md has no place for {what}"
    assert found[0] == table(what), "out of date: python tests/docs/tables.py"


def test_the_answers_are_those_of_the_guide() -> None:
    found = place("answers").search(README.read_text(encoding="utf-8"))
    assert found is not None
    assert found[0] == answers(), "out of date: python tests/docs/tables.py"
    assert found[0].count("\n") >= 6


def test_the_citation_is_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert citation["title"].startswith(project["name"])
    assert project["version"] in README.read_text(encoding="utf-8")


def test_quick_start_is_what_continuous_integration_uses() -> None:
    text = README.read_text(encoding="utf-8")
    assert re.search(r"^\$ python3 -m venv \.venv && \.venv/bin/pip install tox && \.venv/bin/tox$", text, re.M)
    assert re.search(
        r"^\$ python3 -m venv \.venv && \.venv/bin/pip install \. "
        r"&& \.venv/bin/ltbench run --task shapes-lt --method lmpt$",
        text.replace(" \\\n> ", " "),
        re.M,
    )
