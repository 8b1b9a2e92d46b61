"""What a library is not to find while it is imported, it finds before and after."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from ltbench.engine.absent import absent


@pytest.fixture
def optional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that is installed and not imported."""
    (tmp_path / "an_optional_one.py").write_text("class Heavy:\n    weight = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "an_optional_one", raising=False)
    return "an_optional_one"


def test_a_module_is_absent_inside_and_there_again_outside(optional: str) -> None:
    with absent(optional), pytest.raises(ImportError, match="an_optional_one"):
        importlib.import_module(optional)
    assert importlib.import_module(optional).Heavy.weight == 1
    del sys.modules[optional]


def test_what_is_imported_already_stays(optional: str) -> None:
    before = importlib.import_module(optional)
    with absent(optional):
        assert importlib.import_module(optional) is before
    assert sys.modules.pop(optional) is before


def test_an_error_inside_leaves_nothing_behind(optional: str) -> None:
    with pytest.raises(ValueError, match="no luck"), absent(optional):
        raise ValueError("no luck")
    assert optional not in sys.modules
