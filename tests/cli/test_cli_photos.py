"""The tasks on photographs, as typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

NAMES = ("photos-lt", "photos-plt", "photos-spml", "photos-partial", "photos-zsl", "photos-micro")


@pytest.fixture
def mini(shared: Path, tmp_path: Path) -> Path:
    """A data root with 200 of the photographs."""
    root = tmp_path / "data"
    shutil.copytree(shared / "data" / "voc2007-mini" / "VOCdevkit", root / "VOCdevkit")
    return root


@pytest.mark.parametrize("name", NAMES)
def test_the_first_line_says_what_they_are_not(cli: Cli, name: str) -> None:
    address = {"photos-plt": "photos-plt@mr40", "photos-partial": "photos-partial@p50"}.get(name, name)
    said = " ".join(cli("show", "task", address).out.split())
    title = said.partition(" title ")[2].partition(" data set ")[0]
    assert title.endswith("; not an official task of any paper")
    assert ("most of them among ImageNet's" in title) == (name == "photos-zsl")
    assert "these photographs are the test part of voc-lt, plt-voc, partial-voc2007" in said


def test_the_list_says_so_too(cli: Cli) -> None:
    rows = json.loads(cli("list", "tasks", "--json").out)
    found = {row["name"]: row["summary"] for row in rows if row["name"] in NAMES}
    assert set(found) == set(NAMES)
    assert all(summary.endswith("(not an official task of any paper)") for summary in found.values())


def test_a_data_root_with_some_of_the_photographs_is_refused(mini: Path, cli: Cli, tmp_path: Path) -> None:
    command = ("run", "--task", "photos-lt", "--method", "erm", "--backbone", "timm:resnet18", "--weights", "random")
    said = cli(*command, "--data-root", str(mini), "--out", str(tmp_path / "runs"), "--offline")
    assert said.code == 2
    assert "Traceback" not in said.err
    error = said.err.strip().splitlines()[-1]
    assert "train_ids" in error
    assert not list((tmp_path / "runs").rglob("record.json"))
