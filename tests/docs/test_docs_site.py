"""What the site is made of: every page of its contents exists, and every public name has a page and a docstring."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from ltbench.plugin.manager import CORE_DISTRIBUTION, registry

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs/_site/hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(hooks: ModuleType) -> dict[str, str]:
    return dict(hooks.pages())


def listed(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from listed(inner)


def test_the_contents_name_every_page(made: dict[str, str]) -> None:
    contents = set(listed(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    written = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert contents - written - set(made) == set()
    # Pages of one task or method are reached from their index.
    apart = {path for path in written | set(made) if path.startswith(("reference/tasks/", "reference/methods/"))}
    assert (written | set(made)) - contents - apart == set()


def test_each_method_of_ours_has_a_page_with_its_card_options_and_presets(made: dict[str, str]) -> None:
    for item in registry().methods:
        if item.distribution == CORE_DISTRIBUTION:
            page = made[f"reference/methods/{item.spec.name}.md"]
            assert len(page.split("## Needs")[0].split()) > 20, f"{item.spec.name} has no card to speak of"
            assert "## Options" in page
    assert "| [coop](coop.md) |" in made["reference/methods/README.md"]
    assert "| mAP |" in made["reference/metrics.md"]


def test_each_public_name_has_a_docstring(hooks: ModuleType, made: dict[str, str]) -> None:
    bare = []
    for module in hooks.PUBLIC:
        for name in hooks.public_names(module):
            assert f"::: {hooks.home_of(module, name)}\n" in made[f"reference/python/{module}.md"]
            found = getattr(importlib.import_module(module), name)
            if (inspect.isclass(found) or inspect.isfunction(found)) and not inspect.getdoc(found):
                bare.append(f"{module}.{name}")
    assert bare == []


def test_links_out_of_the_pages_become_names(hooks: ModuleType) -> None:
    text = "[a](../../leaderboards/matrix.md) [b](record.md) [c](../nowhere.md) [d](https://e.org)"
    assert hooks.repository_links(text, "reference/cli.md", {"reference/record.md"}) == (
        "a (`leaderboards/matrix.md` in the repository) [b](record.md) [c](../nowhere.md) [d](https://e.org)"
    )
