"""The page on rooms names each room that there is, no other, and each contract that import-linter checks."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "explanation" / "the-house.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`(ltbench[\w.]*\.?\w+)`", PAGE)) - {"ltbench"}


def rooms() -> set[str]:
    """Packages below ``ltbench`` and ``plugins``; one that is nothing but its rooms does not count."""
    places = [
        (ROOT, ROOT / "ltbench"),
        *((ROOT / "plugins", folder) for folder in (ROOT / "plugins").glob("ltbench_*")),
    ]
    found = {".".join(init.parent.relative_to(root).parts) for root, top in places for init in top.rglob("__init__.py")}
    return found - {"ltbench", "ltbench_baselines"}


def test_every_room_is_named() -> None:
    assert {"ltbench.data.getting", "ltbench_baselines.unseen", "ltbench_dr"} <= rooms()
    assert rooms() - NAMED == set()


def test_what_is_named_exists() -> None:
    lost = {
        name
        for name in NAMED
        if not any(
            (base / Path(*name.split("."))).with_suffix(end).exists()
            for base in (ROOT, ROOT / "plugins")
            for end in ("", ".py")
        )
    }
    assert not lost


def test_every_contract_is_named() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    stated = re.search(r"^\| contract \| why \|\n(.*?)\n\n", PAGE, re.S | re.M)
    assert stated is not None
    rows = {row.split("|")[1].strip() for row in stated[1].splitlines()[1:]}
    assert rows == {contract["name"] for contract in settings["contracts"]}
