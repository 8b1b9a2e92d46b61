"""Records of every schema version state origins of their own grammar."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from records import builders as b


@pytest.mark.parametrize("origin", ["default", "tuned(8, on shapes-lt)", "transferred(shapes-lt, from variant code)"])
def test_new_records_state_origins_of_the_grammar(origin: str) -> None:
    assert b.record(method=b.method_facts(origin=origin)).method.origin == origin


@pytest.mark.parametrize("origin", ["tuned(8)", "tuned(8, as shapes)", "transferred(from shapes)"])
def test_new_records_state_no_others(origin: str) -> None:
    with pytest.raises(ValidationError, match="is no origin"):
        b.record(method=b.method_facts(origin=origin))


@pytest.mark.parametrize("version", [1, 2])
def test_old_records_keep_theirs(version: int) -> None:
    rest = {"decisions": "4" * 64, "corrections": {"right": [1], "wrong": [0], "hidden": 1, "found": 1}}
    build = {"schema_version": version, **(rest if version == 2 else {})}
    old = b.method_facts(origin="tuned(8, as shapes)", code_sha256=None)
    assert b.record(method=old, **build).method.origin == "tuned(8, as shapes)"
    with pytest.raises(ValidationError, match=f"is no origin of schema version {version}"):
        b.record(method=b.method_facts(origin="transferred(shapes-lt)", code_sha256=None), **build)
