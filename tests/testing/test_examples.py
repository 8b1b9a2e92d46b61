"""Three distributions of others, as they would lie in repositories of their own, pass their own tests."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ltbench.plugin.manager import extra_specs
from ltbench.testing import kit
from tests.testing.test_scaffold import FEW, WITHOUT_WALK, module_of, registered

EXAMPLES = Path(__file__).resolve().parents[1] / "third_party"


@pytest.mark.parametrize("name", ["acme-adapter", "acme-neighbours", "acme-prompts"])
def test_a_distribution_passes_its_own_tests(
    name: str, tmp_path: Path, ltbench_check: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit, "CHECKS", FEW if name == "acme-adapter" else WITHOUT_WALK)
    folder, package = EXAMPLES / name, name.replace("-", "_")
    monkeypatch.syspath_prepend(str(folder))
    tests = module_of(folder / "tests", f"test_{package}")
    given: dict[str, Any] = {"tmp_path": tmp_path, "ltbench_check": ltbench_check}
    try:
        with extra_specs(registered(folder), name, "0.1.0"):
            for test in [value for title, value in vars(tests).items() if title.startswith("test_")]:
                test(**{argument: given[argument] for argument in inspect.signature(test).parameters})
    finally:
        for module in [module for module in sys.modules if module.partition(".")[0] == package]:
            del sys.modules[module]


def test_each_example_is_on_the_page_for_authors() -> None:
    page = (EXAMPLES.parents[1] / "docs/how-to/write-a-method.md").read_text(encoding="utf-8")
    named = [path.parent.name for path in EXAMPLES.glob("*/pyproject.toml")]
    assert len(named) >= 3
    assert [name for name in named if f"third_party/{name}" not in page] == []
