"""``ltbench predict``: pictures that are bad, many, or annotated."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Cli
from tests.cli.predict.predict_toys import attempt, table_of


def test_bad_pictures_are_named_and_the_others_done(cli: Cli, here: Path) -> None:
    (here / "mixed" / "deep").mkdir(parents=True)
    (here / "mixed" / ".hidden").mkdir()
    shutil.copy("test/000.png", "mixed/deep/good.png")
    shutil.copy("test/000.png", "mixed/.hidden/other.png")
    (here / "mixed" / "notes.txt").write_text("no picture")
    (here / "mixed" / "empty.jpg").write_bytes(b"")
    (here / "mixed" / "cut.png").write_bytes((here / "test" / "001.png").read_bytes()[:200])
    (here / "nothing").mkdir()
    run = str(attempt(here, "coop"))
    said = cli("predict", "--run", run, "mixed", "gone.png", "nothing", "mixed/deep/good.png", "--json")
    assert said.code == 1
    document = json.loads(said.out)
    assert [picture["path"] for picture in document["pictures"]] == ["mixed/deep/good.png"]
    errors = said.err.splitlines()
    assert errors[0] == "error: image gone.png does not exist → ls ."
    assert errors[1] == "error: folder nothing has no images → ls nothing"
    assert errors[2] == "note: 1 files are no images and were left out: mixed/notes.txt"
    assert document["left_out"] == ["mixed/notes.txt"]
    assert errors[3].startswith("error: image mixed/cut.png cannot be decoded (")
    assert errors[3].endswith(" → replace mixed/cut.png")
    assert errors[4] == "error: image mixed/empty.jpg cannot be decoded (0 bytes) → replace mixed/empty.jpg"
    assert len(errors) == 5
    assert len(document["problems"]) == 4
    said = cli("predict", "--run", run, "gone.png")
    assert (said.code, said.out) == (1, "")


def test_a_file_that_is_named_needs_no_known_ending(cli: Cli, here: Path) -> None:
    Image.open("test/000.png").save(here / "picture.dat", "PNG")
    said = cli("predict", "--run", str(attempt(here, "coop")), "picture.dat", "--json")
    assert said.code == 0, said.err
    same = cli("predict", "--run", str(attempt(here, "coop")), "test/000.png", "--json")
    assert np.array_equal(table_of(json.loads(said.out)), table_of(json.loads(same.out)))


def test_long_lists_show_their_progress(cli: Cli, here: Path) -> None:
    run = str(attempt(here, "zero-shot"))
    (here / "many").mkdir()
    for number in range(33):
        shutil.copy(f"test/{number % 16:03d}.png", here / "many" / f"{number}.png")
    said = cli("predict", "--run", run, "many")
    assert said.code == 0
    assert "predicting: done in" in said.err
    assert "predicting" not in cli("predict", "--run", run, "test").err


def test_annotated_pictures(cli: Cli, here: Path) -> None:
    (here / "other").mkdir()
    Image.open("test/000.png").resize((1500, 300)).save(here / "other" / "000.jpg")
    run = str(attempt(here, "coop"))
    said = cli("predict", "--run", run, "test/000.png", "other/000.jpg", "--annotate", "drawn", "--json", "--top", "3")
    assert said.code == 0, said.err
    first, second = json.loads(said.out)["pictures"]
    assert (first["drawn"], second["drawn"]) == ("drawn/000.png", "drawn/000-2.png")
    with Image.open(here / "drawn" / "000.png") as drawn:
        assert drawn.width == 480
        picture_height = 480  # 64 x 64 enlarged
        # A line a class, and the bars are as long as the probabilities.
        lengths = []
        pixels = np.asarray(drawn.convert("RGB")).astype(int)[picture_height:]
        blue = np.abs(pixels - (0x00, 0x72, 0xB2)).sum(axis=2) == 0
        grey = np.abs(pixels - (0xB8, 0xB8, 0xB8)).sum(axis=2) == 0
        inside = np.where((blue | grey).sum(axis=1) > 10, (blue | grey).sum(axis=1), 0)  # letters have such pixels too
        for row in range(1, len(inside)):
            if inside[row] and not inside[row - 1]:
                lengths.append(int(inside[row]))
        expected = [label["probability"] for label in first["labels"]]
        assert len(lengths) == 3
        full = lengths[0] / expected[0]
        assert lengths == pytest.approx([full * p for p in expected], abs=2.5)
        assert blue.any() == any(label["present"] for label in first["labels"])
    with Image.open(here / "drawn" / "000-2.png") as drawn:
        assert drawn.width == 960
    said = cli("predict", "--run", run, "test/000.png", "--annotate", "drawn")
    assert said.out.splitlines()[-1] == "Drawn: 1 in drawn"


def test_annotating_replaces_no_picture(cli: Cli, here: Path) -> None:
    before = (here / "test" / "000.png").read_bytes()
    said = cli("predict", "--run", str(attempt(here, "coop")), "test/000.png", "--annotate", "test")
    assert said.code == 2
    assert said.err == ("error: --annotate test would replace image test/000.png → --annotate with another folder\n")
    assert (here / "test" / "000.png").read_bytes() == before
