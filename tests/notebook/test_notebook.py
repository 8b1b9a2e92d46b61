"""The notebook runs from top to bottom; with the site, because it takes as long as a page of the documentation."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mkdocs", reason="part of the tox environment docs")

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs/tutorial/two-methods.ipynb"


def shown(code: str, space: dict[str, Any]) -> Any:
    """Run a cell; what its last expression gives."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, str(NOTEBOOK), "exec"), space)
    return None if last is None else eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), space)  # type: ignore[attr-defined]


def test_the_notebook_runs_from_top_to_bottom(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(tmp_path)
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert all(not cell["outputs"] for cell in cells if cell["cell_type"] == "code"), "clear the outputs"
    space: dict[str, Any] = {}
    answers = [shown(cell["source"], space) for cell in cells if cell["cell_type"] == "code"]
    assert answers[-1] == ["right"] * 4
    assert len(space["answers"].columns) == 6
    assert {one.record.status for one in space["done"]} == {"completed"}
    assert len(space["axes"].patches) == 6
